//! The limit: a client with warm connections that does nothing but ask for every pod at once.
//!
//! It keeps 64 connections open (one cordons, all others evict), polls IMDS every 5 ms, and knows no budgets, deadlines,
//! records or manners: asked to come back later, it asks again at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::client::{Client, MERGE};
use stand_ins::imds::SPOT;
use stand_ins::world::World;

const CONNECTIONS: usize = 64;
const POLL: Duration = Duration::from_millis(5);
/// Between two attempts for a pod that the API server is too busy for.
const PAUSE: Duration = Duration::from_millis(50);

/// The running client.
pub struct Limit {
    thread: JoinHandle<()>,
}

impl Limit {
    /// Begins; it polls IMDS once all its connections are warm.
    pub fn start(world: &World, server: &str) -> Limit {
        let identity = world.cluster.identity_of(&world.node.name);
        let authority = &world.cluster.authority().certificate_pem;
        let clients: Vec<Client> = (0..CONNECTIONS).map(|_| Client::new(server, authority, Some(&identity))).collect();
        let (node, imds) = (world.node.name.clone(), world.imds.endpoint());
        let thread = thread::spawn(move || {
            warm(&clients, &node);
            wait_for_notice(&imds);
            drain(&clients, &node);
        });
        Limit { thread }
    }

    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }
}

fn warm(clients: &[Client], node: &str) {
    let path = format!("/api/v1/nodes/{node}");
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| while client.get(&path).status != 200 {});
        }
    });
}

fn wait_for_notice(imds: &str) {
    let agent = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().new_agent();
    let asked = agent.put(format!("{imds}/latest/api/token")).header("X-aws-ec2-metadata-token-ttl-seconds", "21600");
    let token = asked.send_empty().expect("a token").body_mut().read_to_string().expect("a token");
    let notice = format!("{imds}/latest/{SPOT}");
    while agent.get(&notice).header("X-aws-ec2-metadata-token", &token).call().expect("IMDS answers").status() != 200 {
        thread::sleep(POLL);
    }
}

/// Cordons and lists at once, then asks for every pod.
fn drain(clients: &[Client], node: &str) {
    let patch = json!({"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "true"}},
                       "spec": {"unschedulable": true}});
    let (cordoning, listing) = (&clients[0], &clients[1]);
    thread::scope(|scope| {
        scope.spawn(|| persist(|| cordoning.patch(&format!("/api/v1/nodes/{node}"), MERGE, &patch).status));
        let mut list = Value::Null;
        persist(|| {
            let answer = listing.get(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&resourceVersion=0"));
            list = answer.body;
            answer.status
        });
        evict_all(&clients[1..], list["items"].as_array().expect("a list of pods"));
    });
}

/// Each client takes the next pod as soon as it is free.
fn evict_all(clients: &[Client], pods: &[Value]) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| {
                while let Some(pod) = pods.get(next.fetch_add(1, Ordering::Relaxed)) {
                    evict(client, pod);
                }
            });
        }
    });
}

fn evict(client: &Client, pod: &Value) {
    let text = |name: &str| pod["metadata"][name].as_str().expect("a name");
    let path = format!("/api/v1/namespaces/{}/pods/{}/eviction", text("namespace"), text("name"));
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": text("name")}});
    persist(|| client.post(&path, &eviction).status);
}

/// Asks until it is told anything but to come back later.
fn persist(mut ask: impl FnMut() -> u16) {
    while ask() == 429 {
        thread::sleep(PAUSE);
    }
}
