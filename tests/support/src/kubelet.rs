//! A kubelet that runs no containers: pods that are to go are gone after the time that their app takes to stop.
//!
//! As the real one: the grace at first sight sets the timer (a shorter one later stops nothing sooner), a container
//! that is cut at the end of its grace shows exit code 137 in the status, then the object is deleted for good. One that
//! never ran shows 137 too, at no time (kubernetes/kubernetes `pkg/kubelet/status/status_manager.go`, `TerminatePod`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, STRATEGIC};
use crate::cluster::{Cluster, TestNode, now};
use crate::pods::{NEVER, STOP_SECONDS};

/// The running stand-in; it does nothing more once this is dropped.
pub struct Kubelet {
    ended: Arc<AtomicBool>,
}

impl Kubelet {
    /// Stops pods of this node from now on. It asks as the administrator, so that the audit log has only spot-guard's
    /// requests as the node's.
    pub fn start(cluster: &Cluster, node: &TestNode) -> Kubelet {
        let ended = Arc::new(AtomicBool::new(false));
        let (admin, node, flag) = (cluster.admin.clone(), node.clone(), Arc::clone(&ended));
        thread::spawn(move || follow(&admin, &node, &flag));
        Kubelet { ended }
    }

    /// Stops no more pods, as a kubelet that hangs.
    #[must_use]
    pub fn freeze(self) -> Kubelet {
        self.ended.store(true, Ordering::SeqCst);
        self
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn follow(admin: &Client, node: &TestNode, ended: &Arc<AtomicBool>) {
    let path = format!("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{}&timeoutSeconds=3600", node.name);
    let mut seen = HashSet::new();
    // The real server ends a watch whose reader is slow, as one is on a busy machine; the next begins with what is there.
    while !ended.load(Ordering::SeqCst) {
        let watched = admin.watch(&path, |event| {
            if ended.load(Ordering::SeqCst) {
                return false;
            }
            let pod = &event["object"];
            let stopping = event["type"] != "DELETED" && pod["metadata"].get("deletionTimestamp").is_some();
            if stopping && seen.insert(text(pod, "/metadata/uid")) {
                let (admin, pod, ended) = (admin.clone(), pod.clone(), Arc::clone(ended));
                thread::spawn(move || stop(&admin, &pod, &ended));
            }
            true
        });
        if watched.is_none() {
            return;
        }
    }
}

/// Runs the end of a pod: TERM at once, KILL at the end of the grace, whichever ends it.
fn stop(admin: &Client, pod: &Value, ended: &AtomicBool) {
    let grace = Duration::from_secs(pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30));
    let annotation = pod["metadata"]["annotations"][STOP_SECONDS].as_str();
    if annotation == Some(NEVER) {
        return;
    }
    let needs = Duration::from_secs_f64(annotation.and_then(|seconds| seconds.parse().ok()).unwrap_or(0.1));
    thread::sleep(needs.min(grace));
    if ended.load(Ordering::SeqCst) {
        return;
    }
    let path = format!("/api/v1/namespaces/{}/pods/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let ran = pod.pointer("/status/containerStatuses/0/state/waiting").is_none();
    let (phase, state) = match (ran, needs > grace) {
        (true, false) => ("Succeeded", terminated(0, "Completed", &now())),
        (true, true) => ("Failed", terminated(137, "Error", &now())),
        (false, _) => ("Failed", json!({"exitCode": 137, "reason": "ContainerStatusUnknown"})),
    };
    let container = json!({"name": "c", "image": "i", "imageID": "i", "restartCount": 0, "ready": false,
                           "started": false, "state": {"terminated": state}});
    let patch = json!({
        "metadata": {"uid": text(pod, "/metadata/uid")},
        "status": {"phase": phase, "containerStatuses": [container], "conditions": [{"type": "Ready", "status": "False"}]},
    });
    // A pod that somebody removed meanwhile is gone all the same.
    admin.patch(&format!("{path}/status"), STRATEGIC, &patch);
    let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": text(pod, "/metadata/uid")}});
    admin.delete(&path, &options);
}

fn terminated(code: u8, reason: &str, now: &str) -> Value {
    json!({"exitCode": code, "reason": reason, "finishedAt": now, "startedAt": now})
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::PodSpec;

    #[test]
    fn pods_go_after_their_own_time_or_are_cut_at_the_end_of_their_grace() {
        let cluster = Cluster::for_test();
        let node = cluster.make_node("kubelet", "i-1");
        let quick = PodSpec::new("quick-0").stops_in(0.2);
        let stubborn = PodSpec::new("stubborn-0").grace(1).stops_in(60.0);
        cluster.make_pods(&node, &[quick, stubborn, PodSpec::new("stays-0")]);
        let _kubelet = Kubelet::start(&cluster, &node);
        let path = format!("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{}&timeoutSeconds=20", node.name);
        let mut gone = Vec::new();
        let asked = std::time::Instant::now();
        for name in ["quick-0", "stubborn-0"] {
            cluster.admin.delete(&format!("/api/v1/namespaces/{}/pods/{name}", node.namespace), &json!({})).ok();
        }
        cluster.admin.watch(&path, |event| {
            if event["type"] == "DELETED" {
                let state = &event["object"]["status"]["containerStatuses"][0]["state"];
                let code = state["terminated"]["exitCode"].as_i64();
                gone.push((text(&event["object"], "/metadata/name"), code, asked.elapsed().as_secs()));
            }
            gone.len() < 2
        });
        assert_eq!(gone, [("quick-0".to_owned(), Some(0), 0), ("stubborn-0".to_owned(), Some(137), 1)]);
        assert_eq!(cluster.pods(&node).len(), 1);
    }
}
