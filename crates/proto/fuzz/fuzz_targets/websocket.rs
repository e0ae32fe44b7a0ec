//! Any bytes give events or one failure, the same for any split; what one side writes, the other
//! reads.

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

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::websocket(data));
