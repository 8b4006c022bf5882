//! The node while it is drained: the volumes of the pods that go, until they are released, and who else drains it.

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
    /// Those that the node still had when it was last seen; `None`: it was not.
    there: Option<BTreeSet<String>>,
}

impl Volumes {
    /// Whether no more are left than those, which may belong to pods that stay. Only asked once all others are gone.
    pub fn released(&self, may_stay: usize) -> bool {
        self.there.as_ref().is_some_and(|there| there.len() <= may_stay)
    }

    /// Those that the node still had when it was last seen, of pods that stay included.
    pub fn there(&self) -> BTreeSet<String> {
        self.there.clone().unwrap_or_default()
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

    /// The node was seen with these volumes.
    pub fn seen(&mut self, turn: &mut Turn, number: u64, volumes: Vec<String>) {
        if *self.watch.get_or_insert(number) != number {
            turn.act(Action::EndWatch { number });
        }
        self.there = Some(volumes.into_iter().collect());
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Turn {
        Turn::at(Moment::after_boot(Duration::from_millis(1_000_000 + ms)))
    }

    /// Whether a watch is sent so many milliseconds after the start.
    fn sends(volumes: &mut Volumes, line: &mut Line, ms: u64, wanted: bool) -> bool {
        let mut turn = at(ms);
        volumes.watch(&mut turn, line, wanted);
        turn.actions.iter().any(|action| matches!(action, Action::Request { .. }))
    }

    #[test]
    fn one_watch_is_at_work_while_it_is_wanted() {
        let (mut volumes, mut line) = (Volumes::default(), Line::default());
        assert!(!sends(&mut volumes, &mut line, 0, false));
        assert!(sends(&mut volumes, &mut line, 10, true));
        assert!(!sends(&mut volumes, &mut line, 20, true), "it is under way");
        line.heard(&mut at(30), 1);
        let mut turn = at(30);
        assert!(!volumes.released(1), "nothing is known yet");
        volumes.seen(&mut turn, 1, vec!["vol-a".into(), "vol-b".into()]);
        assert!(!volumes.released(1) && turn.actions.is_empty());
        assert_eq!(volumes.there(), BTreeSet::from(["vol-a".to_owned(), "vol-b".to_owned()]));
        assert!(!sends(&mut volumes, &mut line, 40, true), "it has told something");
        volumes.seen(&mut turn, 2, vec!["vol-b".into()]);
        assert!(volumes.released(1));
        assert_eq!(turn.actions, [Action::EndWatch { number: 2 }], "one is enough");
        volumes.watch(&mut turn, &mut line, false);
        assert_eq!(turn.actions.last(), Some(&Action::EndWatch { number: 1 }));
    }

    #[test]
    fn a_watch_that_has_ended_is_replaced_after_200_ms() {
        let (mut volumes, mut line) = (Volumes::default(), Line::default());
        volumes.seen(&mut at(0), 7, Vec::new());
        volumes.watch_ended(&at(5), 6);
        assert!(!sends(&mut volumes, &mut line, 1000, true), "the other goes on");
        volumes.watch_ended(&at(2000), 7);
        assert!(!sends(&mut volumes, &mut line, 2199, true));
        assert!(sends(&mut volumes, &mut line, 2200, true));
    }
}
