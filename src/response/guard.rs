//! The guard: the notice that is latched, the response that runs, and what the daemon as a whole does next.

use std::time::Duration;

use log::Level;

use super::action::Action;
use super::event::Event;
use super::running::Running;
use super::turn::{Turn, tenths};
use super::written;
use crate::config::{Reaction, Settings, Terms};
use crate::instance::Instance;
use crate::moment::{Clock, Moment, Timestamp};
use crate::notice::{InstanceAction, Kind, Sighting};
use crate::objects::Standing;
use crate::record::Record;

/// A notice that has been gone in every good poll for this long, after its deadline, is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(300);

/// With less than this left a response goes on when the daemon is told to end.
const GOES_ON_BELOW: Duration = Duration::from_secs(150);

/// All that spot-guard decides. Nothing in it waits, reads a clock, or does anything: it is told what happened and
/// says what to do.
#[derive(Debug)]
pub struct Guard {
    /// For the next response.
    terms: Terms,
    instance: Instance,
    standing: Standing,
    running: Option<Running>,
    /// A notice that was responded to and may still be there.
    latched: Option<Latched>,
    leaving: bool,
    wake: Option<Moment>,
}

#[derive(Debug, Default)]
struct Latched {
    gone_since: Option<Moment>,
    said: bool,
    /// What the notice said, where only the record of an earlier life of the daemon tells of it: whether it was gone
    /// since then is not known, so only the very same is no new one.
    only: Option<(InstanceAction, Option<Timestamp>)>,
}

/// What the guard is doing, for a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Watching,
    Responding,
    /// The response has ended, the deadline may still be to come.
    Done,
}

impl State {
    /// The word for it in the status file.
    pub fn name(self) -> &'static str {
        match self {
            State::Watching => "watching",
            State::Responding => "responding",
            State::Done => "done",
        }
    }
}

impl Guard {
    pub fn new(settings: &Settings) -> Guard {
        Guard {
            terms: Terms::of(settings, Kind::SpotInterruption),
            instance: Instance::default(),
            standing: Standing::Unknown,
            running: None,
            latched: None,
            leaving: false,
            wake: None,
        }
    }

    /// Takes up the newest record, if it is of this boot and is still to be acted on. Gives the record of a response
    /// that a reboot interrupted, or whose deadline came while no daemon ran, closed as such, for the disk.
    pub fn take_up(&mut self, record: Record, boot_id: &str, now: Moment) -> (Vec<Action>, Option<Record>) {
        let mut turn = Turn::at(now);
        let open = record.outcome.is_none();
        if record.clock.boot_id != boot_id {
            let outcome = Some(crate::record::ResponseOutcome::InterruptedByReboot);
            return closed(turn, open, Record { outcome, ..record }, "interrupted by a reboot");
        }
        let mut running = written::read(record);
        let left_over = running.hooks.left_over();
        if !left_over.is_empty() {
            turn.act(Action::KillLeftOver { response: running.id.clone(), started: left_over });
        }
        if running.deadline.at <= now {
            let only = Some((running.notice.action, running.notice.time));
            self.latched = Some(Latched { only, ..Latched::default() });
            running.phases.ended.get_or_insert(running.deadline.at);
            return closed(turn, open, written::write(&running), "cut: its deadline came while no spot-guard ran");
        }
        self.instance = running.instance.clone();
        turn.say(
            Level::Warn,
            format!("response {} is taken up, {} s left", running.id, tenths(now.until(running.deadline.at))),
        );
        turn.act(Action::FindHooks);
        self.running = Some(running);
        (turn.actions, None)
    }

    /// Takes in what happened and says what to do. `clock` is only looked at when a response begins.
    pub fn on(&mut self, event: Event, now: Moment, clock: &dyn Fn() -> Clock) -> Vec<Action> {
        let mut turn = Turn::at(now);
        match event {
            Event::Noticed(sighting) => self.noticed(&mut turn, &sighting, clock),
            Event::Polled(Kind::SpotInterruption) => self.unnoticed(&mut turn),
            Event::Polled(_) | Event::Over(_) => {}
            Event::Reloaded(settings) => self.terms = Terms::of(&settings, Kind::SpotInterruption),
            Event::Standing(standing) => self.standing = standing,
            Event::Terminate { machine_stops } => self.terminate(&mut turn, machine_stops),
            Event::Instance(instance) => {
                self.instance = instance.clone();
                self.absorb(&mut turn, Event::Instance(instance));
            }
            event => self.absorb(&mut turn, event),
        }
        self.advance(&mut turn);
        self.wake = turn.next_wake();
        turn.actions
    }

    fn absorb(&mut self, turn: &mut Turn, event: Event) {
        if let Some(running) = &mut self.running {
            running.absorb(turn, event);
        }
    }

    fn advance(&mut self, turn: &mut Turn) {
        let Some(running) = &mut self.running else { return };
        running.advance(turn, &self.standing);
        if self.leaving && running.has_said_all(turn) {
            turn.act(Action::Exit);
        }
        if running.is_over(turn) {
            running.close(turn);
            self.running = None;
            self.latched = Some(Latched::default());
        }
    }

    fn noticed(&mut self, turn: &mut Turn, sighting: &Sighting, clock: &dyn Fn() -> Clock) {
        let seen = (sighting.action, sighting.time);
        self.latched.take_if(|latched| latched.only.is_some_and(|only| only != seen));
        if let Some(running) = &mut self.running {
            running.noticed(turn, sighting);
        } else if let Some(latched) = &mut self.latched {
            latched.gone_since = None;
            if !std::mem::replace(&mut latched.said, true) {
                turn.say(Level::Warn, "the deadline has passed and the machine still runs; its node stays cordoned");
            }
        } else if self.terms.reaction == Reaction::Ignore {
            self.latched = Some(Latched { said: true, ..Latched::default() });
            turn.say(Level::Warn, format!("{} ({}) ignored, as configured", sighting.kind, sighting.action.name()));
        } else {
            let instance = self.instance.clone();
            self.running = Some(Running::begin(turn, sighting, clock(), self.terms.clone(), instance));
        }
    }

    /// A notice that is not there ends no response: EC2 documents no withdrawal. Only after the deadline it counts.
    fn unnoticed(&mut self, turn: &mut Turn) {
        let Some(latched) = &mut self.latched else { return };
        let gone_since = *latched.gone_since.get_or_insert(turn.now);
        if turn.has_come(gone_since + FORGET_AFTER) {
            self.latched = None;
            turn.say(Level::Info, "the notice has been gone for 5 minutes; watching for the next");
        }
    }

    fn terminate(&mut self, turn: &mut Turn, machine_stops: bool) {
        let goes_on = self.running.as_ref().is_some_and(|running| match running.phases.ended {
            None => machine_stops || turn.now.until(running.deadline.at) < GOES_ON_BELOW,
            Some(_) => !running.has_said_all(turn),
        });
        if self.leaving || !goes_on {
            turn.act(Action::Exit);
        } else {
            turn.say(Level::Info, "told to end: the response goes on to its end first");
        }
        self.leaving = true;
    }

    /// When to be called again with [`Event::Tick`] if nothing happens before.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wake
    }

    /// The running response, as it is to be written down.
    pub fn record(&self) -> Option<Record> {
        self.running.as_ref().map(written::write)
    }

    pub fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    pub fn state(&self) -> State {
        match &self.running {
            None => State::Watching,
            Some(running) if running.phases.ended.is_some() => State::Done,
            Some(_) => State::Responding,
        }
    }

    /// Whether the daemon was told to end and a response still holds it.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// What is going on, in one line for a person.
    pub fn words(&self, now: Moment) -> String {
        let Some(running) = &self.running else {
            let cluster = match &self.standing {
                Standing::Unknown => "looking for the cluster".to_owned(),
                Standing::None(_) => "no cluster, hooks only".to_owned(),
                Standing::Unready(why) => format!("cluster not ready: {why}"),
                Standing::Ready { node_name, doubt: None } => format!("node {node_name} is ready"),
                Standing::Ready { node_name, doubt: Some(why) } => format!("node {node_name} is still ready: {why}"),
            };
            return if self.latched.is_some() {
                "outlived a notice".to_owned()
            } else {
                format!("watching for notices; {cluster}")
            };
        };
        running.words(now)
    }
}

/// What is to be written of a response that was still open and ends here.
fn closed(mut turn: Turn, open: bool, record: Record, how: &str) -> (Vec<Action>, Option<Record>) {
    if open {
        turn.say(Level::Warn, format!("response {} was {how}", record.id));
    }
    (turn.actions, open.then_some(record))
}
