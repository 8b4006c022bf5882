//! What a node may change, once it is allowed to ask: NodeRestriction, and a namespace that is going away.
//!
//! After plugin/pkg/admission/noderestriction/admission.go of Kubernetes 1.36.

use std::collections::BTreeSet;

use serde_json::Value;

use super::failure::{Failure, about, failure};
use super::resources::Target;
use super::store::{Store, text};

/// The labels of `kubernetes.io` that a kubelet may set on its own Node, beside all of `kubelet.kubernetes.io` and
/// `node.kubernetes.io` (k8s.io/kubelet pkg/apis/well_known_labels.go).
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];

/// Whether a node may create `object` (an eviction included).
pub fn create(node: Option<&str>, target: &Target, object: &Value, store: &Store) -> Result<(), Failure> {
    in_live_namespace(target, object, store)?;
    let Some(node) = node else { return Ok(()) };
    let forbidden = |why: String| Err(Failure::forbidden(target.resource, &target.name, &why));
    match (target.resource.kind, target.subresource.as_str()) {
        ("Pod", "eviction") => {
            let pod = pod_by_name(target, store)?;
            if text(&pod, "/spec/nodeName") != node {
                return forbidden(format!("node {node} can only evict pods with spec.nodeName set to itself"));
            }
            Ok(())
        }
        ("Pod", "") if object.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_none() => {
            forbidden(format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"{node}\" can only create mirror pods"
            ))
        }
        ("Node", "") if text(object, "/metadata/name") != node => {
            forbidden(format!("node \"{node}\" is not allowed to modify node \"{}\"", text(object, "/metadata/name")))
        }
        _ => Ok(()),
    }
}

/// Whether a node may delete this pod.
pub fn delete(node: Option<&str>, target: &Target, object: &Value) -> Result<(), Failure> {
    let Some(node) = node else { return Ok(()) };
    if target.resource.kind == "Pod" && text(object, "/spec/nodeName") != node {
        let why = format!("node \"{node}\" can only delete pods with spec.nodeName set to itself");
        return Err(Failure::forbidden(target.resource, &target.name, &why));
    }
    Ok(())
}

/// Whether a node may change `old` into `new`.
pub fn update(node: Option<&str>, target: &Target, old: &Value, new: &Value) -> Result<(), Failure> {
    let Some(node) = node else { return Ok(()) };
    let forbidden = |why: String| Err(Failure::forbidden(target.resource, &target.name, &why));
    match target.resource.kind {
        "Node" if target.name != node => {
            forbidden(format!("node \"{node}\" is not allowed to modify node \"{}\"", target.name))
        }
        "Node" if old["spec"]["taints"] != new["spec"]["taints"] => {
            forbidden(format!("node \"{node}\" is not allowed to modify taints"))
        }
        "Node" => {
            let labels: Vec<String> = changed_labels(old, new).into_iter().filter(|l| is_forbidden(l)).collect();
            if labels.is_empty() {
                return Ok(());
            }
            forbidden(format!("is not allowed to modify labels: {}", labels.join(", ")))
        }
        "Pod" if text(old, "/spec/nodeName") != node => {
            forbidden(format!("node \"{node}\" can only update pod status for pods with spec.nodeName set to itself"))
        }
        "Pod" if old["metadata"]["labels"] != new["metadata"]["labels"] => {
            forbidden(format!("node \"{node}\" cannot update labels through pod status"))
        }
        _ => Ok(()),
    }
}

/// Nothing is created in a namespace that is not there, or is being deleted.
fn in_live_namespace(target: &Target, object: &Value, store: &Store) -> Result<(), Failure> {
    if target.namespace.is_empty() {
        return Ok(());
    }
    let namespace = store.get(super::resources::namespaces(), "", &target.namespace)?;
    if namespace["metadata"].get("deletionTimestamp").is_none() {
        return Ok(());
    }
    let name = if target.name.is_empty() { text(object, "/metadata/name") } else { &target.name };
    let why = format!("unable to create new content in namespace {} because it is being terminated", target.namespace);
    let message = format!("namespace {} is being terminated", target.namespace);
    Err(Failure::forbidden(target.resource, name, &why).because("NamespaceTerminating", &message))
}

/// The admission plugin asks its informer, which names what it does not find a little differently.
fn pod_by_name(target: &Target, store: &Store) -> Result<std::sync::Arc<Value>, Failure> {
    store.get(target.resource, &target.namespace, &target.name).map_err(|_| {
        let mut details = about(target.resource, &target.name);
        details["kind"] = "pod".into();
        failure(404, "NotFound", format!("pod \"{}\" not found", target.name), details)
    })
}

fn changed_labels(old: &Value, new: &Value) -> BTreeSet<String> {
    let labels = |object: &Value| object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let (old, new) = (labels(old), labels(new));
    old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
}

fn is_forbidden(label: &str) -> bool {
    let Some((namespace, _)) = label.split_once('/') else { return false };
    let within = |parent: &str| namespace == parent || namespace.ends_with(&format!(".{parent}"));
    if within("node-restriction.kubernetes.io") {
        return true;
    }
    let of_kubelet = KUBELET_LABELS.contains(&label) || within("kubelet.kubernetes.io") || within("node.kubernetes.io");
    (within("kubernetes.io") || within("k8s.io")) && !of_kubelet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_may_set_the_labels_that_the_rule_names() {
        for (label, forbidden) in [
            ("node.kubernetes.io/exclude-from-external-load-balancers", false),
            ("kubelet.kubernetes.io/x", false),
            ("example.com/x", false),
            ("plain", false),
            ("kubernetes.io/hostname", false),
            ("kubernetes.io/x", true),
            ("x.k8s.io/y", true),
            ("node-restriction.kubernetes.io/x", true),
        ] {
            assert_eq!(is_forbidden(label), forbidden, "{label}");
        }
    }
}
