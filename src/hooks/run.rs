//! Running one hook.

use std::ffi::OsString;
use std::time::Duration;

use crate::hooks::Hook;
use crate::moment::Moment;
use crate::process::{self, Command, Ended, Limits, Started, Stop};

/// From TERM to KILL.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Exit code EX_TEMPFAIL of sysexits.h: the hook asks for one more try.
pub const TRY_AGAIN: i32 = 75;

/// Runs `hook` until it ends or `ends` comes, on the caller's thread; each line it says goes to the log at once.
///
/// `wave` is the second argument of a `local-drain` hook (`start` or `end`), `environment` comes from
/// [`super::Context::environment`], `input` is the JSON on its standard input.
pub fn run(
    hook: &Hook,
    wave: Option<&str>,
    environment: Vec<(String, String)>,
    input: Vec<u8>,
    ends: Moment,
    stop: &Stop,
    on_start: &mut dyn FnMut(&Started),
) -> Ended {
    let arguments = std::iter::once(hook.phase.name()).chain(wave).map(OsString::from).collect();
    let environment = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let command = Command { program: hook.path.clone(), arguments, environment, input, folder: Some("/".into()) };
    let limits = Limits { ends, patience: PATIENCE, output: 256 * 1024 };
    let ended = process::run(
        &command,
        &limits,
        stop,
        on_start,
        &mut |_, line| log::info!(target: "hook", "hook {hook}: {line}"),
    );
    if ended.dropped > 0 {
        log::warn!(target: "hook", "hook {hook} wrote too much: {} bytes are not in this log", ended.dropped);
    }
    ended
}
