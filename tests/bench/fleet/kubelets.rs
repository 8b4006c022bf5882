//! One stand-in for the kubelets of a whole fleet: a pod that is asked to stop is gone after a time that is the same for all.
//!
//! One watch and a fixed number of threads, where a kubelet a node and a thread a pod would take the machine from what
//! is measured. Unlike a kubelet it says nothing of a pod's containers before it deletes the pod.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stand_ins::client::Client;
use stand_ins::cluster::Cluster;
use stand_ins::wait;

/// How long a pod's app takes to stop.
pub const STOPS_IN: Duration = Duration::from_secs(10);

/// How many pods are deleted side by side.
const WORKERS: usize = 32;

/// It looks after no more pods once this is dropped.
pub struct Kubelets {
    gone: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

/// A pod that is stopping.
struct Stopping {
    path: String,
    uid: Value,
    ends: Instant,
}

impl Kubelets {
    pub fn start(cluster: &Cluster) -> Kubelets {
        let kubelets = Kubelets { gone: Arc::default(), ended: Arc::default() };
        let (stopping, due) = mpsc::channel();
        let (admin, ended) = (cluster.admin.clone(), Arc::clone(&kubelets.ended));
        thread::spawn(move || follow(&admin, &stopping, &ended));
        let due = Arc::new(Mutex::new(due));
        for _ in 0..WORKERS {
            let (admin, due, gone) = (cluster.admin.clone(), Arc::clone(&due), Arc::clone(&kubelets.gone));
            thread::spawn(move || delete_what_is_due(&admin, &due, &gone));
        }
        kubelets
    }

    /// Waits until so many pods are gone; how many are.
    pub fn wait_gone(&self, count: usize, within: Duration) -> usize {
        let gone = || self.gone.load(Ordering::SeqCst);
        wait::wait(within, || (gone() >= count).then_some(()));
        gone()
    }
}

impl Drop for Kubelets {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn follow(admin: &Client, stopping: &Sender<Stopping>, ended: &AtomicBool) {
    let mut seen = HashSet::new();
    let mut see = |event: Value| {
        let pod = &event["object"]["metadata"];
        if event["type"] != "DELETED" && pod.get("deletionTimestamp").is_some() && seen.insert(pod["uid"].to_string()) {
            let text = |name: &str| pod[name].as_str().unwrap_or_default().to_owned();
            let path = format!("/api/v1/namespaces/{}/pods/{}", text("namespace"), text("name"));
            let ends = Instant::now() + STOPS_IN;
            // Nobody takes it in the end.
            let _ = stopping.send(Stopping { path, uid: pod["uid"].clone(), ends });
        }
        !ended.load(Ordering::SeqCst)
    };
    // The real server ends a watch whose reader is slow.
    while !ended.load(Ordering::SeqCst) {
        if admin.watch("/api/v1/pods?watch=1&timeoutSeconds=3600", &mut see).is_none() {
            return;
        }
    }
}

/// All pods stop in the same time: those that began first are due first.
fn delete_what_is_due(admin: &Client, due: &Mutex<Receiver<Stopping>>, gone: &AtomicUsize) {
    loop {
        let next = due.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(pod) = next else { return };
        thread::sleep(pod.ends.saturating_duration_since(Instant::now()));
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}});
        admin.delete(&pod.path, &options).ok();
        gone.fetch_add(1, Ordering::SeqCst);
    }
}
