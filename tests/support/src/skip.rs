//! Tests that cannot be run everywhere say so, loudly.

use std::io::Write;

/// Says on standard error, past what captures a test's output, that this test is not run.
///
/// # Panics
/// Where nothing may be skipped (`SPOT_GUARD_TEST_REQUIRE_ALL`).
pub fn skip(because: &str) {
    assert!(std::env::var_os("SPOT_GUARD_TEST_REQUIRE_ALL").is_none(), "may not be skipped, but {because}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}, because {because}\n");
    // What nobody reads nobody misses.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
