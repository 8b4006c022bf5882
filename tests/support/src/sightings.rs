//! All that becomes of a node's pods, as an administrator's watch sees it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{Cluster, TestNode};

/// A pod as it was after a change.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub at: Instant,
    /// It is no longer there; `pod` is what it was last.
    pub gone: bool,
    pub pod: Value,
}

impl Sighting {
    pub fn name(&self) -> &str {
        self.pod["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The grace with which it was asked to stop.
    pub fn grace(&self) -> Option<u64> {
        self.pod["metadata"]["deletionGracePeriodSeconds"].as_u64()
    }

    pub fn has_condition(&self, kind: &str) -> bool {
        let conditions = self.pod["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
    }
}

/// A watch that goes on until the test ends.
pub struct Sightings(Arc<Mutex<Vec<Sighting>>>);

impl Sightings {
    /// Follows the pods of this node from now on, those that are there included.
    pub fn of(cluster: &Cluster, node: &TestNode) -> Sightings {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (admin, into) = (cluster.admin.clone(), Arc::clone(&seen));
        let path = format!("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{}&timeoutSeconds=3600", node.name);
        thread::spawn(move || {
            admin.watch(&path, |mut event| {
                let gone = event["type"] == "DELETED";
                let sighting = Sighting { at: Instant::now(), gone, pod: event["object"].take() };
                into.lock().unwrap_or_else(PoisonError::into_inner).push(sighting);
                true
            })
        });
        Sightings(seen)
    }

    pub fn all(&self) -> Vec<Sighting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first time that a pod of this name was seen to be asked to stop.
    pub fn asked(&self, name: &str) -> Option<Sighting> {
        self.all().into_iter().find(|s| s.name() == name && s.grace().is_some())
    }

    /// Waits until a pod of this name was seen as wanted.
    pub fn wait(&self, what: &str, within: Duration, wanted: impl Fn(&Sighting) -> bool) -> Sighting {
        crate::wait::expect(what, within, || self.all().into_iter().find(&wanted))
    }
}
