//! An API server that takes few requests of one node at a time, and refuses the others: its own priority and fairness.

use std::time::Duration;

use serde_json::json;
use stand_ins::cluster::{Cluster, TestNode};
use stand_ins::wait;

const GROUP: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";

/// Ends when this is dropped.
pub struct Throttle {
    cluster: Cluster,
    name: String,
}

impl Throttle {
    /// Throttles all that comes with this node's credentials.
    pub fn of(cluster: &Cluster, node: &TestNode) -> Throttle {
        let throttle = Throttle { cluster: cluster.clone(), name: node.name.clone() };
        let level = json!({"metadata": {"name": node.name}, "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"}}}});
        cluster.admin.post(&format!("{GROUP}/prioritylevelconfigurations"), &level).ok();
        let subject = json!({"kind": "User", "user": {"name": format!("system:node:{}", node.name)}});
        let rules = json!([{"subjects": [subject], "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"],
                            "resources": ["*"], "namespaces": ["*"], "clusterScope": true}]}]);
        let flow = json!({"metadata": {"name": node.name}, "spec": {"matchingPrecedence": 2,
                          "priorityLevelConfiguration": {"name": node.name}, "rules": rules}});
        cluster.admin.post(&format!("{GROUP}/flowschemas"), &flow).ok();
        let path = format!("{GROUP}/flowschemas/{}", node.name);
        wait::expect("the API server has taken the flow schema up", Duration::from_secs(20), || {
            let conditions = cluster.admin.get(&path).ok()["status"]["conditions"].clone();
            let dangling = conditions.as_array()?.iter().find(|condition| condition["type"] == "Dangling")?;
            (dangling["status"] == "False").then_some(())
        });
        throttle
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        for kind in ["flowschemas", "prioritylevelconfigurations"] {
            self.cluster.admin.delete(&format!("{GROUP}/{kind}/{}", self.name), &json!({}));
        }
    }
}
