//! `spot-guard run`: the daemon.

use std::process::ExitCode;

use crate::config::{self, Sources};
use crate::observe;
use crate::response::driver;
use crate::signals;
use crate::systemd::Notifier;

/// Runs until it is told to stop. `sources` is read now and again at each reload; its flags are sound.
pub fn run(sources: Sources) -> ExitCode {
    let notifier = Notifier::from_environment();
    // Before it is ready, as a reload that waits for that comes at once then.
    let signals = signals::catch();
    // Before anything that may take time: a boot that waits for this unit must not hang.
    notifier.ready();
    let loaded = config::load(&sources);
    observe::log::set_up(&loaded.settings.log);
    loaded.problems.iter().for_each(|problem| log::error!("{problem}; it is left out as a whole"));
    log::info!("spot-guard {} watches for notices", env!("CARGO_PKG_VERSION"));
    match driver::run(sources, loaded, notifier, signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
