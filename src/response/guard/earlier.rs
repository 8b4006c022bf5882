//! What earlier lives of the daemon left: the response to go on with, notices that were responded to, and what is still to
//! be undone.

use log::Level;

use super::Guard;
use crate::config::Terms;
use crate::instance::Instance;
use crate::moment::{Clock, Moment};
use crate::notice::{Deadline, InstanceAction, Key, Kind, Sighting};
use crate::record::{Record, ResponseOutcome, WayBack as Back};
use crate::response::action::Action;
use crate::response::board::Past;
use crate::response::running::{self, Notice, Running};
use crate::response::turn::{Turn, tenths};
use crate::response::written;

impl Guard {
    /// What an older record tells: that its notice was responded to, and what may still be to undo. The oldest first,
    /// before [`Guard::take_up`].
    pub fn remember(&mut self, record: &Record, boot_id: &str) {
        if record.terms.dry_run != self.settings.dry_run {
            return;
        }
        let notices = record.earlier_notices.iter().chain(&record.notices_beside).chain([&record.notice]);
        for notice in notices {
            self.board.remember(Past {
                key: Key { kind: notice.kind, event_id: notice.event_id.clone() },
                action: notice.action,
                time: notice.time,
                reaction: record.terms.reaction,
                same_boot: record.clock.boot_id == boot_id,
                instance_id: record.instance.id.clone(),
            });
        }
        if record.terms.cordons() {
            self.closed = Some(record.clone()).filter(|record| record.way_back() != Back::Done);
        }
    }

    /// Takes up the newest record, if it is of this boot and is still to be acted on. Gives the record of a response
    /// that a reboot interrupted, or whose deadline came while no daemon ran, closed as such, for the disk.
    pub fn take_up(&mut self, record: Record, boot_id: &str, now: Moment) -> (Vec<Action>, Option<Record>) {
        let mut turn = Turn::at(now);
        let open = record.outcome.is_none();
        self.last_id.clone_from(&record.id);
        self.post_older(&record, boot_id, now);
        if record.terms.dry_run != self.settings.dry_run {
            // What the one has done the other has not.
            return (turn.actions, None);
        }
        if record.clock.boot_id != boot_id {
            let outcome = Some(record.outcome.unwrap_or(ResponseOutcome::InterruptedByReboot));
            let record = Record { outcome, ..record };
            self.take_up_closed(&record, boot_id, now);
            return closed(turn, open, record, "interrupted by a reboot");
        }
        let mut running = written::read(record.clone());
        let left_over = running.hooks.left_over();
        if !left_over.is_empty() {
            turn.act(Action::KillLeftOver { response: running.id.clone(), started: left_over });
        }
        if running.deadline.at <= now || running.withdrawn || record.way_back() != Back::NotBegun {
            running.phases.ended.get_or_insert(running.deadline.at);
            let record = if open { written::write(&running) } else { record };
            self.take_up_closed(&record, boot_id, now);
            return closed(turn, open, record, "cut: its deadline came while no spot-guard ran");
        }
        self.instance = running.instance.clone();
        self.board.post_running(sighting(&record, now), running.deadline, record.terms.reaction);
        turn.say(
            Level::Warn,
            format!("response {} is taken up, {} s left", running.id, tenths(now.until(running.deadline.at))),
        );
        turn.act(Action::FindHooks);
        self.running = Some(running);
        (turn.actions, None)
    }

    /// A response that is over: what it did stands until its notice is known to be gone.
    fn take_up_closed(&mut self, record: &Record, boot_id: &str, now: Moment) {
        self.remember(record, boot_id);
        self.post_closed(record, boot_id, now);
    }

    /// Where the newest response did nothing to the node, what an older one did is still to be undone.
    fn post_older(&mut self, newest: &Record, boot_id: &str, now: Moment) {
        let newest_did = newest.terms.cordons() && newest.terms.dry_run == self.settings.dry_run;
        let key = |record: &Record| (record.notice.kind, record.notice.event_id.clone());
        if let Some(older) = self.closed.clone().filter(|older| !newest_did && key(older) != key(newest)) {
            self.post_closed(&older, boot_id, now);
        }
    }

    fn post_closed(&mut self, record: &Record, boot_id: &str, now: Moment) {
        let same_boot = record.clock.boot_id == boot_id;
        if record.way_back() == Back::NotBegun && record.outcome != Some(ResponseOutcome::Withdrawn) {
            let at = if same_boot { written::deadline(record) } else { Moment::default() };
            let deadline = Deadline { at, overdue: record.overdue };
            self.board.post_answered(sighting(record, now), deadline, record.terms.reaction, !same_boot);
        }
    }

    /// The records of an image may be those of the instance on which it was made.
    pub(super) fn forget_other_instances(&mut self) {
        let is_ours = |record: &Record| record.instance.id.is_none() || record.instance.id == self.instance.id;
        if let Some(record) = self.closed.take_if(|record| !is_ours(record)) {
            let notice = &record.notice;
            self.board.take_back(&Key { kind: notice.kind, event_id: notice.event_id.clone() });
        }
    }

    pub(super) fn blank_record(&mut self, clock: &Clock) -> Record {
        let id = running::id(clock, clock.boottime, &self.last_id);
        self.last_id.clone_from(&id);
        blank_record(id, clock.clone(), Terms::of(&self.settings, Kind::ByHand), self.instance.clone())
    }
}

/// The notice of a record as if it were seen now.
fn sighting(record: &Record, now: Moment) -> Sighting {
    let notice = &record.notice;
    Sighting {
        kind: notice.kind,
        action: notice.action,
        event_id: notice.event_id.clone(),
        time: notice.time,
        date: notice.first_seen,
        seen: now,
        doubt: None,
    }
}

/// A record for what is undone where there is none of who did it.
fn blank_record(id: String, clock: Clock, terms: Terms, instance: Instance) -> Record {
    let at = clock.boottime;
    let notice =
        Notice { kind: Kind::ByHand, action: InstanceAction::None, event_id: None, time: None, first_seen: at };
    let mut running = Running::new(id, clock, notice, Deadline { at, overdue: false }, terms, instance);
    running.phases.ended = Some(at);
    written::write(&running)
}

/// What is to be written of a response that was still open and ends here.
fn closed(mut turn: Turn, open: bool, record: Record, how: &str) -> (Vec<Action>, Option<Record>) {
    if open {
        turn.say(Level::Warn, format!("response {} was {how}", record.id));
    }
    (turn.actions, open.then_some(record))
}
