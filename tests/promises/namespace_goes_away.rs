//! Pods of a namespace that is being deleted are stopped like the others, whoever asks them.

use serde_json::json;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

fn pods() -> Vec<PodSpec> {
    PodSpec::many("db", 3).into_iter().map(|pod| pod.grace(6).stops_in(2.0)).collect()
}

#[test]
fn pods_that_go_with_their_namespace_are_not_asked_again_and_awaited() {
    let world = World::new("leaving", &pods());
    world.cluster.make_budget(&world.node, "db", "db", 3, 3);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 30);
    guard.expect("an eviction is refused", seconds(10), || world.asks().into_iter().find(|ask| ask.code == 429));
    world.cluster.delete_namespace(&world.node.namespace);
    let record = guard.wait_done(seconds(25));

    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record::count(&record, "graceful"), 3);
    assert!(world.asks().iter().all(|ask| ask.what() != "delete pods"), "{:#?}", world.asks());
}

/// A real cluster cannot be told to have a namespace controller that is this late.
#[test]
fn pods_of_a_namespace_that_nobody_empties_are_forced_at_their_force_time() {
    let world = World::on_stand_in("unemptied", &pods());
    let terminating = json!({"metadata": {"deletionTimestamp": "2026-11-22T20:00:00Z"}});
    let path = format!("/api/v1/namespaces/{}", world.node.namespace);
    world.cluster.admin.patch(&path, stand_ins::client::MERGE, &terminating).ok();
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 16);
    let record = guard.wait_done(seconds(20));

    assert_eq!(record::count(&record, "graceful"), 3, "{record:#}");
    for name in ["db-0", "db-1", "db-2"] {
        let pod = record::pod(&record, name);
        let left = record::before_deadline(&record, &pod["asked_at"]);
        assert!((left - 8.0).abs() < 0.7, "{name} was forced {left} s before the deadline");
    }
    let refused = world.asks().into_iter().filter(|ask| ask.what() == "create pods/eviction");
    assert!(refused.map(|ask| ask.code).all(|code| code == 403), "{:#?}", world.asks());
}
