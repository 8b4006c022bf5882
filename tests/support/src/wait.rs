//! Waiting for something to become true, bounded.

use std::thread;
use std::time::{Duration, Instant};

/// How often is looked: often enough that what a test measures is not the looking.
const POLL: Duration = Duration::from_millis(10);

/// Looks until `seen` gives something; `None` when that takes longer than `within`.
pub fn wait<T>(within: Duration, mut seen: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = seen() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Looks until `seen` gives something.
///
/// # Panics
/// When that takes longer than `within`; `what` says what was waited for.
pub fn expect<T>(what: &str, within: Duration, seen: impl FnMut() -> Option<T>) -> T {
    wait(within, seen).unwrap_or_else(|| panic!("waited {within:?} in vain: {what}"))
}
