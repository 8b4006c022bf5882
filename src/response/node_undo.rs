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
            Answer::Accepted => self.taints_settled = true,
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
