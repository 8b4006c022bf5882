//! Running one hook.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use crate::hooks::Hook;
use crate::moment::Moment;
use crate::process::{self, Command, Ended, Limits, Started, Stop};

/// From TERM to KILL.
const PATIENCE: Duration = Duration::from_secs(2);

/// A line that a hook wrote has this and then the hook's name as its target in the log.
pub const LOG_TARGET: &str = "hook:";

/// Exit code EX_TEMPFAIL of sysexits.h: the hook asks for one more try.
pub const TRY_AGAIN: i32 = 75;

/// What a hook keeps of the daemon's own environment, and what it gets where the daemon has none.
const KEPT: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LANG", "C.UTF-8")];

/// Runs `hook` until it ends or `ends` comes, on the caller's thread; each line it says goes to the log at once.
///
/// `wave` is the second argument of a `local-drain` hook (`start` or `end`), `environment` comes from
/// [`super::Context::environment`] (`PATH`, `HOME` and `LANG` are the daemon's own), `input` is the JSON on its
/// standard input.
pub fn run(
    hook: &Hook,
    wave: Option<&str>,
    environment: Vec<(String, String)>,
    input: Arc<[u8]>,
    ends: Moment,
    stop: &Stop,
    on_start: &mut dyn FnMut(&Started),
) -> Ended {
    let arguments = std::iter::once(hook.phase.name()).chain(wave).map(OsString::from).collect();
    let kept = KEPT.map(|(name, value)| (name.into(), std::env::var_os(name).unwrap_or_else(|| value.into())));
    let told = environment.into_iter().map(|(name, value)| (name.into(), value.into()));
    let environment = kept.into_iter().chain(told).collect();
    let command = Command { program: hook.path.clone(), arguments, environment, input, folder: Some("/".into()) };
    let target = format!("{LOG_TARGET}{hook}");
    let limits = Limits { ends, patience: PATIENCE, output: 256 * 1024 };
    let ended = process::run(&command, &limits, stop, on_start, &mut |_, line| log::info!(target: &target, "{line}"));
    if ended.dropped > 0 {
        log::warn!("hook {hook} wrote too much: {} bytes are not in this log", ended.dropped);
    }
    ended
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::hooks::Phase;
    use crate::process::{Exit, Priority};

    /// A hook that is gone when the test is over.
    struct Script(Hook);

    impl Script {
        /// Written by another process: one that is open for writing here, or in a test's child that was just forked,
        /// could not be started.
        fn new(test: &str, text: &str) -> Script {
            let path: PathBuf = std::env::temp_dir().join(format!("spot-guard-{}-{test}", std::process::id()));
            let script = format!("cat > {0} && chmod 755 {0}", path.display());
            let command = Command {
                program: "/bin/sh".into(),
                arguments: vec!["-c".into(), script.into()],
                environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
                input: text.as_bytes().into(),
                folder: None,
            };
            let limits = Limits { ends: in_a_minute(), patience: PATIENCE, output: 1000 };
            assert!(process::run_to_end(&command, &limits, Priority::Ordinary).is_ok());
            Script(Hook { phase: Phase::LocalDrain, name: test.into(), path })
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0.path);
        }
    }

    fn in_a_minute() -> Moment {
        Moment::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_hook_gets_its_phase_its_wave_its_environment_and_its_input() {
        let hook = Script::new(
            "told",
            "#!/bin/sh\nread input\necho \"$# $1 $2 $NAME $input $(pwd) ${HOME:+home}\"; exit 75\n",
        );
        let environment = vec![("NAME".to_owned(), "value".to_owned())];
        let mut started = None;
        let mut on_start = |process: &Started| started = Some(process.clone());
        let input = Arc::from(b"{}\n".as_slice());
        let ended = run(&hook.0, Some("start"), environment, input, in_a_minute(), &Stop::new(), &mut on_start);
        assert_eq!(ended.exit, Exit::Code(TRY_AGAIN));
        assert_eq!(ended.tail, "2 local-drain start value {} / home");
        assert!(started.is_some());
    }

    #[test]
    fn a_hook_whose_interpreter_is_missing_is_an_outcome_like_any_other() {
        let hook = Script::new("interpreter", "#!/nowhere\n");
        let ended = run(&hook.0, None, Vec::new(), [].into(), in_a_minute(), &Stop::new(), &mut |_| ());
        assert!(matches!(ended.exit, Exit::NotStarted(_)), "{ended:?}");
    }
}
