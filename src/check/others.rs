//! Who else drains this node.

use super::finding::Finding;
use crate::objects::Pod;

pub const NAME: &str = "others";

/// How AWS Node Termination Handler's chart labels its pods.
const HANDLER: &str = "aws-node-termination-handler";

/// `labels`: the names of the node's labels.
pub fn verdict(pods: &[Pod], labels: &[String]) -> Finding {
    let handlers: Vec<&Pod> = pods.iter().filter(|pod| !pod.finished && is_handler(pod)).collect();
    if !handlers.is_empty() {
        let mut finding = Finding::warning(NAME, "AWS Node Termination Handler drains this node too");
        for pod in handlers {
            finding = finding.detail(format!("{}/{}", pod.id.namespace, pod.id.name), "runs here");
        }
        return finding.advise("keep its DaemonSet off nodes with spot-guard, by a node affinity");
    }
    let keepers: Vec<&str> =
        KEEPERS.iter().filter(|(_, label)| labels.iter().any(|name| name == label)).map(|(who, _)| *who).collect();
    if keepers.is_empty() {
        return Finding::ok(NAME, "no other handler was seen");
    }
    Finding::ok(NAME, format!("{} keeps this node; nothing needs to be turned off", keepers.join(", ")))
}

/// Who makes and takes nodes, by the labels that they give them (karpenter.sh, "Concepts"; EKS User Guide, "Managed node
/// groups").
const KEEPERS: [(&str, &str); 3] = [
    ("Karpenter", "karpenter.sh/nodepool"),
    ("Karpenter", "karpenter.sh/provisioner-name"),
    ("an EKS managed node group", "eks.amazonaws.com/nodegroup"),
];

fn is_handler(pod: &Pod) -> bool {
    let labels = ["app.kubernetes.io/name", "k8s-app", "app"];
    labels.iter().any(|label| pod.labels.get(*label).is_some_and(|name| name == HANDLER))
}
