//! The one door through which processes are started: hooks, and the exec plugins of kubeconfigs.
//!
//! Knows processes, their groups, their output and their time limits. Knows nothing of what they are for.

mod identity;
mod oom;
mod output;
mod priority;
mod supervise;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::identity::kill_left_over;
pub use self::output::{Lines, Tail};
use self::supervise::supervise;
use crate::moment::Moment;

/// What to start.
#[derive(Clone, Debug)]
pub struct Command {
    /// A path, or a bare name that is looked up in the `PATH` of `environment`.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// The whole environment: nothing of the daemon's own is passed on.
    pub environment: Vec<(OsString, OsString)>,
    /// Its standard input; whether it reads it is its own affair. Shared by those that are told the same.
    pub input: Arc<[u8]>,
    /// `None`: the daemon's own.
    pub folder: Option<PathBuf>,
}

/// A process that was started: enough to find it again after a crash, and not to hit another one of the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Also the number of its process group.
    pub pid: i32,
    /// In clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

/// How long a process may take, and how much it may say.
#[derive(Clone, Debug)]
pub struct Limits {
    /// When its group gets TERM.
    pub ends: Moment,
    /// From TERM to KILL.
    pub patience: Duration,
    /// Bytes of output that are taken, standard output and standard error together; what comes after is read and
    /// dropped, so that the process does not block.
    pub output: usize,
}

/// Whether a process gives way to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Ordinary,
    Low,
}

/// Which of its outputs a process wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub exit: Exit,
    /// Why it was told to end; `None` if it ended by itself.
    pub cut: Option<Cut>,
    /// Bytes of output beyond the limit.
    pub dropped: u64,
    /// The end of its output, standard output and standard error together, at most 2 KiB.
    pub tail: String,
}

impl Ended {
    /// The end of a process that never began.
    pub fn not_started(why: impl Into<String>) -> Ended {
        Ended { exit: Exit::NotStarted(why.into()), cut: None, dropped: 0, tail: String::new() }
    }

    /// Whether its time was over before it ended.
    pub fn timed_out(&self) -> bool {
        self.cut == Some(Cut::Time)
    }
}

/// Why a process was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// [`Limits::ends`] came.
    Time,
    /// [`Stop::now`] was called.
    Stopped,
}

/// What a process ended with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// Why it could not be started.
    NotStarted(String),
    /// Its end was not seen: not even KILL ended it within a second (it hangs in the kernel). It was left behind.
    Stuck,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
            Exit::NotStarted(reason) => write!(f, "not started: {reason}"),
            Exit::Stuck => f.write_str("no end was seen, not even after KILL"),
        }
    }
}

/// Tells a running process to end before its time: TERM, and KILL after its patience. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Ends what runs with this, and what is started with it later at once.
    pub fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether [`Stop::now`] was called.
    pub fn called(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Runs `command` until its first process ends or is cut, on the caller's thread; then its group is killed.
///
/// `on_start` is called as soon as it runs, `on_line` with each line of its output (without the line's end; what is
/// not UTF-8 is replaced; lines above 4 KiB come in pieces).
pub fn run(
    command: &Command,
    limits: &Limits,
    stop: &Stop,
    on_start: &mut dyn FnMut(&Started),
    on_line: &mut dyn FnMut(Stream, &str),
) -> Ended {
    let (mut lines, mut tail) = (Lines::new(limits.output), Tail::default());
    let (exit, cut) = supervise(command, limits, stop, on_start, &mut |stream, bytes| {
        tail.take(bytes);
        lines.take(stream, bytes, on_line);
    });
    lines.finish(on_line);
    Ended { exit, cut, dropped: lines.dropped, tail: tail.text() }
}

/// What a process that ended well left.
#[derive(Clone)]
pub struct Output {
    /// May hold secrets (an exec plugin's token): hence no `Debug`.
    pub stdout: Vec<u8>,
    /// The end of what it wrote to standard error, at most 2 KiB.
    pub stderr: String,
}

/// Why there is no output. Nothing of standard output is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Could not be started, was cut, or ended with something else than 0.
    Failed {
        program: PathBuf,
        exit: Exit,
        timed_out: bool,
        /// The end of what it wrote to standard error, at most 2 KiB.
        stderr: String,
    },
    /// It wrote more to standard output than the limit, which is given here in bytes.
    TooMuch { program: PathBuf, limit: usize },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Failed { program, exit, timed_out, stderr } => {
                write!(f, "{} failed: ", program.display())?;
                if *timed_out {
                    f.write_str("it took too long, ")?;
                }
                write!(f, "{exit}")?;
                if !stderr.trim().is_empty() {
                    write!(f, "; it said: {}", stderr.trim())?;
                }
                Ok(())
            }
            Error::TooMuch { program, limit } => {
                write!(f, "{} failed: it wrote more than {limit} bytes to standard output", program.display())
            }
        }
    }
}

impl std::error::Error for Error {}

/// Runs `command` to its end, on the caller's thread, and gives what it wrote to standard output.
pub fn run_to_end(command: &Command, limits: &Limits, priority: Priority) -> Result<Output, Error> {
    let (mut stdout, mut stderr, mut too_much) = (Vec::new(), Tail::default(), false);
    let on_start = &mut |started: &Started| {
        if priority == Priority::Low {
            priority::lower(started.pid);
        }
    };
    let (exit, cut) = supervise(command, limits, &Stop::new(), on_start, &mut |stream, bytes| match stream {
        Stream::Err => stderr.take(bytes),
        Stream::Out if stdout.len() + bytes.len() > limits.output => too_much = true,
        Stream::Out => stdout.extend_from_slice(bytes),
    });
    let program = command.program.clone();
    if exit != Exit::Code(0) || cut.is_some() {
        return Err(Error::Failed { program, exit, timed_out: cut.is_some(), stderr: stderr.text() });
    }
    if too_much {
        return Err(Error::TooMuch { program, limit: limits.output });
    }
    Ok(Output { stdout, stderr: stderr.text() })
}
