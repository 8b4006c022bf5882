//! The one watch that tells which pods there are and which are gone.

use std::time::Duration;

use super::Pods;
use crate::config::Terms;
use crate::moment::Moment;
use crate::response::action::{Action, Request};
use crate::response::event::PodNews;
use crate::response::line::{Line, Purpose};
use crate::response::node_work::LOST_AGAIN_AFTER;
use crate::response::turn::Turn;

/// A watch that says nothing for this long while pods are to go is replaced: it may hang on a dead connection.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Watch {
    /// The watch whose news count.
    number: Option<u64>,
    /// The latest that was told to end. What it and earlier ones still say comes too late to count.
    ended: u64,
    renewals: u32,
    heard: Moment,
    not_before: Moment,
    listed: bool,
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

    fn watch_is_stale(&self, turn: &mut Turn, line: &Line) -> bool {
        self.watch.number.is_some()
            && (self.watch.renewals != line.renewals()
                || (self.left() > 0 && turn.has_come(self.watch.heard + PATIENCE)))
    }

    /// Takes in news. Of several watches that were tried, the first to say something is the one.
    pub fn news(&mut self, turn: &mut Turn, line: &Line, number: u64, news: &PodNews, terms: &Terms) {
        if self.watch.number.is_none() && number > self.watch.ended {
            self.watch.number = Some(number);
            self.watch.renewals = line.renewals();
            self.stop.iter_mut().for_each(|pod| pod.seen = false);
        }
        if self.watch.number != Some(number) {
            return self.watch.end(turn, number);
        }
        self.watch.heard = turn.now;
        match news {
            PodNews::Seen(pod) => self.take_in(pod, terms, turn.now),
            PodNews::Gone(pod) => self.gone(pod, turn.now),
            PodNews::Synced => self.synced(turn.now),
        }
    }

    fn synced(&mut self, now: Moment) {
        self.watch.listed = true;
        for pod in self.stop.iter_mut().filter(|pod| !pod.seen) {
            pod.gone_at.get_or_insert(now);
        }
    }

    /// A watch has ended; `broken` if it did not end in the usual way.
    pub fn watch_ended(&mut self, turn: &Turn, number: u64, broken: bool) {
        if self.watch.number == Some(number) {
            self.watch.number = None;
        }
        if broken {
            self.watch.not_before = turn.now + LOST_AGAIN_AFTER;
        }
    }

    /// Ends the watch: nobody looks at its news any more.
    pub fn end_watch(&mut self, turn: &mut Turn) {
        if let Some(number) = self.watch.number.take() {
            self.watch.end(turn, number);
        }
    }
}
