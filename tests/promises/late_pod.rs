//! A pod that appears in the middle of a drain is asked like the others.

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_pod_that_appears_late_is_asked_at_once_with_the_grace_that_fits() {
    let world = World::new("late", &[PodSpec::new("slow-0").grace(15).stops_in(8.0)]);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 20);
    guard.expect("the first pod is asked", seconds(10), || world.asks().first().cloned());
    let late = std::time::Instant::now();
    world
        .cluster
        .make_pods(&world.node, &[PodSpec::new("late-0").grace(60).stops_in(1.0), PodSpec::new("cni-0").daemon_set()]);
    guard.expect("the late pod is asked", seconds(5), || {
        world.asks().into_iter().find(|ask| ask.name == "late-0" && ask.code == 201)
    });
    assert!(late.elapsed() < seconds(4));
    let record = guard.wait_done(seconds(25));
    assert_eq!(record::pod(&record, "late-0")["outcome"], "graceful", "{record:#}");
    assert_eq!(record["outcome"], "complete");
    assert!(world.asks().iter().all(|ask| ask.name != "cni-0"));
}

#[test]
fn a_pod_that_appears_after_all_others_are_gone_is_asked_until_the_deadline() {
    let world = World::new("after", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 20);
    guard.wait_done(seconds(15));
    world.cluster.make_pods(&world.node, &[PodSpec::new("late-0").grace(5).stops_in(0.5)]);
    let record = guard.wait_record("the late pod is gone", seconds(10), |record| {
        record["pods"]
            .as_array()
            .is_some_and(|pods| pods.iter().any(|p| p["name"] == "late-0" && !p["gone_at"].is_null()))
    });
    assert_eq!(record::pod(&record, "late-0")["outcome"], "graceful", "{record:#}");
    assert_eq!(record["outcome"], "complete");
}
