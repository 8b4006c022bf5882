//! All that a test of the real binary needs: a metadata service, a cluster with a node, its kubelet, spot-guard itself.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{Audited, Cluster, TestNode};
use crate::faults::Faults;
use crate::guard::{Guard, Setup};
use crate::imds::{Imds, SPOT};
use crate::kubeconfig::Kubeconfigs;
use crate::kubelet::Kubelet;
use crate::pods::PodSpec;

/// How long spot-guard may take to be ready, on a busy machine.
const STARTUP: Duration = Duration::from_secs(20);

/// What a kubelet's credentials may do and spot-guard has a use for.
const ALLOWED: [&str; 12] = [
    "create selfsubjectreviews",
    "get nodes",
    "list nodes",
    "watch nodes",
    "patch nodes",
    "patch nodes/status",
    "list pods",
    "watch pods",
    "create pods/eviction",
    "delete pods",
    "patch pods/status",
    "create events",
];

/// One node's world.
pub struct World {
    pub imds: Imds,
    pub cluster: Cluster,
    pub node: TestNode,
    pub kubelet: Kubelet,
    /// Between spot-guard and the API server; the test itself goes around it.
    pub faults: Faults,
}

impl World {
    /// A world for the test of this name, with these pods, on the cluster that the environment names or a stand-in.
    pub fn new(purpose: &str, pods: &[PodSpec]) -> World {
        World::on(Cluster::for_test(), purpose, pods)
    }

    /// A world on a stand-in, for what a real cluster cannot be told to do.
    pub fn on_stand_in(purpose: &str, pods: &[PodSpec]) -> World {
        World::on(Cluster::stand_in(), purpose, pods)
    }

    fn on(cluster: Cluster, purpose: &str, pods: &[PodSpec]) -> World {
        let imds = Imds::on_loopback();
        let node = cluster.make_node(purpose, &imds.instance_id());
        cluster.make_pods(&node, pods);
        let kubelet = Kubelet::start(&cluster, &node);
        let faults = Faults::before(cluster.server());
        World { imds, cluster, node, kubelet, faults }
    }

    /// spot-guard for this world, with kubeadm's kind of kubeconfig. `program`: `env!("CARGO_BIN_EXE_spot-guard")`.
    pub fn setup(&self, program: &str) -> Setup {
        let setup = self.setup_without_cluster(program);
        let kubeconfig = self.kubeconfigs(&setup).combined();
        setup.kubeconfig(&kubeconfig)
    }

    /// spot-guard for this world, which is told of no cluster.
    pub fn setup_without_cluster(&self, program: &str) -> Setup {
        Setup::new(program).imds(&self.imds)
    }

    /// Kubeconfigs of this node, by way of the proxy, in the folder of `setup`.
    pub fn kubeconfigs(&self, setup: &Setup) -> Kubeconfigs<'_> {
        Kubeconfigs::new(&self.cluster, &self.node.name, setup.folder()).through(&self.faults.server())
    }

    /// Runs spot-guard and waits until it knows its node: what comes then finds it warm.
    pub fn start(&self, setup: Setup) -> Guard {
        let guard = setup.start();
        guard.expect("spot-guard has read its node", STARTUP, || {
            self.audit().iter().find(|request| request.what() == "get nodes" && request.code == 200).map(|_| ())
        });
        self.wait_polled(&guard);
        guard
    }

    /// Waits until IMDS was asked for a notice, and said that there is none.
    pub fn wait_polled(&self, guard: &Guard) {
        guard.expect("IMDS is polled", STARTUP, || self.imds.log().iter().find(|asked| asked.path == SPOT).map(|_| ()));
    }

    /// Announces a Spot termination so many seconds from now, and waits until it was served; that moment.
    pub fn interrupt(&self, guard: &Guard, seconds: u64) -> Instant {
        self.imds.interrupt("terminate", Duration::from_secs(seconds));
        self.interrupt_seen(guard)
    }

    /// Waits until the notice was served; that moment.
    pub fn interrupt_seen(&self, guard: &Guard) -> Instant {
        guard.expect("the notice is served", STARTUP, || self.imds.first_served(SPOT))
    }

    /// Waits for an Event on the Node with that reason and `text` in it: the record is written before it is sent.
    pub fn wait_event(&self, guard: &Guard, reason: &str, text: &str) {
        guard.expect(&format!("an Event {reason} with {text:?}"), Duration::from_secs(10), || {
            let of = |event: &Value| event["reason"] == reason && event.to_string().contains(text);
            self.cluster.events(&self.node).into_iter().find(of)
        });
    }

    /// Every Event of spot-guard on the Node has the labels of its Spot pool.
    ///
    /// # Panics
    /// When one has not, or there is none.
    pub fn assert_events_are_of_the_pool(&self) {
        let mut events = self.cluster.events(&self.node);
        events.retain(|event| event["source"]["component"] == "spot-guard");
        assert!(!events.is_empty());
        for event in events {
            let labels = &event["metadata"]["labels"];
            assert_eq!(labels["node.kubernetes.io/instance-type"], "m5.large", "{event:#}");
            assert_eq!(labels["topology.kubernetes.io/zone"], "eu-west-1a", "{event:#}");
        }
    }

    pub fn audit(&self) -> Vec<Audited> {
        self.cluster.audit_of(&self.node)
    }

    /// Requests to evict or delete a pod, in the order of arrival.
    pub fn asks(&self) -> Vec<Audited> {
        let all = self.audit().into_iter();
        all.filter(|request| matches!(request.what().as_str(), "create pods/eviction" | "delete pods")).collect()
    }

    /// Asserts that spot-guard asked for nothing but what it is to ask for, and that nothing was forbidden to it.
    pub fn assert_only_allowed_requests(&self) {
        for request in self.audit() {
            assert!(ALLOWED.contains(&request.what().as_str()), "asked for what it should not: {request:?}");
            assert!(request.code != 401 && request.code != 403, "was refused: {request:?}");
        }
    }
}
