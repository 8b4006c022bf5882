//! What is asked of the API server is what a kubelet's credentials allow, and nothing is tried that they refuse.

use stand_ins::cluster::Audited;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// What the Node authorizer and NodeRestriction let a kubelet do to its own node and pods
/// (kubernetes/kubernetes `plugin/pkg/auth/authorizer/node`, `plugin/pkg/admission/noderestriction`).
const ALLOWED: [&str; 10] = [
    "create selfsubjectreviews",
    "get nodes",
    "patch nodes",
    "patch nodes/status",
    "watch nodes",
    "list pods",
    "watch pods",
    "create pods/eviction",
    "delete pods",
    "patch pods/status",
];

fn is_allowed(request: &Audited, node: &str) -> bool {
    let own = match (request.verb.as_str(), request.resource.as_str()) {
        ("list" | "watch", "pods") => request.uri.contains(&format!("fieldSelector=spec.nodeName%3D{node}")),
        ("watch", "nodes") => request.uri.contains(&format!("fieldSelector=metadata.name%3D{node}")),
        (_, "nodes" | "nodes/status") => request.name == node,
        ("create", "events") => return request.namespace == "default",
        _ => true,
    };
    own && ALLOWED.contains(&request.what().as_str())
}

#[test]
fn nothing_is_asked_that_a_kubelet_may_not_do_and_nothing_is_refused_but_by_a_budget() {
    let pods = [
        PodSpec::new("web-0").grace(5).stops_in(0.5),
        PodSpec::new("db-0").grace(5).stops_in(0.5),
        PodSpec::new("cni-0").daemon_set(),
        PodSpec::new("static-0").mirror(),
    ];
    let world = World::new("audit", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let mut guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 15);
    let record = guard.wait_done(seconds(20));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record::pod(&record, "db-0")["forced"], true, "a budget that was passed over is part of this");
    guard.stop(seconds(10));
    // The real API server writes a watch into its audit log as soon as it has ended.
    if world.cluster.api().is_none() {
        let watched = || world.audit().into_iter().find(|request| request.what() == "watch pods");
        guard.expect("the watch is in the audit log", seconds(10), watched);
    }

    for request in world.audit() {
        assert!(is_allowed(&request, &world.node.name), "{request:?}");
        let by_a_budget = request.what() == "create pods/eviction" && request.code == 429;
        assert!(request.code < 300 || by_a_budget, "{request:?}");
    }
}
