//! The node is cordoned and leaves the load balancers at first sight, with what a kubelet may do.

use serde_json::json;
use stand_ins::imds::SPOT;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

#[test]
fn the_node_is_cordoned_labelled_and_annotated_by_one_request() {
    let world = World::new("cordon", &[PodSpec::new("web-0").grace(5)]);
    let guard = world.start(world.setup(PROGRAM));
    assert_eq!(
        world.cluster.node(&world.node)["spec"].get("unschedulable"),
        None,
        "nothing is changed before a notice"
    );
    world.interrupt(&guard, 20);
    let record = guard.wait_done(seconds(25));
    world.wait_event(&guard, "SpotInterruption", "");
    world.wait_event(&guard, "Cordon", "");

    let node = world.cluster.node(&world.node);
    assert_eq!(node["spec"]["unschedulable"], true);
    assert_eq!(node["metadata"]["labels"][EXCLUDED], "true");
    let annotation = node["metadata"]["annotations"]["spot-guard/response"].as_str().unwrap_or_default();
    assert!(annotation.contains(record["id"].as_str().unwrap()), "{annotation}");
    let patches: Vec<u16> = world.audit().iter().filter(|r| r.what() == "patch nodes").map(|r| r.code).collect();
    assert_eq!(patches, [200]);
    assert_eq!(record["node"]["cordoned_by_us"], true);
    assert_eq!(record["node"]["labelled_by_us"], true);
    assert!(record::since_notice(&record, &record["node"]["settled_at"]) < 1.0, "{record:#}");
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let of = |kind: &str| conditions.iter().find(|c| c["type"] == kind).map(|c| c["status"].clone());
    assert_eq!((of("TerminationNotice"), of("Ready")), (Some(json!("True")), Some(json!("True"))));
    world.assert_only_allowed_requests();
}

#[test]
fn a_node_that_somebody_cordoned_before_is_not_ours_to_uncordon() {
    let world = World::new("cordoned", &[]);
    let guard = world.start(world.setup(PROGRAM));
    world
        .cluster
        .patch_node(&world.node, &json!({"spec": {"unschedulable": true}, "metadata": {"labels": {EXCLUDED: "true"}}}));
    world.interrupt(&guard, 10);
    let record = guard.wait_done(seconds(15));
    assert_eq!(record["node"]["cordoned_by_us"], false, "{record:#}");
    assert_eq!(record["node"]["labelled_by_us"], false);
}

#[test]
fn a_notice_that_is_gone_again_does_not_end_a_response() {
    let slow = PodSpec::new("slow-0").grace(15).stops_in(6.0);
    let world = World::new("gone", &[slow]);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 25);
    world.imds.remove(SPOT);
    let record = guard.wait_done(seconds(25));
    assert_eq!(record["outcome"], "complete");
    assert_eq!(record::pod(&record, "slow-0")["outcome"], "graceful");
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
}
