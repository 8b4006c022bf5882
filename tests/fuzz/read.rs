//! libFuzzer's way into the targets; `SPOT_GUARD_TEST_FUZZ` names the one that is run.
#![no_main]

mod targets;

use std::sync::LazyLock;

use targets::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("SPOT_GUARD_TEST_FUZZ").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("SPOT_GUARD_TEST_FUZZ={name:?} is no target of tests/fuzz/targets")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
