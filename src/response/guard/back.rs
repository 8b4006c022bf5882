//! When the node is brought back, and why.

use super::{BY_HAND, Guard};
use crate::moment::Clock;
use crate::notice::Kind;
use crate::record::Record;
use crate::response::turn::Turn;
use crate::response::way_back::WayBack;

impl Guard {
    /// Brings the node back once nothing stands for which it was cordoned.
    pub(super) fn go_back(&mut self, turn: &mut Turn, clock: &dyn Fn() -> Clock) {
        if self.running.is_some() || self.leaving {
            return;
        }
        if self.way_back.is_none() {
            let by_hand = std::mem::take(&mut self.wanted_back);
            if !by_hand && !self.may_go_back() {
                return;
            }
            if by_hand {
                self.board.undone();
            }
            self.board.take_back(&BY_HAND);
            let why = self.why_back(by_hand);
            let clock = clock();
            let (record, is_known) = match &self.closed {
                Some(record) => (record.clone(), true),
                None => (self.blank_record(&clock), false),
            };
            self.way_back = Some(WayBack::begin(turn, record, is_known, clock, why, self.numbers));
        }
        let Some(way_back) = &mut self.way_back else { return };
        way_back.advance(turn, &self.standing);
        if way_back.is_over(turn) {
            self.closed = (!way_back.came_to_an_end()).then(|| way_back.record());
            self.numbers = way_back.numbers();
            self.way_back = None;
        }
    }

    fn may_go_back(&self) -> bool {
        // It must be known whether this is still the same instance.
        let is_known = |record: &Record| record.instance.id.is_none() || self.instance.id.is_some();
        self.closed.as_ref().is_some_and(is_known) && !self.board.holds()
    }

    fn why_back(&self, by_hand: bool) -> String {
        match &self.closed {
            _ if by_hand => "by hand".to_owned(),
            Some(record) => format!("the {} is over", record.notice.kind),
            None => "nothing stands".to_owned(),
        }
    }

    /// Why the node cannot be uncordoned by hand now, if so.
    pub fn refuses_uncordon(&self) -> Option<String> {
        let running = self.running.as_ref().filter(|running| running.phases.ended.is_none())?;
        (running.notice.kind != Kind::ByHand).then(|| {
            let deadline = running.clock.timestamp(running.deadline.at);
            format!("the {} is being responded to until {deadline}", running.notice.kind)
        })
    }
}
