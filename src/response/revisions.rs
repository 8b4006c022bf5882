//! The record's revisions: which was given out, which is on disk, and when the next goes out.

use std::time::Duration;

use super::action::Action;
use super::turn::Turn;
use crate::moment::Moment;

/// Changes that nothing waits for reach the disk this often.
const RECORD_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub struct Revisions {
    pub given_out: u64,
    pub recorded: u64,
    given_out_at: Moment,
    /// Something changed since.
    changed: bool,
    /// Something waits for it, or it must not be lost.
    urgent: bool,
}

impl Revisions {
    /// Goes on counting where those of another response ended.
    pub fn after(given_out: u64) -> Revisions {
        Revisions { given_out, ..Revisions::default() }
    }

    pub fn count_on_from(&mut self, given_out: u64) {
        self.given_out = self.given_out.max(given_out);
    }

    pub fn changed(&mut self) {
        self.changed = true;
    }

    pub fn changed_urgently(&mut self) {
        self.changed = true;
        self.urgent = true;
    }

    pub fn recorded(&mut self, revision: u64) {
        self.recorded = self.recorded.max(revision);
    }

    /// Gives out the next one, if it is time.
    pub fn give_out(&mut self, turn: &mut Turn) {
        if !self.changed || !(self.urgent || turn.has_come(self.given_out_at + RECORD_EVERY)) {
            return;
        }
        (self.given_out, self.given_out_at) = (self.given_out + 1, turn.now);
        (self.changed, self.urgent) = (false, false);
        turn.act(Action::Record { revision: self.given_out });
    }
}
