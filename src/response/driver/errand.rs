//! The same driver for one errand: where no daemon runs, a drain or an uncordon by hand is done in the process that was
//! asked for it.

use std::thread::{self, JoinHandle};

use super::{Driver, Error, OnlyOne};
use crate::config::{Loaded, Sources};
use crate::control::{Answer, Handle, Request, Unanswered};
use crate::moment::Moment;
use crate::record::{Record, WayBack};
use crate::response::turn::Turn;
use crate::response::{Running, State};
use crate::signals::Caught;
use crate::systemd::Notifier;

/// A driver that ends by itself when what it is asked for first is done.
pub struct Errand {
    handle: Handle,
    driver: JoinHandle<Option<Record>>,
}

impl Errand {
    /// Starts it in a thread of its own, which holds the lock. Whatever comes meanwhile, a notice for instance, is
    /// responded to as a daemon does.
    ///
    /// # Errors
    /// When the operating system refuses what a driver cannot do without.
    pub fn start(only_one: OnlyOne, sources: Sources, loaded: Loaded, signals: Caught) -> Result<Errand, Error> {
        let mut driver = Driver::start(sources, loaded, Notifier::default(), signals)?;
        driver.is_errand = true;
        let handle = driver.handle();
        let work = move || {
            let _only_one = only_one;
            driver.take_up();
            driver.loop_until_told();
            driver.guard.record()
        };
        let driver = thread::Builder::new().name("driver".into()).spawn(work).map_err(Error::Thread)?;
        Ok(Errand { handle, driver })
    }

    /// Asks it as one asks a daemon.
    ///
    /// # Errors
    /// When it has ended, or is busy.
    pub fn ask(&self, request: Request) -> Result<Answer, Unanswered> {
        self.handle.ask(request)
    }

    pub fn has_ended(&self) -> bool {
        self.driver.is_finished()
    }

    /// Waits for its end: the response as it was then.
    pub fn end(self) -> Option<Record> {
        self.driver.join().unwrap_or_default()
    }
}

impl Driver {
    /// Whether what was asked for is done, and all that follows from it.
    pub(super) fn has_done_its_errand(&self) -> bool {
        self.is_errand && self.was_asked && self.guard.state() != State::Responding && !self.is_finishing()
    }

    fn is_finishing(&self) -> bool {
        let mut turn = Turn::at(Moment::now());
        let speaks =
            self.guard.running().is_some_and(|running: &Running| running.withdrawn || !running.has_said_all(&mut turn));
        speaks || self.guard.record().is_some_and(|record| record.way_back() == WayBack::UnderWay)
    }
}
