//! What a test sees of its Node: what spot-guard has put there, and what is left once it was taken away.

use std::time::Duration;

use serde_json::Value;

use crate::guard::Guard;
use crate::world::World;

/// The label that takes a node out of load balancers.
pub const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The annotation that says what spot-guard changed.
pub const ANNOTATION: &str = "spot-guard/response";

/// How long anything may take on a busy machine that is to come at once.
const SOON: Duration = Duration::from_secs(20);

impl World {
    pub fn is_cordoned(&self) -> bool {
        self.cluster.node(&self.node)["spec"]["unschedulable"] == true
    }

    pub fn is_labelled(&self) -> bool {
        self.cluster.node(&self.node)["metadata"]["labels"][EXCLUDED] == "true"
    }

    pub fn annotation(&self) -> Option<Value> {
        let text = self.cluster.node(&self.node)["metadata"]["annotations"][ANNOTATION].as_str()?.to_owned();
        Some(serde_json::from_str(&text).expect("the annotation is JSON"))
    }

    /// The keys of the node's taints, but for that of the cordon, which the control plane sets.
    pub fn taints(&self) -> Vec<String> {
        let taints = self.cluster.node(&self.node)["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let keys = taints.iter().filter_map(|taint| taint["key"].as_str().map(str::to_owned));
        keys.filter(|key| key != "node.kubernetes.io/unschedulable").collect()
    }

    /// Status and reason of the condition `TerminationNotice`.
    pub fn condition(&self) -> Option<(String, String)> {
        let node = self.cluster.node(&self.node);
        let conditions = node["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|condition| condition["type"] == "TerminationNotice")?;
        let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason")))
    }

    /// How often an Event with that reason was written on the Node.
    pub fn count_events(&self, reason: &str) -> usize {
        self.cluster.events(&self.node).iter().filter(|event| event["reason"] == reason).count()
    }

    /// How many requests for that (`patch nodes`) were accepted.
    pub fn count_accepted(&self, what: &str) -> usize {
        self.audit().iter().filter(|request| request.what() == what && request.code < 300).count()
    }

    /// How often the metadata service was asked for that path.
    pub fn count_polls(&self, path: &str) -> usize {
        self.imds.log().iter().filter(|asked| asked.path == path).count()
    }

    /// Waits until the metadata service was asked for `path` so many times more, and what came before the last of them
    /// was taken in.
    pub fn wait_polls(&self, guard: &Guard, path: &str, more: usize, within: Duration) {
        let before = self.count_polls(path);
        guard.expect(&format!("{path} is asked for {more} times more"), within, || {
            (self.count_polls(path) >= before + more).then_some(())
        });
    }

    pub fn wait_cordoned(&self, guard: &Guard) {
        guard.expect("the node is cordoned", SOON, || self.is_cordoned().then_some(()));
    }

    /// Waits until that way back has come to its end, and all was told; the record.
    pub fn wait_back(&self, guard: &Guard) -> Value {
        self.wait_back_within(guard, SOON)
    }

    /// As [`World::wait_back`], where something holds it up.
    pub fn wait_back_within(&self, guard: &Guard, within: Duration) -> Value {
        let ended = |record: &Value| {
            let phases = record["phases"].as_array().into_iter().flatten();
            phases.into_iter().any(|phase| phase["name"] == "uncordon" && !phase["ended_at"].is_null())
        };
        guard.wait_record("the way back has ended", within, ended)
    }

    /// Asserts that nothing of spot-guard's is left on the Node but the condition, which is no more.
    pub fn assert_back(&self) {
        let node = self.cluster.node(&self.node);
        assert!(!self.is_cordoned(), "still cordoned: {node:#}");
        assert!(!self.is_labelled(), "still out of load balancers: {node:#}");
        assert_eq!(self.annotation(), None, "{node:#}");
        assert_eq!(self.condition(), Some(("False".to_owned(), "NoticeOver".to_owned())), "{node:#}");
        assert_eq!(self.count_events("Uncordon"), 1);
    }
}
