//! Who does what is asked for by hand: the daemon, or where none runs a driver in this process.

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use log::LevelFilter;

use super::{WRONG, complain};
use crate::config::{self, Loaded, Log, Sources};
use crate::control::{self, Answer, Request};
use crate::moment::Moment;
use crate::observe;
use crate::record::Record;
use crate::response::driver::{self, Errand, OnlyOne};
use crate::signals::Caught;

/// A daemon that has just started, or another command that has just ended, is given so long.
const START: Duration = Duration::from_secs(5);

/// What the asker wants of whoever does it.
#[derive(Clone, Copy, Debug)]
pub struct Wants {
    /// Nobody waits for the end, so this process cannot be the one.
    pub no_wait: bool,
    /// Broken settings are left out, as the daemon does; else nothing is done with them.
    pub whatever_the_settings: bool,
}

pub enum Doer {
    Daemon { runtime: PathBuf },
    Here(Errand),
}

impl Doer {
    /// Finds the daemon, or becomes what does it. `signals` go to the latter, else they come back.
    ///
    /// # Errors
    /// When nobody can do it.
    pub fn find(sources: Sources, wants: Wants, signals: io::Result<Caught>) -> Result<(Doer, Option<Caught>), Error> {
        let loaded = config::load(&sources);
        observe::log::set_up(&log(&loaded, &sources));
        let runtime = loaded.settings.folders.runtime.clone();
        let Some(only_one) = lock(&runtime, wants)? else {
            return match loaded.settings.dry_run {
                true => Err(Error::DryRunOfADaemon),
                false => Ok((Doer::Daemon { runtime }, signals.ok())),
            };
        };
        let errand = start(only_one, sources, loaded, wants, signals)?;
        Ok((Doer::Here(errand), None))
    }

    /// # Errors
    /// When nothing was answered.
    pub fn ask(&self, request: Request) -> Result<Answer, Error> {
        match self {
            Doer::Daemon { runtime } => control::ask(runtime, &request).map_err(Error::Control),
            Doer::Here(errand) => errand.ask(request).map_err(Error::Unanswered),
        }
    }

    /// Whether nothing more is to come from here.
    pub fn has_ended(&self) -> bool {
        matches!(self, Doer::Here(errand) if errand.has_ended())
    }

    /// Waits for what is done here to end; the response as it was then.
    pub fn end(self) -> Option<Record> {
        match self {
            Doer::Daemon { .. } => None,
            Doer::Here(errand) => errand.end(),
        }
    }
}

/// The lock that only one may hold; `None` where a daemon listens. One that holds the lock and does not listen is given
/// time: it has just begun, or is about to end.
fn lock(runtime: &Path, wants: Wants) -> Result<Option<OnlyOne>, Error> {
    let by = Moment::now() + START;
    loop {
        if control::is_served(runtime).map_err(Error::Control)? {
            return Ok(None);
        }
        if wants.no_wait {
            return Err(Error::NobodyToGoOn);
        }
        match OnlyOne::lock(runtime) {
            Ok(only_one) => return Ok(Some(only_one)),
            Err(lock) if Moment::now() >= by => return Err(Error::DeafDaemon { lock, runtime: runtime.to_owned() }),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn start(
    only_one: OnlyOne,
    sources: Sources,
    loaded: Loaded,
    wants: Wants,
    signals: io::Result<Caught>,
) -> Result<Errand, Error> {
    if !loaded.problems.is_empty() && !wants.whatever_the_settings {
        return Err(Error::Settings(loaded.problems.iter().map(ToString::to_string).collect()));
    }
    loaded.problems.iter().for_each(|problem| log::error!("{problem}; it is left out as a whole"));
    let signals = signals.map_err(|error| Error::Driver(driver::Error::Signals(error)))?;
    Errand::start(only_one, sources, loaded, signals).map_err(Error::Driver)
}

/// On a terminal the line that follows the response says what the log would.
fn log(loaded: &Loaded, sources: &Sources) -> Log {
    let by_flag = sources.flags.settings.iter().any(|(flag, _)| *flag == "log-level");
    let quiet = io::stderr().is_terminal() && !by_flag;
    let level = loaded.settings.log.level;
    Log { level: if quiet { level.min(LevelFilter::Warn) } else { level }, ..loaded.settings.log.clone() }
}

/// Why nobody does it.
#[derive(Debug)]
pub enum Error {
    Control(control::Error),
    Unanswered(control::Unanswered),
    Driver(driver::Error),
    /// A daemon holds the lock and has no socket.
    DeafDaemon {
        lock: PathBuf,
        runtime: PathBuf,
    },
    DryRunOfADaemon,
    NobodyToGoOn,
    /// What is wrong with them, a line each.
    Settings(Vec<String>),
}

impl Error {
    /// Complains, and gives the exit code.
    pub fn tell(&self) -> ExitCode {
        complain(&self.to_string());
        match self {
            Error::DryRunOfADaemon | Error::NobodyToGoOn | Error::Settings(_) => ExitCode::from(WRONG),
            _ => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Control(error) => error.fmt(f),
            Error::Unanswered(error) => error.fmt(f),
            Error::Driver(error) => error.fmt(f),
            Error::DeafDaemon { lock, runtime } => write!(
                f,
                "a spot-guard runs (it holds {}) and does not listen in {}; its log says why",
                lock.display(),
                runtime.display()
            ),
            Error::DryRunOfADaemon => f.write_str(
                "--dry-run is for where no daemon runs: the one that does changes things, unless it was started with \
                 --dry-run itself",
            ),
            Error::NobodyToGoOn => f.write_str(
                "--no-wait needs a daemon that goes on with it, and none runs: start it, or leave --no-wait away",
            ),
            Error::Settings(problems) => {
                write!(f, "{}\nnothing was done; mend the settings first", problems.join("\n"))
            }
        }
    }
}

impl std::error::Error for Error {}
