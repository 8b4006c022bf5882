//! The world of the demo: a node, its pods, their budget, two hooks.

use std::time::Duration;

use stand_ins::cluster::{Cluster, TestNode};
use stand_ins::faults::Faults;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::Imds;
use stand_ins::kubelet::Kubelet;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

/// How long the instance lives on after the notice. EC2 gives two minutes.
pub const WINDOW: Duration = Duration::from_secs(30);

pub const NODE: &str = "ip-10-0-1-7";

/// The namespace of all pods.
const NAMESPACE: &str = "shop";

pub struct Scene {
    pub world: World,
    pub guard: Guard,
}

impl Scene {
    /// Sets everything up, and waits until spot-guard is ready.
    pub fn set(program: &str) -> Scene {
        let cluster = Cluster::stand_in();
        let imds = Imds::on_loopback();
        let node = TestNode { name: NODE.to_owned(), namespace: NAMESPACE.to_owned() };
        cluster.make_namespace(NAMESPACE);
        cluster.make_bare_node(NODE, &format!("aws:///eu-west-1a/{}", imds.instance_id()));
        cluster.make_pods(&node, &pods());
        // Two replicas, of which two must be up: this budget never gives way.
        cluster.make_budget(&node, "db", "db", 2, 2);
        let kubelet = Kubelet::start(&cluster, &node);
        let faults = Faults::before(cluster.server());
        let world = World { imds, cluster, node, kubelet, faults };
        let setup = Setup::new(program)
            .imds(&world.imds)
            .config("[imds]\npoll-interval = \"200ms\"\n[drain]\nreserve = \"4s\"")
            .hook(
                "pre-drain",
                "10-deregister",
                "echo 'leaving the target group'\nsleep 1\necho 'no new requests come in'",
            )
            .hook("post-drain", "10-ship-logs", "echo \"logs shipped, $SPOT_GUARD_SECONDS_LEFT s left\"");
        let kubeconfig = world.kubeconfigs(&setup).combined();
        let guard = world.start(setup.kubeconfig(&kubeconfig));
        Scene { world, guard }
    }
}

/// Grace periods, and what the apps make of them. The last ask that still gives `db` its grace is 12 s before the
/// drain's end; `queue` has a longer grace than there is time.
fn pods() -> Vec<PodSpec> {
    let mut pods: Vec<PodSpec> = PodSpec::many("web", 4);
    pods = pods.into_iter().zip([1.2, 1.7, 2.1, 2.6]).map(|(pod, seconds)| pod.grace(20).stops_in(seconds)).collect();
    pods.extend([
        PodSpec::new("api-0").grace(20).stops_in(5.0),
        PodSpec::new("api-1").grace(20).stops_in(6.5),
        PodSpec::new("worker-0").grace(25).stops_in(12.0),
        PodSpec::new("queue-0").grace(300).stops_in(18.0),
        PodSpec::new("db-0").grace(12).stops_in(4.0),
        PodSpec::new("db-1").grace(12).stops_in(5.0),
        PodSpec::new("cni-x7k2p").daemon_set(),
        PodSpec::new(&format!("kube-proxy-{NODE}")).mirror(),
    ]);
    pods
}
