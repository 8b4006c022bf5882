//! What the API server can do at the most: an administrator, whom its flow control lets pass, evicts everything over
//! connections that are warm.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use stand_ins::client::Client;

use crate::nodes::Fleet;

/// As many as the client keeps.
const CONNECTIONS: usize = 64;

/// Opens the connections.
pub fn warm(admin: &Client) {
    let together = Barrier::new(CONNECTIONS);
    let open = || {
        // All at once: who comes later would take the connection that another has given back.
        together.wait();
        admin.get("/readyz");
    };
    thread::scope(|scope| (0..CONNECTIONS).for_each(|_| drop(scope.spawn(open))));
}

/// Returns when every pod has been asked.
pub fn evict_all(fleet: &Fleet) {
    let all: Vec<(&str, &str)> = fleet
        .members
        .iter()
        .flat_map(|member| member.pods.iter().map(|pod| (member.node.namespace.as_str(), pod.as_str())))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((namespace, pod)) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
            evict(&fleet.cluster.admin, namespace, pod);
        }
    };
    thread::scope(|scope| (0..CONNECTIONS).for_each(|_| drop(scope.spawn(work))));
}

fn evict(admin: &Client, namespace: &str, pod: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
    while admin.post(&path, &eviction).status != 201 {
        thread::sleep(Duration::from_millis(100));
    }
}
