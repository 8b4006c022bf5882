//! `spot-guard run`: the daemon.

use std::process::ExitCode;

use crate::config::Sources;

/// Runs until it is told to stop. `sources` is read now and again at each reload; its flags are sound.
pub fn run(sources: &Sources) -> ExitCode {
    let _ = sources;
    ExitCode::FAILURE
}
