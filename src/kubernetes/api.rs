//! The requests that spot-guard sends to the API server, each as one call.
//!
//! Knows paths, bodies and which patch type each needs. Knows nothing of when to send what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use ureq::http::Method;

use super::budgets::{Budget, WireBudgets};
use super::client::{Client, Request};
use super::node::{self, WireNode};
use super::watch;
use crate::moment::{Moment, Timestamp};
use crate::objects::{Answer, Node, Pod, PodId, Refusal, Taint};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

/// The API server as seen by the kubelet of one node. Calls block: 3 s at most for a connection, 15 s for the answer.
///
/// Safe to use from many threads at once; each call in flight has a connection of its own. A 401 renews the
/// credentials and is tried once more, and so is a call on a kept connection that the server had closed: every call
/// here may be repeated.
pub struct Api {
    client: Client,
    node_name: String,
    dry_run: bool,
}

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
    pub labels: Vec<(&'static str, String)>,
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
    /// The server closed it, as it does from time to time, or it went silent; start a new one.
    Closed,
    Refused(Refusal),
    /// It broke, or was never there. The text says what happened, without any secret.
    Nothing(String),
}

impl Api {
    pub(super) fn new(client: Client, node_name: String, dry_run: bool) -> Api {
        Api { client, node_name, dry_run }
    }

    /// When the API server last accepted a request, whoever sent it, by the wall clock.
    pub fn last_success(&self) -> Option<Timestamp> {
        self.client.link.accepted_at()
    }

    /// A response is under way until then: what is renewed meanwhile is only what does not last so long.
    pub fn response_ends(&self, at: Option<Moment>) {
        self.client.link.response_ends(at);
    }

    /// How long a small request takes, as of the last time that it was looked at.
    pub fn distance(&self) -> Option<Duration> {
        self.client.link.distance()
    }

    /// The name of the own node.
    pub fn node_name(&self) -> &str {
        &self.node_name
    }

    /// The same server and credentials over new connections: what is stuck in the old ones is left behind. They go to
    /// another of the server's addresses first, where there are several.
    pub fn afresh(&self) -> Arc<Api> {
        Arc::new(Api::new(self.client.afresh(), self.node_name.clone(), self.dry_run))
    }

    /// Whether one of its own connections came about.
    pub fn was_reached(&self) -> bool {
        self.client.was_reached()
    }

    /// The own node.
    pub fn read_node(&self) -> Result<Node, Answer> {
        self.client.read::<WireNode>(&Request::get(self.node_path())).map(Node::from)
    }

    /// All disruption budgets. A kubelet's credentials may not read them.
    pub fn read_budgets(&self) -> Result<Vec<Budget>, Answer> {
        let request = Request::get("/apis/policy/v1/poddisruptionbudgets".to_owned());
        self.client.read::<WireBudgets>(&request).map(Vec::from)
    }

    /// Changes the own node in one request; gives the node as it then is.
    pub fn patch_node(&self, patch: &NodePatch) -> Result<Node, Answer> {
        let request = self.write(Method::PATCH, self.node_path(), MERGE_PATCH, node::merge_patch(patch));
        self.client.read::<WireNode>(&request).map(Node::from)
    }

    /// Adds those of `taints` that `on` does not have. Needs credentials that may set taints.
    ///
    /// Where `on` is out of date as to whether there are any taints at all, one more request is needed.
    pub fn add_taints(&self, on: &Node, taints: &[Taint]) -> Answer {
        let missing = node::missing_taints(&on.taints, taints);
        if missing.is_empty() {
            return Answer::Accepted;
        }
        let patch = |body| self.client.answer(&self.write(Method::PATCH, self.node_path(), JSON_PATCH, body));
        let (first, append) = (node::first_taints(&missing), node::append_taints(&missing));
        let (likely, other) = if on.taints.is_empty() { (first, append) } else { (append, first) };
        match patch(likely) {
            // 422: the patch does not fit the list as it now is.
            Answer::Refused(refusal) if refusal.status == 422 => patch(other),
            answer => answer,
        }
    }

    /// Removes `taints`, as they stand on `on`. Needs credentials that may set taints. 422 where they have moved since.
    pub fn remove_taints(&self, on: &Node, taints: &[Taint]) -> Answer {
        self.client.answer(&self.write(
            Method::PATCH,
            self.node_path(),
            JSON_PATCH,
            node::without_taints(&on.taints, taints),
        ))
    }

    /// Asks a pod to stop, its disruption budget willing. `grace` in whole seconds, at least 1; `None`: the pod's own.
    pub fn evict(&self, pod: &PodId, grace: Option<Duration>) -> Answer {
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod.name, "namespace": pod.namespace },
            "deleteOptions": delete_options(pod, grace),
        });
        self.client.answer(&self.write(Method::POST, pod_path(pod, "/eviction"), JSON, body))
    }

    /// Asks a pod to stop whatever its disruption budget says. `grace` in whole seconds, at least 1.
    pub fn delete(&self, pod: &PodId, grace: Duration) -> Answer {
        let mut body = delete_options(pod, Some(grace));
        body["apiVersion"] = "v1".into();
        body["kind"] = "DeleteOptions".into();
        if self.dry_run {
            // A DELETE's query is not looked at where it has a body (seen on 1.36: the pod was gone).
            body["dryRun"] = json!(["All"]);
        }
        self.client.answer(&self.write(Method::DELETE, pod_path(pod, ""), JSON, body))
    }

    /// Gives a pod the condition `DisruptionTarget`, so that a Job's pod failure policy does not count its end.
    pub fn mark_disrupted(&self, pod: &PodId) -> Answer {
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationBySpotGuard",
            "message": "spot-guard: the instance is about to be taken away",
            "lastTransitionTime": Timestamp::now(),
        });
        // The UID is a precondition: for another pod of that name the answer is 422, as it cannot be changed.
        let body = json!({ "metadata": { "uid": pod.uid }, "status": { "conditions": [condition] } });
        self.client.answer(&self.write(Method::PATCH, pod_path(pod, "/status"), STRATEGIC_PATCH, body))
    }

    /// Sets the node's condition `TerminationNotice`.
    pub fn set_condition(&self, condition: &Condition) -> Answer {
        let condition = json!({
            "type": "TerminationNotice",
            "status": if condition.notice { "True" } else { "False" },
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": condition.since,
            "lastHeartbeatTime": Timestamp::now(),
        });
        // A strategic merge finds the condition by its type and leaves the kubelet's alone.
        let body = json!({ "status": { "conditions": [condition] } });
        let path = format!("{}/status", self.node_path());
        self.client.answer(&self.write(Method::PATCH, path, STRATEGIC_PATCH, body))
    }

    /// Creates an event on the own node.
    pub fn create_event(&self, event: &NodeEvent) -> Answer {
        let body = event_body(event, &self.node_name, EVENTS.fetch_add(1, Ordering::Relaxed));
        let path = "/api/v1/namespaces/default/events".to_owned();
        match self.client.answer(&self.write(Method::POST, path, JSON, body)) {
            // Its name is used once: it got there the first time, and only the answer was lost.
            Answer::Refused(refusal) if refusal.status == 409 => Answer::Accepted,
            answer => answer,
        }
    }

    /// Streams the node's pods on a connection of its own until the stream ends or `each` returns false.
    ///
    /// Once the stream is there (which takes 18 s at most), `each` is called at least once a second
    /// ([`PodNews::Quiet`] where nothing happens), so a watch ends within a second of being told to. One streamed list
    /// where the server has it, else LIST and then WATCH. A stream on which nothing at all came for 90 s is given up as
    /// [`WatchEnd::Closed`]: it is probably dead, as the server sends a bookmark about every minute.
    pub fn watch_pods(&self, each: &mut dyn FnMut(PodNews) -> bool) -> WatchEnd {
        watch::pods(&self.client, &self.node_name, each)
    }

    /// Streams the own node, first as it is now, then at each change; `None` where nothing happened for a second.
    /// Ends as [`Api::watch_pods`] does, and when the node is deleted ([`WatchEnd::Closed`]).
    pub fn watch_node(&self, each: &mut dyn FnMut(Option<Node>) -> bool) -> WatchEnd {
        watch::node(&self.client, &self.node_name, each)
    }

    #[cfg(test)]
    pub(super) fn link(&self) -> Arc<super::link::Link> {
        self.client.link.clone()
    }

    /// Asks for as little of the own node as there is, to keep a connection, to see that all is well, and to know how
    /// far away the API server is.
    pub(super) fn warm(&self) -> Answer {
        let sent = Moment::now();
        let answer = self.client.answer(&Request::get(self.node_path()));
        if answer == Answer::Accepted {
            self.client.link.is_away(Moment::now().since(sent));
        }
        answer
    }

    fn node_path(&self) -> String {
        node_path(&self.node_name)
    }

    /// A request that changes something, unless this is a dry run.
    fn write(&self, method: Method, path: String, content_type: &'static str, body: Value) -> Request {
        let path = if self.dry_run { path + "?dryRun=All" } else { path };
        Request::with_body(method, path, content_type, body)
    }
}

pub(super) fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

fn pod_path(pod: &PodId, of_it: &str) -> String {
    format!("/api/v1/namespaces/{}/pods/{}{of_it}", pod.namespace, pod.name)
}

/// Only this very pod, with this grace. Never 0, which would take the object away without the kubelet's knowledge.
fn delete_options(pod: &PodId, grace: Option<Duration>) -> Value {
    let mut options = json!({ "preconditions": { "uid": pod.uid } });
    if let Some(grace) = grace {
        options["gracePeriodSeconds"] = grace.as_secs().max(1).into();
    }
    options
}

/// How many events this process has named.
static EVENTS: AtomicU64 = AtomicU64::new(0);

/// `kubectl describe node` finds events whose `involvedObject.uid` is the node's name, as the kubelet writes them.
fn event_body(event: &NodeEvent, node_name: &str, number: u64) -> Value {
    // Unique over restarts by the time, within a life by the number. A name has 253 characters at most.
    let name: String = node_name.chars().take(200).collect();
    let name = format!("{name}.{:x}.{number}", event.at.unix_seconds());
    let labels: Map<String, Value> =
        event.labels.iter().map(|(key, value)| ((*key).to_owned(), value.as_str().into())).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": "default", "labels": labels },
        "involvedObject": { "apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_name },
        "reason": event.reason,
        "message": event.message,
        "type": if event.warning { "Warning" } else { "Normal" },
        "source": { "component": "spot-guard", "host": node_name },
        "firstTimestamp": event.at,
        "lastTimestamp": event.at,
        "count": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> PodId {
        PodId { namespace: "web".into(), name: "api-0".into(), uid: "u1".into() }
    }

    #[test]
    fn a_pod_is_asked_by_its_uid_with_a_grace_of_whole_seconds_and_never_none() {
        for (grace, seconds) in
            [(Duration::from_millis(12_900), 12), (Duration::from_millis(900), 1), (Duration::ZERO, 1)]
        {
            let expected = json!({"preconditions": {"uid": "u1"}, "gracePeriodSeconds": seconds});
            assert_eq!(delete_options(&pod(), Some(grace)), expected);
        }
        assert_eq!(delete_options(&pod(), None), json!({"preconditions": {"uid": "u1"}}));
        assert_eq!(pod_path(&pod(), "/eviction"), "/api/v1/namespaces/web/pods/api-0/eviction");
    }

    #[test]
    fn two_events_of_one_second_have_two_names_on_the_node() {
        let at = Timestamp::from_rfc3339("2026-11-22T20:00:00Z").unwrap();
        let event = NodeEvent {
            reason: "Cordon".into(),
            message: "m".into(),
            warning: true,
            at,
            labels: vec![("zone", "a".into())],
        };
        let (one, two) = (event_body(&event, "n", 0), event_body(&event, "n", 1));
        assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
        assert_eq!(one["involvedObject"]["uid"], "n");
        assert_eq!(one["type"], "Warning");
        assert_eq!(one["metadata"]["labels"], json!({"zone": "a"}));
    }
}
