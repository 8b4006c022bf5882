//! A node that says it is another instance is not touched; the hooks run all the same.

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_node_that_is_another_instance_is_not_cordoned_and_hooks_run_all_the_same() {
    let world = World::new("another", &[PodSpec::new("web-0")]);
    world.imds.become_instance("i-0ffffffffffffffff");
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-x", "true").hook("local-drain", "10-x", "true");
    let guard = world.start(setup);
    world.interrupt(&guard, 10);
    let record = guard.wait_done(seconds(15));

    let hooks = record::hooks(&record);
    assert_eq!(hooks, ["pre-drain/10-x", "local-drain/10-x"], "{record:#}");
    let node = world.cluster.node(&world.node);
    assert_eq!(node["spec"].get("unschedulable"), None);
    assert!(world.audit().iter().all(|request| !matches!(request.verb.as_str(), "patch" | "delete")));
    assert!(world.asks().is_empty());
    guard.wait_line("i-0ffffffffffffffff", seconds(10));
}

#[test]
fn a_node_without_a_provider_id_is_taken_for_this_one() {
    let world = World::new("unnamed", &[]);
    let mut node = world.node.clone();
    node.name.push_str("-bare");
    world.cluster.make_bare_node(&node.name, "");
    let world = World { kubelet: stand_ins::kubelet::Kubelet::start(&world.cluster, &node), node, ..world };
    world.cluster.make_pods(&world.node, &[PodSpec::new("web-0").grace(5)]);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 10);
    let record = guard.wait_done(seconds(15));
    assert_eq!(record["node"]["cordoned_by_us"], true, "{record:#}");
}
