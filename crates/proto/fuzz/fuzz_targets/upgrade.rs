//! Any fields give a handshake or a refusal, and an answer to it offers what was asked for only; and
//! they give an HTTP/2 frame of the same request, or none.

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

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::upgrade(data));
