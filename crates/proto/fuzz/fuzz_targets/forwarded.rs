//! Any fields of proxies give a host and a prefix that may be used, and a stranger's give nothing.

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

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::forwarded(data));
