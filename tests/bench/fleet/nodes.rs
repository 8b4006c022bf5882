//! The Nodes of a fleet, their pods, and the daemons that run for them.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use stand_ins::cluster::{Cluster, TestNode};
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::pods::PodSpec;
use stand_ins::record;

use crate::process;

/// What `Setup::new` runs where `SPOT_GUARD_TEST_BINARY` names no other.
const OWN_BINARY: &str = env!("CARGO_BIN_EXE_spot-guard");

/// How many nodes are made, and daemons started, side by side.
const AT_ONCE: usize = 16;

/// How long all daemons may take until they know their nodes.
const STARTUP: Duration = Duration::from_secs(180);

/// After so long each daemon has looked again how long a request takes.
const SETTLED: Duration = Duration::from_secs(70);

/// How many nodes, and pods on each.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub nodes: usize,
    pub pods: usize,
}

impl Size {
    pub fn all_pods(self) -> usize {
        self.nodes * self.pods
    }
}

/// A node of the fleet and its own metadata service.
pub struct Member {
    pub imds: Imds,
    pub node: TestNode,
    pub pods: Vec<String>,
}

pub struct Fleet {
    pub cluster: Cluster,
    pub members: Vec<Member>,
}

impl Fleet {
    pub fn make(cluster: &Cluster, size: Size) -> Fleet {
        let members = side_by_side(0..size.nodes, |_| Member::make(cluster, size.pods));
        Fleet { cluster: cluster.clone(), members }
    }

    /// All metadata services give the notice, within a few milliseconds.
    pub fn interrupt(&self, window: Duration) {
        for member in &self.members {
            member.imds.interrupt("terminate", window);
        }
    }

    /// Removes the Nodes: the next fleet has the cluster for itself.
    pub fn remove(self) {
        side_by_side(&self.members, |member| self.cluster.remove_node(&member.node));
    }
}

impl Member {
    fn make(cluster: &Cluster, pods: usize) -> Member {
        let imds = Imds::on_loopback();
        let node = cluster.make_node("fleet", &imds.instance_id());
        let pods = PodSpec::many("web", pods);
        pods.iter().for_each(|pod| drop(cluster.make_pod(&node, pod)));
        Member { imds, node, pods: pods.into_iter().map(|pod| pod.name).collect() }
    }
}

/// The daemons of a fleet, one a node.
pub struct Daemons(Vec<Guard>);

/// What became of a fleet; of the daemons, where there are some.
#[derive(Default)]
pub struct Ends {
    /// One line for each daemon whose response is not complete or whose pods were not all graceful, or for pods that stay.
    pub gave_up: Vec<String>,
    /// The most memory that one of them ever had, in MiB.
    pub peak: f64,
    /// The processor time of all, in seconds.
    pub cpu: f64,
    /// How many took an API server that was slow for one that is silent.
    pub silent: usize,
}

impl Daemons {
    /// Starts them and waits until each knows its node and has been told that there is no notice.
    pub fn start(fleet: &Fleet) -> Daemons {
        let guards = side_by_side(&fleet.members, |member| {
            let setup = Setup::new(OWN_BINARY).imds(&member.imds);
            let kubeconfig = Kubeconfigs::new(&fleet.cluster, &member.node.name, setup.folder()).combined();
            setup.kubeconfig(&kubeconfig).start()
        });
        let end = Instant::now() + STARTUP;
        for (guard, member) in guards.iter().zip(&fleet.members) {
            guard.expect("spot-guard is ready", end.saturating_duration_since(Instant::now()), || {
                let knows = guard.status().is_some_and(|status| status["kubernetes"]["state"] == "ready");
                let polled = || member.imds.log().iter().any(|asked| asked.path == SPOT);
                (knows && polled()).then_some(())
            });
        }
        // What they know of how far away the API server is is from the storm of their start until they look again.
        thread::sleep(SETTLED);
        Daemons(guards)
    }

    /// Waits until all have ended their responses.
    pub fn wait_done(&self, pods: usize, within: Duration) -> Ends {
        let end = Instant::now() + within;
        let mut gave_up = Vec::new();
        for guard in &self.0 {
            let record = guard.wait_done(end.saturating_duration_since(Instant::now()));
            gave_up.extend(what_is_wrong(&record, pods));
        }
        let peaks = self.0.iter().map(|guard| process::kibibytes(pid(guard), "VmHWM") / 1024.0);
        let silent = self.0.iter().filter(|guard| !guard.lines_with("the API server is silent").is_empty()).count();
        Ends { gave_up, peak: peaks.fold(0.0, f64::max), cpu: self.cpu(), silent }
    }

    /// The processor time that all have used so far, in seconds.
    pub fn cpu(&self) -> f64 {
        self.0.iter().map(|guard| process::processor_time(pid(guard)).as_secs_f64()).sum()
    }

    pub fn stop(self) {
        side_by_side(self.0, drop);
    }
}

fn pid(guard: &Guard) -> u32 {
    guard.pid().as_raw().cast_unsigned()
}

/// What of a record shows that its daemon gave up.
fn what_is_wrong(record: &Value, pods: usize) -> Option<String> {
    let graceful = record::count(record, "graceful");
    if record["outcome"] == "complete" && graceful == pods {
        return None;
    }
    Some(format!("{}: {}, {graceful} of {pods} pods graceful", record["node"]["name"], record["outcome"]))
}

/// Does the same for all, several at a time; what came of it, in their order.
pub fn side_by_side<T: Send, R: Send>(all: impl IntoIterator<Item = T>, each: impl Fn(T) -> R + Sync) -> Vec<R> {
    let mut rest: Vec<T> = all.into_iter().collect();
    let share = rest.len().div_ceil(AT_ONCE).max(1);
    let each = &each;
    thread::scope(|scope| {
        let mut shares = Vec::new();
        while !rest.is_empty() {
            let mine: Vec<T> = rest.drain(..share.min(rest.len())).collect();
            shares.push(scope.spawn(move || mine.into_iter().map(each).collect::<Vec<R>>()));
        }
        shares.into_iter().flat_map(|share| share.join().expect("a share of the work")).collect()
    })
}
