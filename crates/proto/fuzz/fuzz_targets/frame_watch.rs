//! Any bytes are let pass or refused, the same for any split; floods are what is refused, and all
//! of them.

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

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::frame_watch(data));
