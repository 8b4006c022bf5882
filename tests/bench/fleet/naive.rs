//! The naive way to empty nodes: every pod of every node is asked at once, each on a connection of its own, an answer
//! that is no yes is asked again a second later whatever it said, and each pod is looked at once a second until it is gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder, Scope};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stand_ins::client::{Client, MERGE};
use stand_ins::cluster::TestNode;

use crate::nodes::{Ends, Fleet};

const SECOND: Duration = Duration::from_secs(1);

/// There is a thread a pod.
const STACK: usize = 512 << 10;

struct Drain<'a> {
    client: &'a Client,
    node: &'a TestNode,
    /// It sees the notice so much later: it polls once a second, at a moment of its own.
    sees_after: Duration,
    until: Instant,
    gave_up: &'a AtomicUsize,
}

/// Empties all nodes, and gives up at the end of the window.
pub fn drain_all(fleet: &Fleet, clients: &[Client], window: Duration) -> Ends {
    let gave_up = AtomicUsize::new(0);
    let until = Instant::now() + window;
    let all = u32::try_from(fleet.members.len()).expect("not that many nodes");
    let drains: Vec<Drain> = (0..)
        .zip(fleet.members.iter().zip(clients))
        .map(|(index, (member, client))| Drain {
            client,
            node: &member.node,
            sees_after: SECOND * index / all,
            until,
            gave_up: &gave_up,
        })
        .collect();
    thread::scope(|scope| {
        for drain in &drains {
            small_thread(scope, move || drain.node(scope));
        }
    });
    let gave_up = Some(gave_up.into_inner()).filter(|pods| *pods > 0);
    let words = gave_up.map(|pods| format!("{pods} pods were not seen to be gone within the window"));
    Ends { gave_up: words.into_iter().collect(), ..Ends::default() }
}

/// Clients with the credentials of each node's kubelet, without a connection so far.
pub fn clients(fleet: &Fleet) -> Vec<Client> {
    fleet.members.iter().map(|member| fleet.cluster.client_of(&member.node)).collect()
}

impl<'scope> Drain<'_> {
    fn node<'env>(&'scope self, scope: &'scope Scope<'scope, 'env>) {
        thread::sleep(self.sees_after);
        let name = &self.node.name;
        let cordon = json!({"spec": {"unschedulable": true}});
        self.until_yes(|| self.ask("PATCH", &format!("/api/v1/nodes/{name}"), MERGE, &cordon).is_some());
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{name}");
        let mut pods = Value::Null;
        self.until_yes(|| {
            pods = self.ask("GET", &path, "", &Value::Null).unwrap_or_default();
            !pods.is_null()
        });
        for pod in pods["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            small_thread(scope, move || self.pod(&name));
        }
    }

    fn pod(&self, name: &str) {
        let path = format!("/api/v1/namespaces/{}/pods/{name}", self.node.namespace);
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        let asked =
            self.until_yes(|| self.ask("POST", &format!("{path}/eviction"), "application/json", &eviction).is_some());
        let is_gone = || {
            let looked = self.client.try_request("GET", &path, &[], &Value::Null);
            // A node may not see a pod that is gone.
            looked.is_ok_and(|answer| matches!(answer.status, 403 | 404))
        };
        if !asked || !self.until_yes(is_gone) {
            self.gave_up.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The body of a 2xx.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &Value) -> Option<Value> {
        let answer = self.client.try_request(method, path, &[("Content-Type", kind)], body).ok()?;
        (200..300).contains(&answer.status).then_some(answer.body)
    }

    /// Tries once a second; whether it was a yes within the window.
    fn until_yes(&self, mut tried: impl FnMut() -> bool) -> bool {
        while Instant::now() < self.until {
            if tried() {
                return true;
            }
            thread::sleep(SECOND);
        }
        false
    }
}

fn small_thread<'scope, 'env>(scope: &'scope Scope<'scope, 'env>, work: impl FnOnce() + Send + 'scope) {
    Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread");
}
