//! The notice that a response goes by: it changes, gives way to another, or is taken back.

use log::Level;

use super::Running;
use crate::config::Terms;
use crate::moment::{Moment, Timestamp};
use crate::notice::{self, Deadline, InstanceAction, Key, Kind, Sighting};
use crate::record::Stage;
use crate::response::tell;
use crate::response::turn::{Turn, tenths};

/// The notice as it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub kind: Kind,
    pub action: InstanceAction,
    pub event_id: Option<String>,
    pub time: Option<Timestamp>,
    pub first_seen: Moment,
}

impl Notice {
    pub fn of(sighting: &Sighting) -> Notice {
        Notice {
            kind: sighting.kind,
            action: sighting.action,
            event_id: sighting.event_id.clone(),
            time: sighting.time,
            first_seen: sighting.seen,
        }
    }

    pub fn key(&self) -> Key {
        Key { kind: self.kind, event_id: self.event_id.clone() }
    }

    /// `spot interruption (terminate)`
    pub fn words(&self) -> String {
        match self.action {
            InstanceAction::None => self.kind.to_string(),
            action => format!("{} ({})", self.kind, action.name()),
        }
    }
}

impl Running {
    pub(super) fn announcement(&self, turn: &Turn) -> String {
        let left = tenths(turn.now.until(self.deadline.at));
        let dry = if self.terms.dry_run { ", as a dry run: nothing is changed" } else { "" };
        format!("{}, {left} s left: {}{dry}", self.notice.words(), self.terms.reaction.name())
    }

    pub(super) fn tell_of_the_notice(&mut self, turn: &Turn) {
        self.tell_webhook(Stage::Notice);
        let message = tell::notice_words(&self.notice, &self.instance);
        if self.terms.conditions {
            let deadline = self.clock.timestamp(self.deadline.at);
            self.tell.condition(tell::reason(self.notice.kind), format!("{message}; deadline {deadline}"));
        }
        if self.notice.kind != Kind::ByHand {
            let left = tenths(turn.now.until(self.deadline.at));
            self.tell_event(tell::reason(self.notice.kind), format!("{message}; {left} s left"), true);
        }
    }

    /// Its notice was seen again: the deadline may come nearer, never go further away.
    pub fn noticed(&mut self, turn: &mut Turn, sighting: &Sighting) {
        if (sighting.action, sighting.time) == (self.notice.action, self.notice.time) {
            return;
        }
        let deadline = notice::deadline(sighting, self.terms.window);
        if deadline.at < self.deadline.at {
            self.start_blind_waves_anew(turn);
        }
        let nearer = deadline.at < self.deadline.at || (deadline.overdue && !self.deadline.overdue);
        // A hibernation that was announced has begun.
        let hibernates = self.notice.action == InstanceAction::Hibernate;
        let action = if hibernates { InstanceAction::Hibernate } else { sighting.action };
        if !nearer && action == self.notice.action {
            return;
        }
        let changed = Notice { action, time: sighting.time, ..self.notice.clone() };
        self.earlier_notices.push(std::mem::replace(&mut self.notice, changed));
        self.deadline.at = self.deadline.at.min(deadline.at);
        self.deadline.overdue |= deadline.overdue;
        self.pods.are_tried_anew(turn.now);
        let left = tenths(turn.now.until(self.deadline.at));
        turn.say(Level::Warn, format!("the notice has changed: {}, {left} s left", self.notice.words()));
        self.changed_urgently();
    }

    /// Another notice takes over, in the middle: what was done is not done again, what is still to be done is done by
    /// the new one's deadline and terms.
    pub fn is_taken_over(&mut self, turn: &mut Turn, sighting: &Sighting, deadline: Deadline, terms: &Terms) {
        self.start_blind_waves_anew(turn);
        self.earlier_notices.push(std::mem::replace(&mut self.notice, Notice::of(sighting)));
        let key = self.notice.key();
        self.notices_beside.retain(|beside| beside.key() != key);
        self.deadline = deadline;
        let does_more = terms.reaction > self.terms.reaction;
        let reaction = self.terms.reaction.max(terms.reaction);
        self.terms = Terms { reaction, force: terms.force, window: terms.window, ..self.terms.clone() };
        if does_more {
            self.node.do_more();
        }
        self.phases.begun = false;
        self.pods.are_tried_anew(turn.now);
        turn.say(Level::Warn, self.announcement(turn));
        self.tell_of_the_notice(turn);
        self.changed_urgently();
    }

    /// How often another notice has taken over.
    pub(super) fn take_overs(&self) -> u32 {
        let keys: Vec<Key> = self.earlier_notices.iter().chain([&self.notice]).map(Notice::key).collect();
        let changes = keys.windows(2).filter(|two| two.first() != two.last()).count();
        u32::try_from(changes).unwrap_or(u32::MAX)
    }

    /// Another notice stands too, which asks for less or comes later.
    pub fn stands_beside(&mut self, turn: &mut Turn, sighting: &Sighting) {
        let notice = Notice::of(sighting);
        turn.say(Level::Warn, format!("there is a {} too", notice.words()));
        self.tell_event(tell::reason(notice.kind), tell::notice_words(&notice, &self.instance), true);
        self.notices_beside.push(notice);
        self.changed_urgently();
    }

    /// Its notice was taken back in the middle: nothing more is done.
    pub fn is_withdrawn(&mut self, turn: &mut Turn) {
        turn.say(Level::Warn, format!("the {} was taken back", self.notice.kind));
        if self.phases.ended.is_none() {
            self.withdrawn = true;
            self.phases.ended = Some(turn.now);
            self.tell_webhook(Stage::End);
            self.changed_urgently();
        }
        self.hooks.stop_all(turn);
    }
}
