//! The own Node on the wire: what is read of it and how it is changed.
//!
//! Knows field names and patch formats. Sends nothing.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::api::{Annotation, NodePatch};
use crate::objects::{Node, Taint};

/// Takes a node out of load balancers: the service controller of cloud providers and the AWS Load Balancer Controller
/// look at it.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The response that changed the node, and what it changed.
pub const RESPONSE_ANNOTATION: &str = "spot-guard/response";

/// A Node on the wire, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireNode {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: Option<Labels>,
    annotations: Option<Annotations>,
}

// serde takes no constants for names: the tests hold these two to the constants above.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "node.kubernetes.io/exclude-from-external-load-balancers")]
    exclude: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "spot-guard/response")]
    response: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    unschedulable: Option<bool>,
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    taints: Option<Vec<Taint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    volumes_in_use: Option<Vec<String>>,
    volumes_attached: Option<Vec<Attached>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attached {
    name: String,
}

impl WireNode {
    /// `spec.providerID`, which a cloud's controller or the kubelet writes.
    pub fn provider_id(&self) -> Option<&str> {
        self.spec.provider_id.as_deref()
    }
}

impl From<WireNode> for Node {
    fn from(WireNode { metadata, spec, status }: WireNode) -> Node {
        let in_use = status.volumes_in_use.unwrap_or_default();
        let attached = status.volumes_attached.unwrap_or_default().into_iter().map(|volume| volume.name);
        let volumes: BTreeSet<String> = in_use.into_iter().chain(attached).collect();
        Node {
            cordoned: spec.unschedulable.unwrap_or(false),
            excluded: metadata.labels.is_some_and(|labels| labels.exclude.is_some()),
            response: metadata.annotations.and_then(|annotations| annotations.response),
            taints: spec.taints.unwrap_or_default(),
            volumes: volumes.into_iter().collect(),
        }
    }
}

/// Whether the node is known to be another instance's: its provider id is one of AWS and names another instance. Other
/// schemes (`k3s://`) and none at all say nothing.
pub fn is_another_instances(provider_id: Option<&str>, instance_id: &str) -> bool {
    named_instance(provider_id).is_some_and(|named| named != instance_id)
}

/// Whether the node says which EC2 instance it is.
pub fn names_an_instance(provider_id: Option<&str>) -> bool {
    named_instance(provider_id).is_some()
}

fn named_instance(provider_id: Option<&str>) -> Option<&str> {
    provider_id?.strip_prefix("aws://")?.rsplit('/').next()
}

/// The merge patch (RFC 7386) for `patch`.
pub fn merge_patch(patch: &NodePatch) -> Value {
    let mut body = json!({});
    if let Some(cordon) = patch.cordon {
        body["spec"] = json!({ "unschedulable": cordon });
    }
    if let Some(exclude) = patch.exclude {
        body["metadata"]["labels"] = json!({ EXCLUDE_LABEL: exclude.then_some("true") });
    }
    if let Some(annotation) = &patch.annotation {
        let value = match annotation {
            Annotation::Set(text) => Some(text),
            Annotation::Removed => None,
        };
        body["metadata"]["annotations"] = json!({ RESPONSE_ANNOTATION: value });
    }
    body
}

/// Those of `wanted` that are not in `present`: a node may have one taint of a key and an effect.
pub fn missing_taints(present: &[Taint], wanted: &[Taint]) -> Vec<Taint> {
    let same = |a: &Taint, b: &Taint| a.key == b.key && a.effect == b.effect;
    wanted.iter().filter(|w| !present.iter().any(|p| same(p, w))).cloned().collect()
}

/// The JSON patch (RFC 6902) that adds `taints` at the end of the list.
pub fn append_taints(taints: &[Taint]) -> Value {
    taints.iter().map(|taint| json!({"op": "add", "path": "/spec/taints/-", "value": taint})).collect()
}

/// The JSON patch that makes `taints` the whole list, and fails if there is one by now: others add theirs at any time
/// (the node lifecycle controller does so upon the cordon), and none may be lost.
pub fn first_taints(taints: &[Taint]) -> Value {
    json!([{"op": "test", "path": "/spec/taints", "value": null}, {"op": "add", "path": "/spec/taints", "value": taints}])
}

/// The JSON patch that takes `taints` out of the list `present`, and fails if they have moved since. From the end on, so
/// that none moves another.
pub fn without_taints(present: &[Taint], taints: &[Taint]) -> Value {
    let mut patch = Vec::new();
    for (place, taint) in present.iter().enumerate().rev().filter(|(_, taint)| taints.contains(taint)) {
        for (key, value) in [("key", &taint.key), ("effect", &taint.effect)] {
            patch.push(json!({"op": "test", "path": format!("/spec/taints/{place}/{key}"), "value": value}));
        }
        patch.push(json!({"op": "remove", "path": format!("/spec/taints/{place}")}));
    }
    Value::Array(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: String::new(), effect: effect.into() }
    }

    #[test]
    fn a_node_is_read_with_what_it_may_lack() {
        assert_eq!(Node::from(serde_json::from_value::<WireNode>(json!({})).unwrap()), Node::default());
        let full = json!({
            "metadata": {"labels": {EXCLUDE_LABEL: ""}, "annotations": {RESPONSE_ANNOTATION: "{}", "other": "x"}},
            "spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoSchedule", "timeAdded": null}]},
            "status": {"volumesInUse": ["v1", "v2"], "volumesAttached": [{"name": "v2", "devicePath": ""}, {"name": "v3"}]},
        });
        let read = Node::from(serde_json::from_value::<WireNode>(full).unwrap());
        let expected = Node {
            cordoned: true,
            excluded: true,
            response: Some("{}".into()),
            taints: vec![taint("k", "NoSchedule")],
            volumes: ["v1", "v2", "v3"].map(Into::into).to_vec(),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn only_an_aws_provider_id_of_another_instance_speaks_against_a_node() {
        let id = "i-0ab1c2";
        for (provider_id, another) in [
            (Some("aws:///eu-west-1a/i-0ab1c2"), false),
            (Some("aws:///eu-west-1a/i-0000"), true),
            (Some("aws://i-0ab1c2"), false),
            (Some("aws://"), true),
            (Some("k3s://node-1"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_another_instances(provider_id, id), another, "{provider_id:?}");
        }
    }

    #[test]
    fn a_patch_holds_what_is_to_change_and_nothing_else() {
        let all = NodePatch { cordon: Some(true), exclude: Some(true), annotation: Some(Annotation::Set("r".into())) };
        let metadata = json!({"labels": {EXCLUDE_LABEL: "true"}, "annotations": {RESPONSE_ANNOTATION: "r"}});
        assert_eq!(merge_patch(&all), json!({"metadata": metadata, "spec": {"unschedulable": true}}));
        let undo = NodePatch { cordon: Some(false), exclude: Some(false), annotation: Some(Annotation::Removed) };
        let metadata = json!({"labels": {EXCLUDE_LABEL: null}, "annotations": {RESPONSE_ANNOTATION: null}});
        assert_eq!(merge_patch(&undo), json!({"metadata": metadata, "spec": {"unschedulable": false}}));
        assert_eq!(merge_patch(&NodePatch::default()), json!({}));
    }

    #[test]
    fn taints_are_taken_out_from_the_end_on_and_only_where_they_still_stand() {
        let (a, b, c) = (taint("a", "NoSchedule"), taint("b", "NoSchedule"), taint("c", "NoExecute"));
        let test = |place: usize, key: &str, value: &str| json!({"op": "test", "path": format!("/spec/taints/{place}/{key}"), "value": value});
        let expected = json!([
            test(2, "key", "c"), test(2, "effect", "NoExecute"), {"op": "remove", "path": "/spec/taints/2"},
            test(0, "key", "a"), test(0, "effect", "NoSchedule"), {"op": "remove", "path": "/spec/taints/0"},
        ]);
        assert_eq!(without_taints(&[a.clone(), b, c.clone()], &[a, c]), expected);
    }

    #[test]
    fn a_taint_that_is_there_is_not_added_again() {
        let (a, b) = (taint("a", "NoSchedule"), taint("b", "NoSchedule"));
        assert_eq!(missing_taints(std::slice::from_ref(&a), &[a.clone(), b.clone()]), [b]);
        assert_eq!(missing_taints(&[taint("a", "NoExecute")], std::slice::from_ref(&a)), [a]);
    }
}
