//! The guard: which notice is responded to, the response that runs, the way back, and what the daemon as a whole does
//! next.

mod back;
mod earlier;

use std::sync::Arc;
use std::time::Duration;

use log::Level;

use super::action::Action;
use super::board::{Board, Posted};
use super::event::Event;
use super::running::{Numbers, Running};
use super::turn::Turn;
use super::way_back::WayBack;
use super::written;
use crate::config::{Reaction, Settings, Terms};
use crate::instance::Instance;
use crate::moment::{Clock, Moment};
use crate::notice::{Key, Kind, Sighting};
use crate::objects::Standing;
use crate::record::Record;

/// With less than this left a response goes on when the daemon is told to end.
const GOES_ON_BELOW: Duration = Duration::from_secs(150);

const BY_HAND: Key = Key { kind: Kind::ByHand, event_id: None };

/// All that spot-guard decides. Nothing in it waits, reads a clock, or does anything: it is told what happened and
/// says what to do.
#[derive(Debug)]
pub struct Guard {
    /// For the next response.
    settings: Arc<Settings>,
    instance: Instance,
    standing: Standing,
    board: Board,
    running: Option<Running>,
    way_back: Option<WayBack>,
    /// The last response that acted on the node, once it is over, until that is undone.
    closed: Option<Record>,
    /// Why the node is to be brought back whatever stands: an administrator wants it.
    wanted_back: bool,
    numbers: Numbers,
    /// How far away the API server was when nothing was asked of it.
    distance: Option<Duration>,
    last_id: String,
    leaving: bool,
    wake: Option<Moment>,
}

/// What the guard is doing, for a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Watching,
    Responding,
    /// The response has ended, the deadline may still be to come.
    Done,
    /// The node is being brought back.
    Returning,
}

impl State {
    /// The word for it in the status file.
    pub fn name(self) -> &'static str {
        match self {
            State::Watching => "watching",
            State::Responding => "responding",
            State::Done => "done",
            State::Returning => "returning",
        }
    }
}

impl Guard {
    pub fn new(settings: &Settings) -> Guard {
        Guard {
            settings: Arc::new(settings.clone()),
            instance: Instance::default(),
            standing: Standing::Unknown,
            board: Board::default(),
            running: None,
            way_back: None,
            closed: None,
            wanted_back: false,
            numbers: Numbers::default(),
            distance: None,
            last_id: String::new(),
            leaving: false,
            wake: None,
        }
    }

    /// Takes in what happened and says what to do. `clock` is only looked at when a response or the way back begins.
    pub fn on(&mut self, event: Event, now: Moment, clock: &dyn Fn() -> Clock) -> Vec<Action> {
        let mut turn = Turn::at(now);
        match event {
            Event::Noticed(sighting) => self.noticed(&mut turn, &sighting),
            Event::TakenBack(key) => self.board.take_back(&key),
            Event::Completed(key) => self.board.completed(&key),
            Event::Polled(kind) => self.board.polled(kind, now),
            Event::Woke => self.board.woke(now),
            Event::Uncordon => self.wanted_back = self.refuses_uncordon().is_none(),
            Event::Reloaded(settings) => self.settings = settings,
            Event::Standing(standing) => self.stands(standing),
            Event::Distance(distance) => self.distance = Some(distance),
            Event::Terminate { machine_stops } => self.terminate(&mut turn, machine_stops),
            Event::Instance(instance) => {
                self.instance = instance.clone();
                self.forget_other_instances();
                self.absorb(&mut turn, Event::Instance(instance));
            }
            event => self.absorb(&mut turn, event),
        }
        self.withdraw(&mut turn);
        while self.answer_next(&mut turn, clock) {}
        self.advance(&mut turn);
        self.go_back(&mut turn, clock);
        self.wake = turn.next_wake();
        turn.actions
    }

    fn absorb(&mut self, turn: &mut Turn, event: Event) {
        match (&mut self.running, &mut self.way_back) {
            (Some(running), _) => running.absorb(turn, event),
            (None, Some(way_back)) => way_back.absorb(turn, event),
            (None, None) => {}
        }
    }

    /// What was found out about the cluster, beside what is asked of it here.
    fn stands(&mut self, standing: Standing) {
        let is_ready = |standing: &Standing| matches!(standing, Standing::Ready { .. });
        let is_back = is_ready(&standing) && !is_ready(&self.standing);
        self.standing = standing;
        if is_back {
            self.running.iter_mut().for_each(Running::hurry);
            self.way_back.iter_mut().for_each(WayBack::hurry);
        }
    }

    fn noticed(&mut self, turn: &mut Turn, sighting: &Sighting) {
        let key = sighting.key();
        if key == BY_HAND {
            self.begin_anew_by_hand(turn);
        }
        match &mut self.running {
            Some(running) if running.notice.key() == key && !running.withdrawn => running.noticed(turn, sighting),
            _ => {}
        }
        let was_answered = self.board.see(sighting, turn.now, &self.settings.responses, self.instance.id.as_deref());
        if was_answered {
            turn.say(Level::Info, format!("the {} was responded to already", sighting.kind));
        }
        let runs = self.running.as_ref().is_some_and(|running| running.notice.key() == key);
        if !runs && self.board.outlived(&key, turn.now) {
            turn.say(Level::Warn, "the deadline has passed and the machine still runs; its node stays cordoned");
        }
    }

    /// A drain by hand after another that has ended is a new one.
    fn begin_anew_by_hand(&mut self, turn: &mut Turn) {
        match &self.running {
            Some(running) if running.notice.key() == BY_HAND && running.phases.ended.is_some() => self.close(turn),
            Some(running) if running.notice.key() == BY_HAND => return,
            _ => {}
        }
        self.board.take_back(&BY_HAND);
    }

    /// Drops notices that are gone. A response whose notice is gone, or that an administrator takes back, ends.
    fn withdraw(&mut self, turn: &mut Turn) {
        let key = self.running.as_ref().filter(|running| !running.withdrawn).map(|running| running.notice.key());
        for posted in self.board.forget(turn, key.as_ref()) {
            turn.say(Level::Info, format!("the {} is gone", posted.sighting.kind));
        }
        let Some(key) = key else { return };
        if !self.wanted_back && self.board.stands(turn, &key, &self.settings.responses) {
            return;
        }
        if self.wanted_back && key.kind == Kind::ByHand {
            self.board.take_back(&key);
        }
        // Another notice that stands takes over, if there is one.
        if !self.wanted_back && self.take_over_by_the_next(turn) {
            return;
        }
        if let Some(running) = &mut self.running {
            running.is_withdrawn(turn);
            // Hooks that it has stopped have still to end.
            if !running.withdrawn || running.is_over(turn) {
                self.close(turn);
            }
        }
    }

    fn take_over_by_the_next(&mut self, turn: &mut Turn) -> bool {
        let acts = |reaction| matches!(reaction, Reaction::Drain | Reaction::Cordon);
        let Some(posted) = self.board.next(turn, &self.settings.responses, false) else { return false };
        let terms = Terms::of(&self.settings, posted.sighting.kind);
        if !acts(terms.reaction) || posted.deadline.at <= turn.now {
            return false;
        }
        match &mut self.running {
            Some(running) if running.phases.ended.is_none() => take_over(turn, running, &posted, &terms),
            _ => return false,
        }
        self.board.answered(&posted.sighting.key(), terms.reaction);
        true
    }

    /// Answers the notice that asks for the most and comes first. Says whether there may be another.
    fn answer_next(&mut self, turn: &mut Turn, clock: &dyn Fn() -> Clock) -> bool {
        let beside = self.running.as_ref().is_some_and(|running| !running.withdrawn);
        if self.leaving && !beside {
            return false;
        }
        let Some(posted) = self.board.next(turn, &self.settings.responses, beside) else { return false };
        let (key, kind) = (posted.sighting.key(), posted.sighting.kind);
        let terms = Terms::of(&self.settings, kind);
        if terms.reaction == Reaction::Ignore {
            turn.say(Level::Warn, format!("{} ignored, as configured", kind.with(posted.sighting.action)));
            self.board.answered(&key, Reaction::Ignore);
            return true;
        }
        match &mut self.running {
            None => self.begin(turn, &posted, terms, clock),
            Some(running) if beside && !goes_before(&posted, &terms, running) => {
                running.stands_beside(turn, &posted.sighting);
                if terms.reaction < running.terms.reaction {
                    self.board.answered(&key, terms.reaction);
                } else {
                    self.board.noted(&key);
                }
            }
            Some(running) if running.phases.ended.is_none() => {
                let (former, reaction) = (running.notice.key(), running.terms.reaction);
                take_over(turn, running, &posted, &terms);
                self.board.answered(&key, terms.reaction);
                if reaction < terms.reaction {
                    self.board.answered(&former, reaction);
                } else {
                    self.board.noted(&former);
                }
            }
            // What has ended is over; it is not begun again.
            Some(_) => {
                self.close(turn);
                self.begin(turn, &posted, terms, clock);
            }
        }
        true
    }

    fn begin(&mut self, turn: &mut Turn, posted: &Posted, terms: Terms, clock: &dyn Fn() -> Clock) {
        let key = posted.sighting.key();
        self.board.answered(&key, terms.reaction);
        if posted.waited && posted.deadline.at <= turn.now {
            // It waited behind another until its own time was over.
            return;
        }
        self.wanted_back = false;
        if let Some(mut way_back) = self.way_back.take() {
            way_back.abandon(turn);
            self.numbers = way_back.numbers();
        }
        let seen = if posted.waited { turn.now } else { posted.sighting.seen };
        let sighting = Sighting { seen, ..posted.sighting.clone() };
        let instance = self.instance.clone();
        let running = Running::begin(turn, &sighting, posted.deadline, clock(), terms, instance, &self.last_id);
        self.last_id.clone_from(&running.id);
        self.running = Some(running.after(self.numbers).at_a_distance(self.distance));
    }

    fn advance(&mut self, turn: &mut Turn) {
        let Some(running) = &mut self.running else {
            // The response that held it was taken back.
            if self.leaving {
                turn.act(Action::Exit);
            }
            return;
        };
        running.advance(turn, &self.standing);
        let is_over = running.is_over(turn);
        if self.leaving && (is_over || running.has_said_all(turn)) {
            turn.act(Action::Exit);
        }
        if is_over {
            self.close(turn);
        }
    }

    /// The response is over.
    fn close(&mut self, turn: &mut Turn) {
        let Some(mut running) = self.running.take() else { return };
        running.close(turn);
        self.numbers = running.numbers();
        self.numbers.revision += 1;
        let record = written::write(&running);
        turn.act(Action::WriteClosed { revision: self.numbers.revision, record: Box::new(record.clone()) });
        if record.terms.cordons() {
            self.closed = Some(record);
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
            turn.say(Level::Warn, "told to end: the response goes on to its end first");
        }
        self.leaving = true;
    }

    /// When to be called again with [`Event::Tick`] if nothing happens before.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wake
    }

    /// The running response, or that which is being undone, as it is to be written down.
    pub fn record(&self) -> Option<Record> {
        match (&self.running, &self.way_back) {
            (Some(running), _) => Some(written::write(running)),
            (None, Some(way_back)) => Some(way_back.record()),
            (None, None) => None,
        }
    }

    /// The id of the running response, or of that which is being undone.
    pub fn response_id(&self) -> Option<&str> {
        match (&self.running, &self.way_back) {
            (Some(running), _) => Some(&running.id),
            (None, way_back) => way_back.as_ref().map(WayBack::id),
        }
    }

    pub fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The notices that stand, answered or not.
    pub fn notices(&self) -> impl Iterator<Item = &Sighting> {
        self.board.standing()
    }

    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    pub fn state(&self) -> State {
        match &self.running {
            None if self.way_back.is_some() => State::Returning,
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
        if let Some(running) = &self.running {
            return running.words(now);
        }
        if self.way_back.is_some() {
            return "bringing the node back".to_owned();
        }
        let cluster = match &self.standing {
            Standing::Unknown => "looking for the cluster".to_owned(),
            Standing::None(_) => "no cluster, hooks only".to_owned(),
            Standing::Unready(why) => format!("cluster not ready: {why}"),
            Standing::Ready { node_name, doubt: None } => format!("node {node_name} is ready"),
            Standing::Ready { node_name, doubt: Some(why) } => format!("node {node_name} is still ready: {why}"),
        };
        let cordoned = if self.closed.is_some() { "; it stays cordoned" } else { "" };
        let article = |kind| if kind == Kind::AutoscalingTermination { "an" } else { "a" };
        let notices = self.notices().map(|Sighting { kind, .. }| format!("{} {kind}", article(*kind)));
        let notices: Vec<String> = notices.collect();
        let stand = if notices.is_empty() { String::new() } else { format!("; there is {}", notices.join(", ")) };
        format!("watching for notices; {cluster}{cordoned}{stand}")
    }
}

/// Whether a notice is to be answered instead of the one that is being responded to: it asks for more, or for the same
/// and earlier.
fn goes_before(posted: &Posted, terms: &Terms, running: &Running) -> bool {
    match terms.reaction.cmp(&running.terms.reaction) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => posted.deadline.at < running.deadline.at,
        std::cmp::Ordering::Less => false,
    }
}

fn take_over(turn: &mut Turn, running: &mut Running, posted: &Posted, terms: &Terms) {
    let seen = if posted.waited { turn.now } else { posted.sighting.seen };
    running.is_taken_over(turn, &Sighting { seen, ..posted.sighting.clone() }, posted.deadline, terms);
}
