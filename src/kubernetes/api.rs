//! The requests that spot-guard sends to the API server, each as one call.
//!
//! Knows paths, bodies and which patch type each needs. Knows nothing of when to send what.

use std::sync::Arc;
use std::time::Duration;

use crate::moment::Timestamp;
use crate::objects::{Answer, Node, Pod, PodId, Refusal, Taint};

/// The API server as seen by the kubelet of one node. Calls block: 3 s at most for a connection, 15 s for the answer.
///
/// Safe to use from many threads at once; each call in flight has a connection of its own. A 401 renews the
/// credentials and is tried once more, and so is a call on a kept connection that the server had closed: every call
/// here may be repeated.
pub struct Api {}

/// A change to the own node, as one merge patch. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePatch {
    /// `spec.unschedulable`.
    pub cordon: Option<bool>,
    /// The label `node.kubernetes.io/exclude-from-external-load-balancers`: set to `true`, or taken away.
    pub exclude: Option<bool>,
    /// The annotation `spot-guard/response`.
    pub annotation: Option<Annotation>,
}

/// What is to become of the annotation `spot-guard/response`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Annotation {
    Set(String),
    Removed,
}

/// The node's condition `TerminationNotice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// There is a notice (status `True`) or no longer (`False`).
    pub notice: bool,
    /// One word in CamelCase, as conditions have it (`SpotInterruption`).
    pub reason: String,
    pub message: String,
    /// When it came to be so (`lastTransitionTime`).
    pub since: Timestamp,
}

/// An event on the own node, as `kubectl describe node` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// One word in CamelCase (`SpotInterruption`, `Cordon`, `DrainFinished`).
    pub reason: String,
    pub message: String,
    /// Type `Warning` instead of `Normal`.
    pub warning: bool,
    pub at: Timestamp,
}

/// What a watch tells of the node's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodNews {
    /// A pod as it is now: it was there at the start, is new, or changed.
    Seen(Pod),
    /// A pod is gone; this is its last state.
    Gone(Pod),
    /// All that were there at the start have been `Seen`: a pod not seen since the start of this watch is gone.
    Synced,
    /// Nothing happened for a second (or less). Comes so that the watch can be ended; says nothing of the pods.
    Quiet,
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The caller wanted no more.
    Ended,
    /// The server closed it, as it does from time to time; start a new one.
    Closed,
    Refused(Refusal),
    /// It broke, or was never there. The text says what happened, without any secret.
    Nothing(String),
}

impl Api {
    /// The name of the own node.
    pub fn node_name(&self) -> &str {
        ""
    }

    /// The same server and credentials over new connections: what is stuck in the old ones is left behind.
    pub fn afresh(&self) -> Arc<Api> {
        Arc::new(Api {})
    }

    /// The own node.
    pub fn read_node(&self) -> Result<Node, Answer> {
        Err(not_yet())
    }

    /// Changes the own node in one request; gives the node as it then is.
    pub fn patch_node(&self, _patch: &NodePatch) -> Result<Node, Answer> {
        Err(not_yet())
    }

    /// Adds those of `taints` that `on` does not have. Needs credentials that may set taints.
    pub fn add_taints(&self, _on: &Node, _taints: &[Taint]) -> Answer {
        not_yet()
    }

    /// Asks a pod to stop, its disruption budget willing. `grace` in whole seconds, at least 1; `None`: the pod's own.
    pub fn evict(&self, _pod: &PodId, _grace: Option<Duration>) -> Answer {
        not_yet()
    }

    /// Asks a pod to stop whatever its disruption budget says. `grace` in whole seconds, at least 1.
    pub fn delete(&self, _pod: &PodId, _grace: Duration) -> Answer {
        not_yet()
    }

    /// Gives a pod the condition `DisruptionTarget`, so that a Job's pod failure policy does not count its end.
    pub fn mark_disrupted(&self, _pod: &PodId) -> Answer {
        not_yet()
    }

    /// Sets the node's condition `TerminationNotice`.
    pub fn set_condition(&self, _condition: &Condition) -> Answer {
        not_yet()
    }

    /// Creates an event on the own node.
    pub fn create_event(&self, _event: &NodeEvent) -> Answer {
        not_yet()
    }

    /// Streams the node's pods on a connection of its own until the stream ends or `each` returns false.
    ///
    /// `each` is called at least once a second ([`PodNews::Quiet`] where nothing happens), so a watch ends within a
    /// second of being told to. One streamed list where the server has it, else LIST and then WATCH.
    pub fn watch_pods(&self, _each: &mut dyn FnMut(PodNews) -> bool) -> WatchEnd {
        WatchEnd::Nothing("not there yet".to_owned())
    }

    /// Streams the own node, first as it is now, then at each change; `None` where nothing happened for a second.
    /// Ends as [`Api::watch_pods`] does, and when the node is deleted ([`WatchEnd::Closed`]).
    pub fn watch_node(&self, _each: &mut dyn FnMut(Option<Node>) -> bool) -> WatchEnd {
        WatchEnd::Nothing("not there yet".to_owned())
    }
}

fn not_yet() -> Answer {
    Answer::Nothing("not there yet".to_owned())
}
