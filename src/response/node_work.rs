//! The node in a response: read, then cordoned, labelled and annotated in one PATCH, then tainted if that is wanted.

use std::time::Duration;

use log::Level;

use super::action::{NodeChange, Request};
use super::annotation::Annotation;
use super::event::Answered;
use super::line::{Line, Purpose};
use super::turn::Turn;
use crate::config::Terms;
use crate::moment::Moment;
use crate::objects::{Answer, Node, Taint};

/// A lost request is repeated after this long; once the API server is silent the line's own pace holds.
pub const LOST_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Karpenter takes the instance as soon as its own drain is done (karpenter `pkg/apis/v1/taints.go`).
const KARPENTER_DISRUPTED: &str = "karpenter.sh/disrupted";

/// How much of the PATCH is still tried: what the API server refuses is left out next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    #[default]
    Whole,
    WithoutLabel,
    CordonAlone,
}

/// The node's part of a response.
#[derive(Debug, Default)]
pub struct NodeWork {
    known: Option<Node>,
    read_refused: bool,
    extent: Extent,
    not_before: Moment,
    /// When it was cordoned, or the cordon refused for good.
    pub settled_at: Option<Moment>,
    refused: bool,
    pub cordoned_by_us: bool,
    pub labelled_by_us: bool,
    taints_sent: bool,
}

impl NodeWork {
    /// As an earlier life of the daemon left it.
    pub fn taken_up(cordoned_by_us: bool, labelled_by_us: bool, settled_at: Option<Moment>) -> NodeWork {
        NodeWork {
            cordoned_by_us,
            labelled_by_us,
            settled_at,
            taints_sent: settled_at.is_some(),
            ..NodeWork::default()
        }
    }

    pub fn advance(&mut self, turn: &mut Turn, line: &mut Line, terms: &Terms, id: &str) {
        if !terms.cordons() {
            return;
        }
        if self.settled_at.is_some() {
            return self.taint(turn, line, terms);
        }
        let (purpose, request) = if self.known.is_none() && !self.read_refused {
            (Purpose::ReadNode, Request::ReadNode)
        } else {
            (Purpose::PatchNode, Request::PatchNode(self.change(terms, id)))
        };
        let waiting = line.under_way(&purpose) && !line.silent();
        if !waiting && (line.silent() || turn.has_come(self.not_before)) && line.open() {
            line.send(turn, purpose, request);
        }
    }

    fn taint(&mut self, turn: &mut Turn, line: &mut Line, terms: &Terms) {
        if self.taints_sent || terms.taints.is_empty() || !line.open() {
            return;
        }
        self.taints_sent = true;
        let on = self.known.clone().unwrap_or_default();
        line.send(turn, Purpose::AddTaints, Request::AddTaints { on, taints: terms.taints.clone() });
    }

    fn change(&self, terms: &Terms, id: &str) -> NodeChange {
        let exclude = self.excludes(terms);
        let annotation = Annotation {
            id: id.to_owned(),
            cordoned: self.ours(|node| node.cordoned, |was| was.cordoned),
            labelled: exclude && self.ours(|node| node.excluded, |was| was.labelled),
            taints: self.our_taints(terms),
        };
        let annotation = (self.extent != Extent::CordonAlone).then(|| annotation.text());
        NodeChange { exclude, annotation }
    }

    fn excludes(&self, terms: &Terms) -> bool {
        terms.drains() && terms.exclude_from_load_balancers && self.extent == Extent::Whole
    }

    /// Whether a change is ours to undo: it was not there before, or an earlier response of ours made it.
    fn ours(&self, is_there: impl Fn(&Node) -> bool, was_ours: impl Fn(&Annotation) -> bool) -> bool {
        let Some(node) = &self.known else { return true };
        !is_there(node) || Annotation::on(node).as_ref().is_some_and(was_ours)
    }

    /// The wanted taints that are not there, or that an earlier response of ours set.
    fn our_taints(&self, terms: &Terms) -> Vec<Taint> {
        let Some(node) = &self.known else { return terms.taints.clone() };
        let earlier = Annotation::on(node).unwrap_or_default().taints;
        let ours = |taint: &&Taint| !node.taints.contains(taint) || earlier.contains(taint);
        terms.taints.iter().filter(ours).cloned().collect()
    }

    /// What the response is to do has become more: what is missing is done too.
    pub fn do_more(&mut self) {
        (self.settled_at, self.extent, self.refused, self.taints_sent) = (None, Extent::default(), false, false);
    }

    /// The node was read, or not.
    pub fn read(&mut self, turn: &Turn, answered: Answered) {
        match answered {
            Answered::Node(node) => self.known = Some(node),
            Answered::Other(Answer::Nothing(_)) => self.not_before = turn.now + LOST_AGAIN_AFTER,
            // The cordon matters more than to know what was there before.
            Answered::Other(_) => self.read_refused = true,
        }
    }

    /// The PATCH was answered. Gives what could not be done, if anything.
    pub fn patched(&mut self, turn: &mut Turn, answered: Answered, terms: &Terms) -> Option<String> {
        if self.settled_at.is_some() {
            return None;
        }
        match answered {
            Answered::Node(node) => {
                self.settle(turn, node, terms);
                None
            }
            Answered::Other(Answer::Refused(refusal)) if matches!(refusal.status, 403 | 422) => {
                self.refused(turn, refusal.message, terms)
            }
            Answered::Other(Answer::Refused(refusal)) => {
                let patience = refusal.retry_after.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(5));
                self.not_before = turn.now + patience;
                None
            }
            Answered::Other(_) => {
                self.not_before = turn.now + LOST_AGAIN_AFTER;
                None
            }
        }
    }

    fn settle(&mut self, turn: &mut Turn, node: Node, terms: &Terms) {
        self.cordoned_by_us = self.ours(|node| node.cordoned, |was| was.cordoned);
        self.labelled_by_us = self.excludes(terms) && self.ours(|node| node.excluded, |was| was.labelled);
        self.known = Some(node);
        self.settled_at = Some(turn.now);
        turn.say(
            Level::Info,
            if self.excludes(terms) { "node cordoned, out of load balancers" } else { "node cordoned" },
        );
    }

    fn refused(&mut self, turn: &mut Turn, why: String, terms: &Terms) -> Option<String> {
        let (extent, trouble) = match self.extent {
            Extent::Whole if self.excludes(terms) => (
                Extent::WithoutLabel,
                "the API server refused the label that takes the node out of load balancers; cordoned without it",
            ),
            Extent::Whole | Extent::WithoutLabel => {
                (Extent::CordonAlone, "the API server refused the node's annotation; cordoned without it")
            }
            Extent::CordonAlone => {
                self.refused = true;
                self.settled_at = Some(turn.now);
                return Some(format!("cannot cordon the node: {why}; check what these credentials may do"));
            }
        };
        self.extent = extent;
        Some(format!("{trouble}: {why}"))
    }

    /// The node was seen while it is drained.
    pub fn seen(&mut self, node: &Node) {
        if let Some(known) = &mut self.known {
            known.taints.clone_from(&node.taints);
        }
    }

    /// Whether the node can no longer be given to others, or never will be: then pods may be asked.
    pub fn settled(&self) -> bool {
        self.settled_at.is_some()
    }

    /// Whether it is cordoned, not merely settled.
    pub fn cordoned(&self) -> bool {
        self.settled() && !self.refused
    }

    /// Whether Karpenter drains the node too and takes the instance as soon as that is done.
    pub fn karpenter_disrupts(&self) -> bool {
        self.known.as_ref().is_some_and(|node| node.taints.iter().any(|taint| taint.key == KARPENTER_DISRUPTED))
    }
}
