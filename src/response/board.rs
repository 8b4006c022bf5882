//! The notices that stand: which are still to be answered, which were, and which are over.
//!
//! Knows when a notice counts as gone. Knows nothing of what a response does.

use std::time::Duration;

use super::turn::Turn;
use crate::config::{Reaction, Responses};
use crate::instance::Instance;
use crate::moment::{Moment, Timestamp};
use crate::notice::{self, Deadline, InstanceAction, Key, Kind, Sighting};

/// A notice that has been gone in every good poll for this long, after its deadline, is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(300);

/// A scheduled event that is missing in so many good polls in a row is cancelled; one alone may be a slip.
const MISSES: u32 = 3;

/// A notice that stands.
#[derive(Clone, Debug)]
pub struct Posted {
    /// As it was last seen, but for the moment, which is that of its first sight.
    pub sighting: Sighting,
    pub deadline: Deadline,
    state: State,
    /// Its turn did not come at first sight.
    pub waited: bool,
    /// The running response knows of it.
    noted: bool,
    /// The machine was rebooted, stopped and started, or woken from hibernation since it was answered.
    came_back: bool,
    /// It was answered in an earlier life of the daemon, and not seen since: another of its kind may stand by now.
    unconfirmed: bool,
    /// The instance on which it was answered in an earlier life of the daemon, if that is known.
    instance_id: Option<String>,
    /// It is said to have been done.
    completed: bool,
    /// The good poll that is under way has shown it.
    seen: bool,
    missed: u32,
    gone_since: Option<Moment>,
    outlived: bool,
    /// What was done about it was undone by hand.
    undone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Still to be answered.
    Open,
    /// It was responded to so.
    Answered(Reaction),
    /// What it announced has happened already.
    Stale,
}

/// How a notice was answered in an earlier life of the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub reaction: Reaction,
    /// It was in an earlier boot.
    pub came_back: bool,
    pub instance: &'a Instance,
}

/// A notice that was responded to before this daemon was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    pub key: Key,
    pub action: InstanceAction,
    pub time: Option<Timestamp>,
    /// What was done about it.
    pub reaction: Reaction,
    pub same_boot: bool,
    pub instance_id: Option<String>,
}

impl Past {
    /// Whether it shows that a later notice is another. Without, it is known by being there without a break.
    fn is_told_apart(&self) -> bool {
        self.time.is_some() && self.key.kind != Kind::RebalanceRecommendation
    }
}

#[derive(Debug, Default)]
pub struct Board {
    posted: Vec<Posted>,
    past: Vec<Past>,
}

impl Posted {
    fn new(sighting: Sighting, deadline: Deadline, state: State) -> Posted {
        Posted {
            sighting,
            deadline,
            state,
            waited: false,
            noted: false,
            came_back: false,
            unconfirmed: false,
            instance_id: None,
            completed: false,
            seen: false,
            missed: 0,
            gone_since: None,
            outlived: false,
            undone: false,
        }
    }

    fn is(&self, key: &Key) -> bool {
        self.sighting.kind == key.kind && self.sighting.event_id == key.event_id
    }

    /// When it is to be acted on: a scheduled event only `window` before its time.
    fn due(&self, responses: &Responses) -> Moment {
        match self.sighting.kind {
            Kind::Maintenance => self.deadline.at - responses.maintenance.window,
            _ => Moment::default(),
        }
    }

    /// Whether it is gone for good. `running`: it is being responded to.
    fn is_over(&self, turn: &mut Turn, running: bool) -> bool {
        if self.missed > 0 && (self.state == State::Stale || (self.came_back && survives(self.sighting.action))) {
            return true;
        }
        match self.sighting.kind {
            Kind::Maintenance => self.missed >= MISSES && !self.completed,
            // Its state tells when it is over.
            Kind::AutoscalingTermination | Kind::ByHand => false,
            Kind::SpotInterruption | Kind::RebalanceRecommendation => {
                !running && self.gone_since.is_some_and(|since| turn.has_come(since + FORGET_AFTER))
            }
        }
    }

    /// It was seen again.
    fn again(&mut self, sighting: Sighting, now: Moment, responses: &Responses) {
        let was_gone_and_undone = self.gone_since.is_some() && self.undone;
        (self.missed, self.gone_since, self.completed, self.seen) = (0, None, false, true);
        let unconfirmed = std::mem::take(&mut self.unconfirmed);
        let same = (sighting.action, sighting.time) == (self.sighting.action, self.sighting.time);
        let deadline = notice::deadline(&sighting, responses.of(sighting.kind).window);
        if same && self.came_back && deadline.overdue {
            if survives(sighting.action) {
                self.state = State::Stale;
            }
            return;
        }
        let is_recommendation = sighting.kind == Kind::RebalanceRecommendation;
        let is_another =
            !is_recommendation && (self.came_back || (!same && (unconfirmed || self.state == State::Stale)));
        // One that names no time looks like the one before.
        let comes_anew = was_gone_and_undone && (!same || sighting.time.is_none()) && !deadline.overdue;
        if is_another || comes_anew {
            *self = Posted { seen: true, ..Posted::new(sighting, deadline, State::Open) };
        } else if !same {
            self.changes(sighting, deadline, now, responses);
        }
    }

    /// It says something else than before.
    fn changes(&mut self, sighting: Sighting, deadline: Deadline, now: Moment, responses: &Responses) {
        let was_due = self.due(responses) <= now;
        let seen = self.sighting.seen;
        // One that was answered gets no new deadline because its time has passed.
        let deadline = if deadline.overdue && self.state != State::Open { self.deadline } else { deadline };
        (self.sighting, self.deadline, self.noted) = (Sighting { seen, ..sighting }, deadline, false);
        // A scheduled event that was put off is answered when its time comes again.
        if was_due && now < self.due(responses) {
            (self.state, self.waited) = (State::Open, true);
        }
    }

    fn miss(&mut self, now: Moment) {
        self.missed = self.missed.saturating_add(1);
        self.gone_since.get_or_insert(now);
    }
}

/// Whether the machine comes back after that.
fn survives(action: InstanceAction) -> bool {
    !matches!(action, InstanceAction::Terminate | InstanceAction::None)
}

impl Board {
    /// What a record tells of a notice that was responded to.
    pub fn remember(&mut self, past: Past) {
        self.past.push(past);
    }

    /// Posts the notice of a response that an earlier life of the daemon began and this one goes on with.
    pub fn post_running(&mut self, sighting: Sighting, deadline: Deadline, reaction: Reaction) {
        self.post(Posted::new(sighting, deadline, State::Answered(reaction)));
    }

    /// Posts the notice of a response that is over.
    pub fn post_answered(&mut self, sighting: Sighting, deadline: Deadline, answer: Answer<'_>) {
        let posted = Posted::new(sighting, deadline, State::Answered(answer.reaction));
        let instance_id = answer.instance.id.clone();
        self.post(Posted { came_back: answer.came_back, unconfirmed: true, instance_id, ..posted });
    }

    fn post(&mut self, posted: Posted) {
        self.take_back(&posted.sighting.key());
        self.posted.push(posted);
    }

    /// Nothing stands any more.
    pub fn clear(&mut self) {
        self.posted.clear();
    }

    /// What was answered on another instance does not stand on this one.
    pub fn forget_other_instances(&mut self, ours: Option<&str>) {
        self.posted.retain(|posted| posted.instance_id.is_none() || posted.instance_id.as_deref() == ours);
    }

    /// A notice was seen. Gives whether that is news which was answered in an earlier life of the daemon.
    pub fn see(&mut self, sighting: &Sighting, now: Moment, responses: &Responses, instance: Option<&str>) -> bool {
        let key = sighting.key();
        if let Some(posted) = self.posted.iter_mut().find(|posted| posted.is(&key)) {
            let was_unconfirmed = posted.unconfirmed;
            posted.again(sighting.clone(), now, responses);
            return was_unconfirmed && posted.state != State::Open;
        }
        let deadline = notice::deadline(sighting, responses.of(sighting.kind).window);
        let state = self.past_state(sighting, deadline, instance);
        self.posted.push(Posted { seen: true, ..Posted::new(sighting.clone(), deadline, state) });
        state != State::Open
    }

    /// What earlier lives of the daemon did about a notice that this one sees for the first time.
    fn past_state(&self, sighting: &Sighting, deadline: Deadline, instance: Option<&str>) -> State {
        let is_known = |past: &&Past| {
            let elsewhere = past.instance_id.as_deref().zip(instance).is_some_and(|(theirs, ours)| theirs != ours);
            let same = (past.action, past.time) == (sighting.action, sighting.time);
            past.key == sighting.key() && !elsewhere && (same || sighting.kind == Kind::RebalanceRecommendation)
        };
        match self.past.iter().rev().find(is_known) {
            Some(past) if past.same_boot || sighting.kind == Kind::RebalanceRecommendation => {
                State::Answered(past.reaction)
            }
            Some(_) if deadline.overdue => State::Stale,
            _ => State::Open,
        }
    }

    /// A good poll has shown all notices of that kind: the others are not there.
    pub fn polled(&mut self, kind: Kind, now: Moment) {
        for posted in self.posted.iter_mut().filter(|posted| posted.sighting.kind == kind) {
            if !std::mem::take(&mut posted.seen) {
                posted.miss(now);
            }
        }
        let stands = |key: &Key| self.posted.iter().any(|posted| posted.is(key) && posted.missed == 0);
        self.past.retain(|past| past.key.kind != kind || past.is_told_apart() || stands(&past.key));
    }

    /// What was done was undone by hand.
    pub fn undone(&mut self) {
        self.posted.iter_mut().for_each(|posted| posted.undone = true);
    }

    /// That notice was taken back.
    pub fn take_back(&mut self, key: &Key) {
        self.posted.retain(|posted| !posted.is(key));
    }

    /// That event is said to have been done. A reboot that this boot has not seen is still to come.
    pub fn completed(&mut self, key: &Key) {
        let awaits = |posted: &Posted| posted.sighting.action == InstanceAction::Reboot && !posted.came_back;
        self.posted.retain(|posted| !posted.is(key) || awaits(posted));
        if let Some(posted) = self.posted.iter_mut().find(|posted| posted.is(key)) {
            posted.completed = true;
            posted.seen = true;
        }
    }

    /// The machine slept and is awake again: a hibernation whose time is over has happened.
    pub fn woke(&mut self, now: Moment) {
        for posted in &mut self.posted {
            posted.came_back |= posted.sighting.action == InstanceAction::Hibernate && posted.deadline.at <= now;
        }
    }

    /// Drops what is over; gives it. `running`: what is being responded to.
    pub fn forget(&mut self, turn: &mut Turn, running: Option<&Key>) -> Vec<Posted> {
        let mut over = Vec::new();
        for posted in std::mem::take(&mut self.posted) {
            let is_running = running.is_some_and(|key| posted.is(key));
            let kept = !posted.is_over(turn, is_running);
            if kept { self.posted.push(posted) } else { over.push(posted) }
        }
        over
    }

    /// Whether that notice, which is being responded to, still stands and is not put off.
    pub fn stands(&self, turn: &mut Turn, key: &Key, responses: &Responses) -> bool {
        let posted = self.posted.iter().find(|posted| posted.is(key));
        posted.is_some_and(|posted| posted.state != State::Open || turn.has_come(posted.due(responses)))
    }

    /// The notice that is to be answered next, of those whose time has come: what asks for the most, then what comes
    /// first. `beside`: while another is being responded to, which knows of some.
    pub fn next(&mut self, turn: &mut Turn, responses: &Responses, beside: bool) -> Option<Posted> {
        let mut due = Vec::new();
        for posted in self.posted.iter_mut().filter(|posted| posted.state == State::Open) {
            let has_come = turn.has_come(posted.due(responses));
            posted.waited |= !has_come;
            if has_come && !(beside && posted.noted) {
                due.push(&*posted);
            }
        }
        let rank =
            |posted: &&Posted| (responses.of(posted.sighting.kind).reaction, std::cmp::Reverse(posted.deadline.at));
        due.into_iter().max_by_key(rank).cloned()
    }

    /// That notice was answered so.
    pub fn answered(&mut self, key: &Key, reaction: Reaction) {
        self.change(key, |posted| posted.state = State::Answered(reaction));
    }

    /// The running response knows of that notice, which waits behind another.
    pub fn noted(&mut self, key: &Key) {
        self.change(key, |posted| (posted.state, posted.noted, posted.waited) = (State::Open, true, true));
    }

    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Posted)) {
        if let Some(posted) = self.posted.iter_mut().find(|posted| posted.is(key)) {
            change(posted);
        }
    }

    /// Whether a notice stands for which the node was cordoned.
    pub fn holds(&self) -> bool {
        self.posted.iter().any(|posted| matches!(posted.state, State::Answered(Reaction::Cordon | Reaction::Drain)))
    }

    /// Whether the machine has outlived that notice, for which its node was cordoned; said once.
    pub fn outlived(&mut self, key: &Key, now: Moment) -> bool {
        let Some(posted) = self.posted.iter_mut().find(|posted| posted.is(key)) else { return false };
        let acted = matches!(posted.state, State::Answered(Reaction::Cordon | Reaction::Drain));
        acted && posted.deadline.at <= now && !std::mem::replace(&mut posted.outlived, true)
    }

    /// The notices that stand.
    pub fn standing(&self) -> impl Iterator<Item = &Sighting> {
        let stand = self.posted.iter().filter(|posted| posted.state != State::Stale && posted.gone_since.is_none());
        stand.map(|posted| &posted.sighting)
    }
}
