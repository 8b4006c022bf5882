//! One process from its start to its end: its pipes, its time, its group.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::{Command, Cut, Exit, Limits, Started, Stop, Stream, oom};
use crate::moment::Moment;

/// The longest single wait: a process that ends while another one holds its output open is noticed this late.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// How long output is still read after the end: what was written before it is in the pipe already.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long the kernel may take to end what it was told to kill.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// POSIX: a pipe that is ready for writing takes this many bytes without blocking.
const PIPE_BUF: usize = 4096;

/// What [`supervise`] calls with what it reads.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Stream, &[u8]);

/// Runs a process until it ends or is cut, then kills its group.
pub(super) fn supervise(
    command: &Command,
    limits: &Limits,
    stop: &Stop,
    on_start: &mut dyn FnMut(&Started),
    sink: Sink<'_>,
) -> (Exit, Option<Cut>) {
    let mut ending = Ending::new(limits);
    if let Some(cut) = ending.cut(Moment::now(), stop) {
        return (Exit::NotStarted("its time was over before it began".into()), Some(cut));
    }
    let mut child = match start(command) {
        Ok(child) => child,
        Err(reason) => return (Exit::NotStarted(reason), None),
    };
    let mut pipes = Pipes::of(&mut child, &command.input);
    // Numbers of processes are positive and far below 2³¹.
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    oom::end_first(pid);
    on_start(&Started::of_child(pid));

    let group = Pid::from_raw(pid);
    let gone = watch(group, &mut pipes, &mut ending, stop, sink);
    // Nobody has waited for the child yet, so its number, which is the group's, cannot be another one's.
    let _ = killpg(group, Signal::SIGKILL);
    pipes.read_last_words(sink);
    (if gone { exit_of(child) } else { Exit::Stuck }, ending.cut)
}

fn start(command: &Command) -> Result<Child, String> {
    let mut starter = std::process::Command::new(&command.program);
    starter.args(&command.arguments).env_clear().envs(command.environment.iter().map(|(name, value)| (name, value)));
    if let Some(folder) = &command.folder {
        starter.current_dir(folder);
    }
    starter.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    starter.spawn().map_err(|error| format!("cannot start {}: {error}", command.program.display()))
}

/// Waits until the group's first process has ended; false if not even KILL ends it.
fn watch(group: Pid, pipes: &mut Pipes<'_>, ending: &mut Ending, stop: &Stop, sink: Sink<'_>) -> bool {
    let mut wait = Duration::from_millis(1);
    loop {
        if has_ended(group) {
            return true;
        }
        match ending.due(Moment::now(), stop) {
            Due::Nothing => {}
            // It fails only for a group that has ended meanwhile, which is seen next time around.
            Due::Signal(signal) => drop(killpg(group, signal)),
            Due::GiveUp => return false,
        }
        wait = if pipes.exchange(wait, sink) { Duration::from_millis(1) } else { LONGEST_WAIT.min(wait * 2) };
    }
}

/// Whether the child has ended; it stays to be waited for.
fn has_ended(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // ECHILD: somebody told the kernel to forget our children (SIGCHLD ignored since before us).
    !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
}

/// Reaps a child that has ended.
fn exit_of(mut child: Child) -> Exit {
    match child.wait() {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Stuck,
        },
        Err(_) => Exit::Stuck,
    }
}

/// When which signal is due.
struct Ending {
    ends: Moment,
    patience: Duration,
    cut: Option<Cut>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Running,
    /// KILL is due then.
    Terminated(Moment),
    /// There is no more to do then.
    Killed(Moment),
}

enum Due {
    Nothing,
    Signal(Signal),
    GiveUp,
}

impl Ending {
    fn new(limits: &Limits) -> Ending {
        Ending { ends: limits.ends, patience: limits.patience, cut: None, stage: Stage::Running }
    }

    fn due(&mut self, now: Moment, stop: &Stop) -> Due {
        let stage = self.stage;
        match stage {
            Stage::Running if self.cut(now, stop).is_some() => {
                self.stage = Stage::Terminated(now + self.patience);
                Due::Signal(Signal::SIGTERM)
            }
            Stage::Terminated(kill) if now >= kill => {
                self.stage = Stage::Killed(now + KILL_PATIENCE);
                Due::Signal(Signal::SIGKILL)
            }
            Stage::Killed(give_up) if now >= give_up => Due::GiveUp,
            _ => Due::Nothing,
        }
    }

    /// Why it must end now, if it must.
    fn cut(&mut self, now: Moment, stop: &Stop) -> Option<Cut> {
        if self.cut.is_none() {
            self.cut = if stop.called() {
                Some(Cut::Stopped)
            } else if now >= self.ends {
                Some(Cut::Time)
            } else {
                None
            };
        }
        self.cut
    }
}

/// The three pipes to a process, each until it is closed.
struct Pipes<'a> {
    input: Option<(ChildStdin, &'a [u8])>,
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
}

/// Which pipes have something to do.
#[derive(Default)]
struct Ready {
    input: bool,
    out: bool,
    err: bool,
}

impl<'a> Pipes<'a> {
    fn of(child: &mut Child, input: &'a [u8]) -> Pipes<'a> {
        let stdin = child.stdin.take().filter(|_| !input.is_empty());
        Pipes { input: stdin.map(|pipe| (pipe, input)), out: child.stdout.take(), err: child.stderr.take() }
    }

    /// Waits at most `wait` and reads and writes what is possible without waiting; says whether there was anything.
    fn exchange(&mut self, wait: Duration, sink: Sink<'_>) -> bool {
        let ready = self.ready(wait);
        if ready.input {
            self.input = self.input.take().and_then(|(pipe, rest)| write(pipe, rest));
        }
        if ready.out {
            self.out = self.out.take().and_then(|pipe| read(pipe, Stream::Out, sink));
        }
        if ready.err {
            self.err = self.err.take().and_then(|pipe| read(pipe, Stream::Err, sink));
        }
        ready.input || ready.out || ready.err
    }

    fn ready(&self, wait: Duration) -> Ready {
        let mut waited: Vec<PollFd<'_>> = Vec::with_capacity(3);
        waited.extend(self.input.as_ref().map(|(pipe, _)| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)));
        waited.extend(self.out.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        waited.extend(self.err.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        if poll(&mut waited, timeout).is_err() {
            return Ready::default();
        }
        let mut answers = waited.iter().map(|pipe| pipe.any().unwrap_or(true));
        let mut next = |open: bool| open && answers.next().unwrap_or(false);
        Ready { input: next(self.input.is_some()), out: next(self.out.is_some()), err: next(self.err.is_some()) }
    }

    /// Reads what the process wrote before it ended. Others may hold the pipes open, and even go on writing.
    fn read_last_words(&mut self, sink: Sink<'_>) {
        self.input = None;
        let end = Moment::now() + LAST_WORDS;
        while (self.out.is_some() || self.err.is_some()) && Moment::now() < end {
            self.exchange(Duration::from_millis(10), sink);
        }
    }
}

/// Writes what a ready pipe takes; gives the pipe back while there is more and somebody may read it.
fn write(mut pipe: ChildStdin, rest: &[u8]) -> Option<(ChildStdin, &[u8])> {
    let piece = rest.get(..PIPE_BUF).unwrap_or(rest);
    let written = match pipe.write(piece) {
        Ok(written) => written,
        Err(error) if error.kind() == ErrorKind::Interrupted => 0,
        Err(_) => return None,
    };
    let rest = rest.get(written..).filter(|rest| !rest.is_empty())?;
    Some((pipe, rest))
}

/// Reads what a ready pipe has; gives the pipe back until its end.
fn read<P: Read>(mut pipe: P, stream: Stream, sink: Sink<'_>) -> Option<P> {
    let mut buffer = [0; 8192];
    match pipe.read(&mut buffer) {
        Ok(0) => None,
        Ok(length) => {
            sink(stream, buffer.get(..length).unwrap_or_default());
            Some(pipe)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Some(pipe),
        Err(_) => None,
    }
}
