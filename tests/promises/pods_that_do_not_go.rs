//! A pod that does not go costs nothing but itself: the others are drained, post-drain hooks start in time, and the
//! record tells of it.

use serde_json::Value;
use stand_ins::guard::Guard;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Before the deadline, for post-drain hooks.
const RESERVE: f64 = 4.0;

fn start(world: &World) -> Guard {
    world.start(world.setup(PROGRAM).config("[drain]\nreserve = \"4s\"").hook("post-drain", "10-ship", "true"))
}

/// How long before the deadline the post-drain hook was started.
fn shipped(record: &Value) -> f64 {
    let hooks = record["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let hook = hooks.iter().find(|hook| hook["phase"] == "post-drain");
    record::before_deadline(record, &hook.unwrap_or_else(|| panic!("no post-drain hook in {record:#}"))["started_at"])
}

#[test]
fn a_pod_that_its_kubelet_never_ends_is_told_as_left_and_holds_up_nothing() {
    let stuck = PodSpec::new("stuck-0").grace(3).never_stops();
    let world = World::new("stuck", &[stuck, PodSpec::new("web-0").grace(3).stops_in(0.5)]);
    let guard = start(&world);
    world.interrupt(&guard, 14);
    let record = guard.wait_done(seconds(18));

    assert!((shipped(&record) - RESERVE).abs() < 1.0, "{} s before the deadline: {record:#}", shipped(&record));
    assert_eq!(record["outcome"], "incomplete");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful");
    let pod = record::pod(&record, "stuck-0");
    assert_eq!((&pod["outcome"], &pod["gone_at"]), (&"left".into(), &Value::Null));
    assert!(!pod["asked_at"].is_null());
    assert!(record["errors"].to_string().contains("stuck-0"), "{record:#}");
    world.wait_event(&guard, "DrainIncomplete", "stuck-0");
}

#[test]
fn a_finalizer_that_never_ends_is_not_waited_for_once_the_containers_have_ended() {
    let held = PodSpec::new("held-0").grace(3).stops_in(1.0).finalizer("example.com/never");
    let cut = PodSpec::new("cut-0").grace(2).stops_in(60.0).finalizer("example.com/never");
    let world = World::new("held", &[held, cut]);
    let guard = start(&world);
    world.interrupt(&guard, 20);
    let record = guard.wait_done(seconds(18));

    assert!(shipped(&record) > RESERVE + 5.0, "{} s before the deadline: {record:#}", shipped(&record));
    assert_eq!(record["outcome"], "complete");
    assert_eq!(record::pod(&record, "held-0")["outcome"], "graceful");
    assert_eq!(record::pod(&record, "cut-0")["outcome"], "killed");
    let object = world.cluster.pod(&world.node, "held-0").expect("its finalizer keeps it");
    assert_eq!(object["metadata"]["finalizers"][0], "example.com/never");
}

#[test]
fn a_pod_whose_image_cannot_be_pulled_waits_for_no_budget_and_is_not_told_as_killed() {
    let world = World::new("pulling", &[PodSpec::new("new-0").grace(5).pulling()]);
    world.cluster.make_budget(&world.node, "new", "new", 1, 0);
    let guard = start(&world);
    world.interrupt(&guard, 20);
    let record = guard.wait_done(seconds(18));

    let pod = record::pod(&record, "new-0");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 3.0, "{record:#}");
    assert_eq!((&pod["forced"], &pod["outcome"]), (&false.into(), &"graceful".into()), "{record:#}");
    assert_eq!(record["outcome"], "complete");
}
