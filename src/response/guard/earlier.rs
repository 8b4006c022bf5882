//! What earlier lives of the daemon left: the response to go on with, notices that were responded to, and what is still to
//! be undone.

use log::Level;

use super::Guard;
use crate::config::{Reaction, Terms};
use crate::instance::Instance;
use crate::moment::{Clock, Moment};
use crate::notice::{Deadline, InstanceAction, Kind, Sighting};
use crate::record::{NoticeWritten, Record, ResponseOutcome, WayBack as Back};
use crate::response::action::Action;
use crate::response::board::{Answer, Past};
use crate::response::running::{self, Notice, Running};
use crate::response::turn::{Turn, tenths};
use crate::response::written;

impl Guard {
    /// What an older record tells: that its notices were responded to, for which of them the node is still to stay
    /// cordoned, and what may still be to undo. The oldest first, before [`Guard::take_up`].
    pub fn remember(&mut self, record: &Record, boot_id: &str, now: Moment) {
        if record.terms.dry_run != self.settings.dry_run {
            return;
        }
        for notice in notices(record) {
            self.board.remember(Past {
                key: notice.key(),
                action: notice.action,
                time: notice.time,
                reaction: self.reaction(record, notice),
                same_boot: record.clock.boot_id == boot_id,
                instance_id: record.instance.id.clone(),
            });
        }
        self.post(record, boot_id, now);
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
        if record.terms.dry_run != self.settings.dry_run {
            // What the one has done the other has not.
            return (turn.actions, None);
        }
        if record.clock.boot_id != boot_id {
            let outcome = Some(record.outcome.unwrap_or(ResponseOutcome::InterruptedByReboot));
            let record = Record { outcome, ..record };
            self.remember(&record, boot_id, now);
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
            self.remember(&record, boot_id, now);
            return closed(turn, open, record, "cut: its deadline came while no spot-guard ran");
        }
        self.instance = running.instance.clone();
        self.post_running(&record, now);
        turn.say(Level::Warn, format!("taken up after a restart, {} s left", tenths(now.until(running.deadline.at))));
        turn.act(Action::FindHooks);
        self.running = Some(running);
        (turn.actions, None)
    }

    /// What a response did stands until its notices are known to be gone, or the node was brought back.
    fn post(&mut self, record: &Record, boot_id: &str, now: Moment) {
        if record.way_back() != Back::NotBegun {
            return self.board.clear();
        }
        let came_back = record.clock.boot_id != boot_id;
        for notice in notices(record) {
            let at = if came_back { Moment::default() } else { end(record, notice) };
            let answer = Answer { reaction: self.reaction(record, notice), came_back, instance: &record.instance };
            self.board.post_answered(sighting(notice, now), Deadline { at, overdue: record.overdue }, answer);
        }
        if record.outcome == Some(ResponseOutcome::Withdrawn) {
            self.board.take_back(&record.notice.key());
        }
    }

    /// The notice of a response that goes on, and those that wait behind it.
    fn post_running(&mut self, record: &Record, now: Moment) {
        for notice in notices(record) {
            let (key, reaction) = (notice.key(), self.reaction(record, notice));
            let deadline = Deadline { at: end(record, notice), overdue: record.overdue };
            self.board.post_running(sighting(notice, now), deadline, reaction);
            if key != record.notice.key() && reaction == record.terms.reaction {
                self.board.noted(&key);
            }
        }
    }

    /// What a notice of a record was answered with. The record tells it of the one that it went by last.
    fn reaction(&self, record: &Record, notice: &NoticeWritten) -> Reaction {
        let usual = self.settings.responses.of(notice.kind).reaction;
        if notice.key() == record.notice.key() { record.terms.reaction } else { usual.min(record.terms.reaction) }
    }

    /// The records of an image may be those of the instance on which it was made.
    pub(super) fn forget_other_instances(&mut self) {
        self.closed.take_if(|record| record.instance.id.is_some() && record.instance.id != self.instance.id);
        self.board.forget_other_instances(self.instance.id.as_deref());
    }

    pub(super) fn blank_record(&mut self, clock: &Clock) -> Record {
        let id = running::id(clock, clock.boottime, &self.last_id);
        self.last_id.clone_from(&id);
        blank_record(id, clock.clone(), Terms::of(&self.settings, Kind::ByHand), self.instance.clone())
    }
}

/// All notices of a record, that by which the response went last at the end.
fn notices(record: &Record) -> impl Iterator<Item = &NoticeWritten> {
    record.earlier_notices.iter().chain(&record.notices_beside).chain([&record.notice])
}

/// When the time of a notice of this boot is over.
fn end(record: &Record, notice: &NoticeWritten) -> Moment {
    let is_own = notice.key() == record.notice.key();
    written::moment(record, notice.time.filter(|_| !is_own).unwrap_or(record.deadline))
}

/// A notice that was written down as if it were seen now.
fn sighting(notice: &NoticeWritten, now: Moment) -> Sighting {
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
