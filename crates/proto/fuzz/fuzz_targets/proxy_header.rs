//! Any bytes give a header of the PROXY protocol or an error, the same however they are split.

#![no_main]
#![allow(
    dead_code,
    unused_imports,
    reason = "each target drives one of the invariants"
)]

#[path = "../../tests/driver/mod.rs"]
mod driver;
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::proxy_header(data));
