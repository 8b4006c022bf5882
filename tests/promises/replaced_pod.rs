//! A pod is its UID: one that comes under the name of another is another, here and elsewhere.

use serde_json::json;
use stand_ins::cluster::TestNode;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_pod_replaced_under_its_name_on_this_node_is_asked_too_and_the_old_one_is_not_awaited() {
    let db = PodSpec::new("db-0").grace(5).stops_in(0.5);
    let slow = PodSpec::new("slow-0").grace(15).stops_in(6.0);
    let world = World::new("here", &[db.clone(), slow]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 25);
    guard.expect("the eviction is refused", seconds(10), || world.asks().iter().find(|a| a.code == 429).map(|_| ()));
    world.cluster.remove_pod(&world.node, "db-0");
    let new = world.cluster.make_pod(&world.node, &db);
    let record = guard.wait_done(seconds(30));

    assert_eq!(record["pods"].as_array().map(Vec::len), Some(3), "{record:#}");
    let pod = record::pod(&record, "db-0");
    // As long as it is pending, its budget does not hold it.
    assert_eq!((&pod["uid"], &pod["outcome"]), (&json!(new), &json!("graceful")));
    assert!(!pod["asked_at"].is_null(), "{record:#}");
    assert_eq!(record["outcome"], "complete");
}

#[test]
fn a_pod_replaced_under_its_name_on_another_node_is_left_in_peace() {
    let db = PodSpec::new("db-0").grace(5).stops_in(0.5);
    let world = World::new("there", std::slice::from_ref(&db));
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 25);
    guard.expect("the eviction is refused", seconds(10), || world.asks().iter().find(|a| a.code == 429).map(|_| ()));
    world.cluster.remove_pod(&world.node, "db-0");
    let there = TestNode { name: format!("{}-2", world.node.name), namespace: world.node.namespace.clone() };
    let new = world.cluster.make_pod(&there, &db);
    let record = guard.wait_done(seconds(30));

    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record["pods"].as_array().map(Vec::len), Some(1));
    assert!(record::before_deadline(&record, &record::pod(&record, "db-0")["gone_at"]) > 10.0, "its going was seen");
    let pod = world.cluster.pod(&world.node, "db-0").expect("the new pod is there");
    assert_eq!((&pod["metadata"]["uid"], pod["metadata"].get("deletionTimestamp")), (&json!(new), None));
}
