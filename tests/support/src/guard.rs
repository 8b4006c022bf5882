//! Runs the real binary with folders of its own, and watches what it says and writes.
//!
//! Knows its flags, its log on standard error and its record. Knows nothing of clusters.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::folder::Folder;
use crate::imds::Imds;

/// How spot-guard is to be run.
pub struct Setup {
    program: PathBuf,
    folder: Folder,
    config: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// The running spot-guard; its processes end and its folders go when this is dropped.
pub struct Guard {
    setup: Setup,
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// A line of its log.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Instant,
    pub text: String,
}

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Memory now, in KiB (`VmRSS`).
    pub resident: u64,
    /// The most that it ever was (`VmHWM`).
    pub peak: u64,
    pub threads: u64,
    /// Open files, sockets and pipes.
    pub descriptors: usize,
}

impl Setup {
    /// Runs `program` (`env!("CARGO_BIN_EXE_spot-guard")`), or the one that `SPOT_GUARD_TEST_BINARY` names.
    pub fn new(program: &str) -> Setup {
        let named = std::env::var_os("SPOT_GUARD_TEST_BINARY");
        let folder = Folder::new("guard");
        for name in ["hooks", "state", "run", "out"] {
            fs::create_dir(folder.path().join(name)).expect("make a folder");
        }
        Setup {
            program: named.map_or_else(|| PathBuf::from(program), PathBuf::from),
            folder,
            config: String::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Runs this program and no other, whatever `SPOT_GUARD_TEST_BINARY` says.
    pub fn program(self, program: &str) -> Setup {
        Setup { program: PathBuf::from(program), ..self }
    }

    pub fn imds(self, imds: &Imds) -> Setup {
        self.argument("--imds-endpoint").argument(&imds.endpoint())
    }

    pub fn kubeconfig(self, path: &Path) -> Setup {
        self.argument("--kubeconfig").argument(&path.display().to_string())
    }

    pub fn without_kubernetes(self) -> Setup {
        self.config("[kubernetes]\nmode = \"off\"")
    }

    /// Adds lines of TOML.
    pub fn config(mut self, toml: &str) -> Setup {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    pub fn argument(mut self, argument: &str) -> Setup {
        self.arguments.push(argument.to_owned());
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a hook of shell into place. `$OUT` in it is the folder of [`Setup::out`]: a hook's environment is cleared.
    pub fn hook(self, phase: &str, name: &str, script: &str) -> Setup {
        let folder = self.folder.path().join(format!("hooks/{phase}.d"));
        fs::create_dir_all(&folder).expect("make a folder of hooks");
        let file = folder.join(name);
        let text = format!("#!/bin/sh\n{}\n", script.replace("$OUT", &self.out().display().to_string()));
        fs::write(&file, text).expect("write a hook");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("make a hook executable");
        self
    }

    /// Puts a hook into place that is there as a file.
    pub fn hook_file(self, phase: &str, file: &Path) -> Setup {
        let folder = self.folder.path().join(format!("hooks/{phase}.d"));
        fs::create_dir_all(&folder).expect("make a folder of hooks");
        fs::copy(file, folder.join(file.file_name().expect("a file"))).expect("copy a hook");
        self
    }

    /// Where hooks leave what they want to tell the test.
    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A folder for all else that goes with this run, kubeconfigs for instance.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `spot-guard run`.
    pub fn start(self) -> Guard {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let child = spawn(&self, &lines);
        Guard { setup: self, child, lines }
    }

    /// Runs `spot-guard run` twice at once, of which one must end by itself: the other, how that one ended, and its log.
    ///
    /// # Panics
    /// When none or both have ended.
    pub fn start_two(self, within: Duration) -> (Guard, ExitStatus, String) {
        let logs = [Arc::default(), Arc::default()];
        let mut copies = logs.each_ref().map(|lines| spawn(&self, lines));
        let ended = crate::wait::wait(within, || {
            let mut copies = copies.iter_mut().enumerate();
            copies.find_map(|(which, copy)| Some((which, copy.try_wait().expect("wait for spot-guard")?)))
        });
        let (which, status) = ended.unwrap_or_else(|| panic!("both still run after {within:?}"));
        let [first, second] = copies;
        let child = if which == 0 { second } else { first };
        let mut guard = Guard { setup: self, child, lines: Arc::clone(&logs[1 - which]) };
        assert!(guard.is_running(), "both have ended\n{}", guard.log());
        (guard, status, said(&logs[which], within))
    }

    /// Runs another subcommand to its end, with the same flags.
    pub fn output(&self, subcommand: &[&str]) -> std::process::Output {
        self.command(subcommand).output().expect("run spot-guard")
    }

    /// Runs another subcommand beside the test, with the same flags; who waits for it has its output.
    pub fn spawn(&self, subcommand: &[&str]) -> Child {
        let mut command = self.command(subcommand);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run spot-guard")
    }

    /// Another subcommand, to be run with the same flags.
    pub fn command(&self, subcommand: &[&str]) -> Command {
        let at = |name: &str| self.folder.path().join(name);
        fs::write(at("config.toml"), &self.config).expect("write the configuration");
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(subcommand);
        let folders =
            [("--config", "config.toml"), ("--hooks-dir", "hooks"), ("--state-dir", "state"), ("--runtime-dir", "run")];
        for (flag, name) in folders {
            command.arg(flag).arg(at(name));
        }
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }
}

impl Guard {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    pub fn out(&self) -> PathBuf {
        self.setup.out()
    }

    /// Runs another subcommand to its end, with the same flags.
    pub fn output(&self, subcommand: &[&str]) -> std::process::Output {
        self.setup.output(subcommand)
    }

    /// Runs another subcommand beside the test, with the same flags; who waits for it has its output.
    pub fn spawn(&self, subcommand: &[&str]) -> Child {
        self.setup.spawn(subcommand)
    }

    /// Another subcommand, to be run with the same flags.
    pub fn command(&self, subcommand: &[&str]) -> Command {
        self.setup.command(subcommand)
    }

    /// The lines that hooks have left in `$OUT/name`.
    pub fn told(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.out().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How many responses there are records of.
    pub fn count_responses(&self) -> usize {
        let files = fs::read_dir(self.folder().join("state/responses")).into_iter().flatten().flatten();
        // One that is being written has another name.
        files.filter(|file| file.path().extension().is_some_and(|end| end == "json")).count()
    }

    /// The folder of [`Setup::folder`].
    pub fn folder(&self) -> &Path {
        self.setup.folder()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("signal spot-guard");
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("wait for spot-guard");
    }

    /// Starts it again with the same folders, after it has ended.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.setup, &self.lines);
    }

    /// Starts another one with the same folders, which must end by itself: how it ended, and its log.
    pub fn second_copy(&self, within: Duration) -> (ExitStatus, String) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut child = spawn(&self.setup, &lines);
        let ended = crate::wait::wait(within, || child.try_wait().expect("wait for spot-guard"));
        let Some(ended) = ended else {
            let _ = child.kill();
            panic!("the second copy still runs after {within:?}\n{}", said(&lines, within));
        };
        (ended, said(&lines, within))
    }

    /// Asks it to end and waits for that.
    pub fn stop(&mut self, within: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_end(within)
    }

    pub fn wait_end(&mut self, within: Duration) -> ExitStatus {
        let child = &mut self.child;
        let ended = crate::wait::wait(within, || child.try_wait().expect("wait for spot-guard"));
        ended.unwrap_or_else(|| panic!("still runs after {within:?}\n{}", self.log()))
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look after spot-guard").is_none()
    }

    pub fn lines(&self) -> Vec<Line> {
        held(&self.lines).clone()
    }

    /// All it has said so far.
    pub fn log(&self) -> String {
        self.lines().into_iter().map(|line| line.text + "\n").collect()
    }

    /// Waits for a line with `text` in it.
    pub fn wait_line(&self, text: &str, within: Duration) -> Line {
        self.expect(&format!("a line with {text:?}"), within, || {
            self.lines().into_iter().find(|l| l.text.contains(text))
        })
    }

    /// The record of the newest response, once there is one.
    pub fn record(&self) -> Option<Value> {
        let folder = fs::read_dir(self.setup.folder.path().join("state/responses")).ok()?;
        let files = folder.filter_map(|entry| Some(entry.ok()?.path()));
        // A test may have put there what hangs when it is read.
        let newest = files.filter(|path| path.is_file() && path.extension().is_some_and(|e| e == "json")).max()?;
        serde_json::from_slice(&fs::read(newest).ok()?).ok()
    }

    /// What `status.json` says.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.setup.folder.path().join("run/status.json")).ok()?).ok()
    }

    /// Waits until the newest record is as wanted.
    pub fn wait_record(&self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        self.expect(&format!("a record: {what}"), within, || self.record().filter(&wanted))
    }

    /// Waits until the newest response has ended; its record.
    pub fn wait_done(&self, within: Duration) -> Value {
        self.wait_record("the response has ended", within, |record| !record["outcome"].is_null())
    }

    /// Waits for `seen`, and shows the log and the record where it does not come.
    pub fn expect<T>(&self, what: &str, within: Duration, seen: impl FnMut() -> Option<T>) -> T {
        crate::wait::wait(within, seen).unwrap_or_else(|| {
            let record = self.record().map(|r| format!("{r:#}")).unwrap_or_default();
            panic!("waited {within:?} in vain: {what}\n{}\n{record}", self.log())
        })
    }

    /// What it uses now.
    ///
    /// # Panics
    /// When it does not run.
    pub fn usage(&self) -> Usage {
        let process = PathBuf::from(format!("/proc/{}", self.pid()));
        let status = fs::read_to_string(process.join("status")).expect("spot-guard runs");
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok())
        };
        let number = |name: &str| of(name).unwrap_or_else(|| panic!("no {name} in {status}"));
        let descriptors = fs::read_dir(process.join("fd")).expect("spot-guard runs").count();
        Usage { resident: number("VmRSS:"), peak: number("VmHWM:"), threads: number("Threads:"), descriptors }
    }

    /// Lines of its log with `text` in them.
    pub fn lines_with(&self, text: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.text.contains(text)).collect()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_running() {
            // So that it can end what it has started; then at once.
            let _ = kill(self.pid(), Signal::SIGTERM);
            let _ = kill(self.pid(), Signal::SIGTERM);
            if crate::wait::wait(Duration::from_secs(2), || self.child.try_wait().ok().flatten()).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        end_what_runs_in(self.setup.folder());
        if thread::panicking() {
            eprintln!("--- spot-guard's log\n{}---", self.log());
        }
    }
}

/// Hooks and plugins outlive a daemon that was killed, and may wait for what never comes.
fn end_what_runs_in(folder: &Path) {
    // With what ends its name: "guard-12" is not in "guard-121/hooks".
    let within = format!("{}/", folder.display());
    let within = within.as_bytes();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if let Some(pid) = pid
            && command.windows(within.len()).any(|window| window == within)
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn spawn(setup: &Setup, lines: &Arc<Mutex<Vec<Line>>>) -> Child {
    let mut command = setup.command(&["run"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("run spot-guard");
    let (stderr, lines) = (child.stderr.take().expect("its standard error"), Arc::clone(lines));
    thread::spawn(move || collect(stderr, &lines));
    child
}

fn collect(stderr: ChildStderr, lines: &Mutex<Vec<Line>>) {
    for text in BufReader::new(stderr).lines().map_while(Result::ok) {
        held(lines).push(Line { at: Instant::now(), text });
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one that has ended said, as soon as all of that is here: then nobody else holds the lines.
fn said(lines: &Arc<Mutex<Vec<Line>>>, within: Duration) -> String {
    crate::wait::wait(within, || (Arc::strong_count(lines) == 1).then_some(()));
    held(lines).iter().map(|line| line.text.clone() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    #[test]
    fn what_runs_in_a_folder_of_a_longer_name_goes_on() {
        let folder = Folder::new("end");
        let run_in = |folder: String| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "while read -r line; do :; done", &format!("{folder}/hooks/10-wait")]);
            shell.stdin(Stdio::piped()).spawn().expect("run a shell")
        };
        let (mut mine, mut others) =
            (run_in(folder.path().display().to_string()), run_in(format!("{}1", folder.path().display())));
        end_what_runs_in(folder.path());
        assert!(!mine.wait().expect("it has ended").success());
        assert_eq!(others.try_wait().expect("look after it"), None);
        drop(others.stdin.take());
        assert!(others.wait().expect("it ends by itself").success());
    }
}
