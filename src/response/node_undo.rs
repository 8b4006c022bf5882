//! The node on the way back: read, then freed of our taints, then uncordoned and unlabelled in one PATCH, as far as that
//! was ours.

use std::time::Duration;

use super::action::{Request, Restoration};
use super::annotation::Annotation;
use super::event::Answered;
use super::line::{Line, Purpose};
use super::node_work::LOST_AGAIN_AFTER;
use super::turn::Turn;
use crate::moment::Moment;
use crate::objects::{Answer, Node, Refusal, Taint};

/// A refusal that may pass is tried again after this long.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Nothing on the node was ours.
    Nothing,
    Restored(Restoration),
    Refused,
}

#[derive(Debug, Default)]
pub struct NodeUndo {
    /// The node as it was last read, with its taints as they then were.
    known: Option<Node>,
    taints_settled: bool,
    not_before: Moment,
    pub undone: Option<Undone>,
}

impl NodeUndo {
    pub fn advance(&mut self, turn: &mut Turn, line: &mut Line) {
        if self.undone.is_some() {
            return;
        }
        let Some((purpose, request)) = self.next() else {
            self.undone = Some(Undone::Nothing);
            return;
        };
        let waiting = line.under_way(&purpose) && !line.silent();
        if !waiting && (line.silent() || turn.has_come(self.not_before)) && line.open() {
            line.send(turn, purpose, request);
        }
    }

    /// The next request; `None` if nothing is left to undo.
    fn next(&self) -> Option<(Purpose, Request)> {
        let Some(node) = &self.known else { return Some((Purpose::ReadNode, Request::ReadNode)) };
        let ours = Annotation::on(node)?;
        let taints: Vec<Taint> = node.taints.iter().filter(|taint| ours.taints.contains(taint)).cloned().collect();
        if !taints.is_empty() && !self.taints_settled {
            return Some((Purpose::RemoveTaints, Request::RemoveTaints { on: node.clone(), taints }));
        }
        Some((Purpose::PatchNode, Request::RestoreNode(restoration(node, &ours))))
    }

    /// The node was read.
    pub fn read(&mut self, turn: &Turn, answered: Answered) {
        match answered {
            Answered::Node(node) => self.known = Some(node),
            Answered::Other(answer) => self.again(turn, &answer),
        }
    }

    /// The taints were taken away, or not. Gives what went wrong, if it is for good.
    pub fn taints_removed(&mut self, turn: &Turn, answer: &Answer) -> Option<String> {
        match answer {
            Answer::Accepted => {
                self.taints_settled = true;
                return None;
            }
            // Somebody else has changed them since: they are read again.
            Answer::Refused(Refusal { status: 409 | 422, .. }) => self.known = None,
            Answer::Refused(refusal) if is_final(refusal) => {
                self.taints_settled = true;
                return Some(format!("cannot remove the node's taints: {}; remove them by hand", refusal.message));
            }
            _ => {}
        }
        self.again(turn, answer);
        None
    }

    /// The PATCH was answered. Gives what could not be done, if anything.
    pub fn restored(&mut self, turn: &Turn, answered: Answered) -> Option<String> {
        match answered {
            Answered::Node(_) => {
                let node = self.known.as_ref()?;
                self.undone = Some(Undone::Restored(restoration(node, &Annotation::on(node).unwrap_or_default())));
                None
            }
            Answered::Other(Answer::Refused(refusal)) if is_final(&refusal) => {
                self.undone = Some(Undone::Refused);
                Some(format!("cannot uncordon the node: {}; kubectl uncordon does", refusal.message))
            }
            Answered::Other(answer) => {
                self.again(turn, &answer);
                None
            }
        }
    }

    fn again(&mut self, turn: &Turn, answer: &Answer) {
        let patience = match answer {
            Answer::Refused(refusal) => refusal.retry_after.unwrap_or(REFUSED_AGAIN_AFTER),
            _ => LOST_AGAIN_AFTER,
        };
        self.not_before = turn.now + patience;
    }
}

/// What of it is still there and ours.
fn restoration(node: &Node, ours: &Annotation) -> Restoration {
    Restoration { uncordon: ours.cordoned && node.cordoned, unlabel: ours.labelled && node.excluded }
}

/// What these credentials may not do now they may not do later either.
fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal.status, 400 | 403 | 404 | 422)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: fn() -> Answer = || Answer::Nothing("reset".into());

    fn refused(status: u16, retry_after: Option<Duration>) -> Answer {
        Answer::Refused(Refusal { status, message: "no".into(), causes: Vec::new(), retry_after })
    }

    fn at(ms: u64) -> Turn {
        Turn::at(Moment::after_boot(Duration::from_millis(1_000_000 + ms)))
    }

    /// A node that was read, all of whose cordon and taints are ours.
    fn read() -> NodeUndo {
        let taints = vec![Taint { key: "spot".into(), value: String::new(), effect: "NoSchedule".into() }];
        let ours = Annotation { cordoned: true, taints: taints.clone(), ..Annotation::default() };
        let node = Node { cordoned: true, taints, response: Some(ours.text()), ..Node::default() };
        let mut undo = NodeUndo::default();
        undo.read(&at(0), Answered::Node(node));
        undo
    }

    /// What is sent next, and how many milliseconds after the start.
    fn next(undo: &mut NodeUndo) -> Option<(u64, Purpose)> {
        (0..3000).step_by(100).find_map(|ms| {
            let mut line = Line::default();
            undo.advance(&mut at(ms), &mut line);
            let of = [Purpose::ReadNode, Purpose::RemoveTaints, Purpose::PatchNode];
            of.into_iter().find(|purpose| line.under_way(purpose)).map(|purpose| (ms, purpose))
        })
    }

    #[test]
    fn a_read_that_came_to_nothing_is_repeated_after_200_ms_and_one_that_was_refused_when_the_api_server_says() {
        let later = Some(Duration::from_millis(400));
        for (answer, ms) in [(NOTHING(), 200), (refused(403, None), 1000), (refused(500, later), 400)] {
            let mut undo = NodeUndo::default();
            undo.read(&at(0), Answered::Other(answer.clone()));
            assert_eq!(next(&mut undo), Some((ms, Purpose::ReadNode)), "{answer:?}");
        }
    }

    #[test]
    fn taints_are_read_again_where_others_changed_them_and_left_where_they_may_not_be_removed() {
        for (answer, told, ms, purpose) in [
            (Answer::Accepted, false, 0, Purpose::PatchNode),
            (refused(403, None), true, 0, Purpose::PatchNode),
            (refused(409, None), false, 1000, Purpose::ReadNode),
            (refused(422, None), false, 1000, Purpose::ReadNode),
            (refused(500, None), false, 1000, Purpose::RemoveTaints),
            (NOTHING(), false, 200, Purpose::RemoveTaints),
        ] {
            let mut undo = read();
            assert_eq!(undo.taints_removed(&at(0), &answer).is_some(), told, "{answer:?}");
            assert_eq!(next(&mut undo), Some((ms, purpose)), "{answer:?}");
        }
    }

    #[test]
    fn a_node_that_may_not_be_changed_stays_as_it_is() {
        for status in [400, 403, 404, 422] {
            let mut undo = read();
            assert!(undo.restored(&at(0), Answered::Other(refused(status, None))).is_some(), "{status}");
            assert_eq!((undo.undone, next(&mut undo)), (Some(Undone::Refused), None), "{status}");
        }
        for answer in [refused(409, None), NOTHING()] {
            let mut undo = read();
            assert_eq!(undo.restored(&at(0), Answered::Other(answer.clone())), None, "{answer:?}");
            assert!(undo.undone.is_none() && next(&mut undo).is_some(), "{answer:?}");
        }
    }
}
