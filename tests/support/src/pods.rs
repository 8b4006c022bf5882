//! Pods as a test wants them, in the API's shape.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::now;

/// How long the app of a pod takes to stop, in seconds, as the kubelet's stand-in reads it; or [`NEVER`].
pub const STOP_SECONDS: &str = "test/stop-seconds";

/// The kubelet never gets to the end of that pod, and removes nothing.
pub const NEVER: &str = "never";

/// A pod with one container.
#[derive(Clone, Debug)]
pub struct PodSpec {
    pub name: String,
    grace: u64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    priority_class: String,
    owner: Option<(&'static str, &'static str)>,
    phase: &'static str,
    finalizers: Vec<String>,
    claims: Vec<String>,
}

impl PodSpec {
    /// A pod with 30 s of grace that stops at once; label `app` is `web` of `web-7`.
    pub fn new(name: &str) -> PodSpec {
        let app = name.split('-').next().unwrap_or(name).to_owned();
        PodSpec {
            name: name.to_owned(),
            grace: 30,
            labels: BTreeMap::from([("app".to_owned(), app)]),
            annotations: BTreeMap::new(),
            priority_class: String::new(),
            owner: Some(("apps/v1", "ReplicaSet")),
            phase: "Running",
            finalizers: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// So many alike: `web-0`, `web-1`, …
    pub fn many(name: &str, count: usize) -> Vec<PodSpec> {
        (0..count).map(|index| PodSpec::new(&format!("{name}-{index}"))).collect()
    }

    /// `terminationGracePeriodSeconds`
    pub fn grace(mut self, seconds: u64) -> PodSpec {
        self.grace = seconds;
        self
    }

    /// How long its app takes to stop.
    pub fn stops_in(self, seconds: f64) -> PodSpec {
        self.annotation(STOP_SECONDS, &seconds.to_string())
    }

    /// Its kubelet hangs on it.
    pub fn never_stops(self) -> PodSpec {
        self.annotation(STOP_SECONDS, NEVER)
    }

    /// A finalizer that nobody removes keeps the object.
    pub fn finalizer(mut self, name: &str) -> PodSpec {
        self.finalizers.push(name.to_owned());
        self
    }

    /// A volume of the claim of this name.
    pub fn claim(mut self, name: &str) -> PodSpec {
        self.claims.push(name.to_owned());
        self
    }

    pub fn label(mut self, name: &str, value: &str) -> PodSpec {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn annotation(mut self, name: &str, value: &str) -> PodSpec {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// `system-cluster-critical`
    pub fn critical(mut self) -> PodSpec {
        self.priority_class = "system-cluster-critical".to_owned();
        self
    }

    pub fn daemon_set(mut self) -> PodSpec {
        self.owner = Some(("apps/v1", "DaemonSet"));
        self
    }

    pub fn job(mut self) -> PodSpec {
        self.owner = Some(("batch/v1", "Job"));
        self
    }

    /// Nothing makes another in its place.
    pub fn bare(mut self) -> PodSpec {
        self.owner = None;
        self
    }

    /// A static pod's mirror.
    pub fn mirror(mut self) -> PodSpec {
        self.owner = None;
        self.annotation("kubernetes.io/config.source", "file").annotation("kubernetes.io/config.mirror", "0123abcd")
    }

    /// Bound, but not running yet.
    pub fn pending(mut self) -> PodSpec {
        self.phase = "Pending";
        self
    }

    /// Bound, and its image cannot be pulled.
    pub fn pulling(mut self) -> PodSpec {
        self.phase = "Pulling";
        self
    }

    /// A finished one.
    pub fn succeeded(mut self) -> PodSpec {
        self.phase = "Succeeded";
        self
    }

    /// What is created.
    pub fn object(&self, node: &str) -> Value {
        let mut object = json!({
            "metadata": {"name": self.name, "labels": self.labels, "annotations": self.annotations},
            "spec": {
                "nodeName": node, "terminationGracePeriodSeconds": self.grace, "automountServiceAccountToken": false,
                "containers": [{"name": "c", "image": "i"}],
            },
        });
        if !self.finalizers.is_empty() {
            object["metadata"]["finalizers"] = json!(self.finalizers);
        }
        if !self.claims.is_empty() {
            let volume = |claim: &String| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
            object["spec"]["volumes"] = self.claims.iter().map(volume).collect();
        }
        if let Some((version, kind)) = self.owner {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": version, "kind": kind, "name": self.labels["app"], "controller": true,
                "uid": "00000000-0000-0000-0000-000000000001",
            }]);
        }
        if !self.priority_class.is_empty() {
            object["spec"]["priorityClassName"] = self.priority_class.as_str().into();
        }
        object
    }

    /// What its kubelet says of it then; nothing of one that is pending.
    pub fn status(&self) -> Option<Value> {
        let now = now();
        let (phase, ready, state) = match self.phase {
            "Running" => ("Running", "True", json!({"running": {"startedAt": now}})),
            "Succeeded" => {
                ("Succeeded", "False", json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}}))
            }
            "Pulling" => ("Pending", "False", json!({"waiting": {"reason": "ImagePullBackOff"}})),
            _ => return None,
        };
        let container = json!({"name": "c", "image": "i", "imageID": "i", "restartCount": 0, "ready": ready == "True",
                               "started": ready == "True", "state": state});
        let condition = |kind: &str| json!({"type": kind, "status": ready, "lastTransitionTime": now});
        Some(json!({"status": {
            "phase": phase, "startTime": now, "containerStatuses": [container],
            "conditions": [condition("Ready"), condition("ContainersReady")],
        }}))
    }
}
