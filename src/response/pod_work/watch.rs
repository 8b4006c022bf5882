//! The one watch that tells which pods there are and which are gone.

use std::time::Duration;

use super::Pods;
use crate::config::Terms;
use crate::moment::Moment;
use crate::objects::Answer;
use crate::response::action::{Action, Request};
use crate::response::event::PodNews;
use crate::response::line::{Line, Purpose};
use crate::response::node_work::LOST_AGAIN_AFTER;
use crate::response::turn::Turn;

/// A watch that says nothing for this long is replaced: it may hang on a dead connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watch that is refused is tried again after this long; without the list nobody can be asked in time.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Watch {
    /// The watch whose news count.
    number: Option<u64>,
    /// The latest that has ended, or was told to. What it and earlier ones still say comes too late to count.
    ended: u64,
    renewals: u32,
    heard: Moment,
    not_before: Moment,
    listed: bool,
    /// One has ended in an unusual way.
    failed: bool,
}

impl Watch {
    pub fn listed(&self) -> bool {
        self.listed
    }

    fn end(&mut self, turn: &mut Turn, number: u64) {
        self.ended = self.ended.max(number);
        turn.act(Action::EndWatch { number });
    }
}

impl Pods {
    /// Starts a watch where none is at work.
    pub fn watch(&mut self, turn: &mut Turn, line: &mut Line) {
        if self.watch_is_stale(turn, line) {
            self.end_watch(turn);
        }
        let at_work = self.watch.number.is_some() || (line.under_way(&Purpose::WatchPods) && !line.silent());
        if !at_work && (line.silent() || turn.has_come(self.watch.not_before)) && line.open() {
            line.send(turn, Purpose::WatchPods, Request::WatchPods);
        }
    }

    /// Whether another is to take its place: its connection may be dead.
    fn watch_is_stale(&self, turn: &mut Turn, line: &Line) -> bool {
        self.watch.number.is_some()
            && (self.watch.renewals != line.renewals() || turn.has_come(self.watch.heard + PATIENCE))
    }

    /// Whether the pods were never listed though that was tried, and `by` has come.
    pub fn list_is_refused(&self, turn: &mut Turn, by: Moment) -> bool {
        !self.watch.listed && self.watch.failed && turn.has_come(by)
    }

    /// Takes in news. Of several watches that were tried, the latest to say something is the one: the connection of an
    /// earlier one may be dead since.
    pub fn news(&mut self, turn: &mut Turn, line: &Line, number: u64, news: &PodNews, terms: &Terms) {
        if self.watch.number.is_none_or(|present| number > present) && number > self.watch.ended {
            self.end_watch(turn);
            self.watch.number = Some(number);
            self.watch.renewals = line.renewals();
            self.stop.iter_mut().for_each(|pod| pod.seen = false);
        }
        if self.watch.number != Some(number) {
            self.note_what_is_true_all_the_same(news, turn.now);
            return self.watch.end(turn, number);
        }
        self.watch.heard = turn.now;
        match news {
            PodNews::Seen(pod) => self.take_in(pod, terms, turn.now),
            PodNews::Gone(pod) => self.gone(pod, turn.now),
            PodNews::Synced => self.synced(turn.now),
        }
    }

    /// What a forgotten watch says about a UID holds.
    fn note_what_is_true_all_the_same(&mut self, news: &PodNews, now: Moment) {
        match news {
            PodNews::Seen(pod) => {
                if let Some(known) = self.of(&pod.id.uid) {
                    known.stopping |= pod.stopping;
                    known.cut |= pod.cut;
                }
            }
            PodNews::Gone(pod) => self.gone(pod, now),
            PodNews::Synced => {}
        }
    }

    fn synced(&mut self, now: Moment) {
        self.watch.listed = true;
        for pod in self.stop.iter_mut().filter(|pod| !pod.seen) {
            pod.gone_at.get_or_insert(now);
        }
    }

    /// A watch has ended; `None` if in the usual way.
    pub fn watch_ended(&mut self, turn: &Turn, number: u64, answer: Option<&Answer>) {
        if self.watch.number == Some(number) {
            self.watch.number = None;
        }
        self.watch.ended = self.watch.ended.max(number);
        let again_after = match answer {
            None => return,
            Some(Answer::Refused(_)) => REFUSED_AGAIN_AFTER,
            Some(_) => LOST_AGAIN_AFTER,
        };
        self.watch.failed = true;
        self.watch.not_before = turn.now + again_after;
    }

    /// Ends the watch: nobody looks at its news any more.
    pub fn end_watch(&mut self, turn: &mut Turn) {
        if let Some(number) = self.watch.number.take() {
            self.watch.end(turn, number);
        }
    }
}
