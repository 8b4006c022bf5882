//! A controller that replaces, on another node, each pod of an app that is asked to stop on this one.

use std::collections::HashSet;
use std::thread;

use serde_json::Value;

use crate::cluster::{Cluster, TestNode};
use crate::pods::PodSpec;

/// Replaces pods with the label `app` for as long as the test runs; a replacement is ready at once.
pub fn replace_elsewhere(cluster: &Cluster, node: &TestNode, app: &str) {
    let path = format!(
        "/api/v1/namespaces/{}/pods?watch=1&fieldSelector=spec.nodeName%3D{}&labelSelector=app%3D{app}&timeoutSeconds=3600",
        node.namespace, node.name
    );
    let elsewhere = TestNode { name: format!("{}-elsewhere", node.name), namespace: node.namespace.clone() };
    let (cluster, app) = (cluster.clone(), app.to_owned());
    thread::spawn(move || {
        let mut replaced = HashSet::new();
        cluster.admin.watch(&path, |event| {
            let metadata = &event["object"]["metadata"];
            let uid = metadata["uid"].as_str().map(str::to_owned).unwrap_or_default();
            if metadata.get("deletionTimestamp").is_some_and(Value::is_string) && replaced.insert(uid) {
                cluster.make_pod(&elsewhere, &PodSpec::new(&format!("{app}-replacement-{}", replaced.len())));
            }
            true
        })
    });
}
