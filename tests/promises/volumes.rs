//! A pod's volumes are waited for until they are released, and no longer than post-drain allows.

use stand_ins::guard::Guard;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// A database with a volume, and a DaemonSet's agent that keeps its own; their volumes' names on the node.
fn world(purpose: &str) -> (World, String, String) {
    let db = PodSpec::new("db-0").grace(5).stops_in(0.5).claim("data");
    let world = World::new(purpose, &[db, PodSpec::new("agent-0").daemon_set().claim("own")]);
    let (data, own) = (world.cluster.make_volume(&world.node, "data"), world.cluster.make_volume(&world.node, "own"));
    world.cluster.attach(&world.node, &[data.clone(), own.clone()]);
    (world, data, own)
}

fn start(world: &World) -> Guard {
    world.start(world.setup(PROGRAM).config("[drain]\nreserve = \"4s\"").hook("post-drain", "10-ship", "true"))
}

#[test]
fn post_drain_waits_until_the_volumes_of_the_pods_that_went_are_released() {
    let (world, _, own) = world("released");
    let guard = start(&world);
    world.interrupt(&guard, 25);
    guard.wait_record("the pod is gone", seconds(15), |record| !record["pods"][0]["gone_at"].is_null());
    std::thread::sleep(seconds(2)); // how long unmounting and detaching take
    let before = guard.record().expect("a record");
    assert_eq!(record::hooks(&before), [""; 0], "{before:#}");
    world.cluster.attach(&world.node, &[own]);
    let record = guard.wait_done(seconds(15));

    assert_eq!(record::hooks(&record), ["post-drain/10-ship"], "{record:#}");
    assert!(record::before_deadline(&record, &record["hooks"][0]["started_at"]) > 8.0, "as soon as they are released");
    assert_eq!(record["outcome"], "complete");
    assert_eq!(record["errors"].as_array().map(Vec::len), Some(0), "{record:#}");
    world.assert_only_allowed_requests();
}

#[test]
fn a_volume_that_is_never_released_holds_post_drain_up_to_its_reserve_and_is_named() {
    let (world, data, _) = world("unreleased");
    let guard = start(&world);
    world.interrupt(&guard, 16);
    let record = guard.wait_done(seconds(20));

    let shipped = record::before_deadline(&record, &record["hooks"][0]["started_at"]);
    assert!((shipped - 4.0).abs() < 1.0, "{shipped} s before the deadline: {record:#}");
    assert_eq!(
        (&record["outcome"], &record::pod(&record, "db-0")["outcome"]),
        (&"incomplete".into(), &"graceful".into())
    );
    assert!(record["errors"].to_string().contains(&data), "{:#}", record["errors"]);
    world.wait_event(&guard, "DrainIncomplete", &data);
}

#[test]
fn volumes_are_not_waited_for_where_that_is_switched_off() {
    let (world, ..) = world("unawaited");
    let guard =
        world.start(world.setup(PROGRAM).config("[drain]\nvolumes = false").hook("post-drain", "10-ship", "true"));
    world.interrupt(&guard, 25);
    let record = guard.wait_done(seconds(10));
    assert_eq!((&record["outcome"], record["errors"].as_array().map(Vec::len)), (&"complete".into(), Some(0)));
}
