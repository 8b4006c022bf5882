//! What is told on the Node: events and the condition, one at a time, after everything that matters more.

use std::collections::VecDeque;
use std::time::Duration;

use super::action::{Request, Told};
use super::line::{Line, Purpose};
use super::turn::Turn;
use crate::moment::Moment;
use crate::objects::Answer;

/// Nothing is told more often than this.
const TRIES: u32 = 3;

const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Tell {
    queue: VecDeque<Request>,
    tries: u32,
    not_before: Moment,
}

impl Tell {
    pub fn event(&mut self, reason: &'static str, message: impl Into<String>, warning: bool) {
        self.queue.push_back(Request::CreateEvent(Told { reason, message: message.into(), warning }));
    }

    pub fn condition(&mut self, reason: &'static str, message: impl Into<String>) {
        self.queue.push_back(Request::SetCondition(Told { reason, message: message.into(), warning: true }));
    }

    /// Whether all was told.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends the next one. While the API server is silent there is nothing to tell it.
    pub fn advance(&mut self, turn: &mut Turn, line: &mut Line) {
        if line.silent() || line.under_way(&Purpose::Tell) || !turn.has_come(self.not_before) {
            return;
        }
        if let Some(request) = self.queue.front() {
            self.tries += 1;
            line.send(turn, Purpose::Tell, request.clone());
        }
    }

    /// What was told was taken, or not: then it is told again, a few times.
    pub fn answered(&mut self, turn: &Turn, answer: &Answer) {
        let final_answer = match answer {
            Answer::Accepted => true,
            // What these credentials may not do they may not do later either.
            Answer::Refused(refusal) => matches!(refusal.status, 400..=428) || self.tries >= TRIES,
            Answer::Nothing(_) => self.tries >= TRIES,
        };
        if final_answer {
            self.queue.pop_front();
            self.tries = 0;
        } else {
            self.not_before = turn.now + AGAIN_AFTER;
        }
    }
}
