//! Whatever stays, a response ends at its deadline, and its record says what became of each pod.

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_pod_that_does_not_go_is_left_and_the_response_ends_at_its_deadline() {
    let world = World::new("stays", &[PodSpec::new("web-0").grace(3)]);
    // Nobody stops the containers and removes the pods.
    let world = World { kubelet: world.kubelet.freeze(), ..world };
    let mut guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 8);
    let record = guard.wait_done(seconds(12));

    assert_eq!(record["outcome"], "incomplete");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "left");
    let ended = record["phases"].as_array().and_then(|phases| phases.iter().find(|phase| phase["name"] == "done"));
    let early = record::before_deadline(&record, &ended.expect("a phase `done`")["started_at"]);
    assert!(early.abs() < 1.0, "ended {early} s before the deadline: {record:#}");
    assert!(guard.is_running(), "the machine may outlive its deadline");
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
}

#[test]
fn a_pod_that_is_cut_at_the_end_of_its_grace_counts_as_killed() {
    let pods = [PodSpec::new("stubborn-0").grace(2).stops_in(60.0), PodSpec::new("web-0").grace(2).stops_in(0.5)];
    let world = World::new("killed", &pods);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 15);
    let record = guard.wait_done(seconds(20));
    assert_eq!(record::pod(&record, "stubborn-0")["outcome"], "killed", "{record:#}");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful");
    assert_eq!(record["outcome"], "complete", "every pod is gone");
}

#[test]
fn a_pod_with_more_grace_than_there_is_time_gets_all_the_time_there_is() {
    let world = World::new("long", &[PodSpec::new("queue-0").grace(600).stops_in(9.0)]);
    let guard = world.start(world.setup(PROGRAM).hook("pre-drain", "10-slow", "sleep 2"));
    world.interrupt(&guard, 15);
    let record = guard.wait_done(seconds(20));
    let pod = record::pod(&record, "queue-0");
    assert_eq!(pod["outcome"], "graceful", "{record:#}");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 1.5, "it does not wait for the hook");
}
