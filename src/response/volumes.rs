//! The volumes of the pods that go: once the pods are gone the node is watched until they are released.

use std::collections::BTreeSet;

use super::action::{Action, Request};
use super::line::{Line, Purpose};
use super::node_work::LOST_AGAIN_AFTER;
use super::turn::Turn;
use crate::moment::Moment;

#[derive(Debug, Default)]
pub struct Volumes {
    watch: Option<u64>,
    not_before: Moment,
    /// Those that the node still had when it was last seen.
    there: BTreeSet<String>,
    released: bool,
}

impl Volumes {
    pub fn released(&self) -> bool {
        self.released
    }

    /// Those that the node still had when it was last seen, of pods that stay included.
    pub fn there(&self) -> &BTreeSet<String> {
        &self.there
    }

    /// Watches the node while that is wanted.
    pub fn watch(&mut self, turn: &mut Turn, line: &mut Line, wanted: bool) {
        if !wanted {
            return self.end(turn);
        }
        let at_work = self.watch.is_some() || line.under_way(&Purpose::WatchNode);
        if !at_work && turn.has_come(self.not_before) && line.open() {
            line.send(turn, Purpose::WatchNode, Request::WatchNode);
        }
    }

    /// The node was seen with these volumes, of which so many may belong to pods that stay.
    pub fn seen(&mut self, turn: &mut Turn, number: u64, volumes: Vec<String>, may_stay: usize) {
        if *self.watch.get_or_insert(number) != number {
            turn.act(Action::EndWatch { number });
        }
        self.released |= volumes.len() <= may_stay;
        self.there = volumes.into_iter().collect();
    }

    pub fn watch_ended(&mut self, turn: &Turn, number: u64) {
        if self.watch == Some(number) {
            self.watch = None;
        }
        self.not_before = turn.now + LOST_AGAIN_AFTER;
    }

    /// Ends the watch: nobody looks at its news any more.
    pub fn end(&mut self, turn: &mut Turn) {
        if let Some(number) = self.watch.take() {
            turn.act(Action::EndWatch { number });
        }
    }
}
