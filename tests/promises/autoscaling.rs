//! The node of an instance that its Auto Scaling group terminates is drained within the window, and comes back when the
//! group wants the instance in service again.

use stand_ins::guard::Setup;
use stand_ins::imds::LIFECYCLE_STATE;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

fn window(window: &str) -> String {
    format!("[responses.autoscaling-termination]\nwindow = \"{window}\"")
}

fn tells(setup: Setup) -> Setup {
    let tell = "echo $SPOT_GUARD_NOTICE $SPOT_GUARD_ACTION >>$OUT/$SPOT_GUARD_PHASE";
    ["notice", "post-drain", "uncordon"].iter().fold(setup, |setup, phase| setup.hook(phase, "10-tell", tell))
}

#[test]
fn a_termination_is_drained_within_its_window_and_a_budget_gives_way_at_the_last_moment() {
    let pods = [PodSpec::new("web-0").grace(5).stops_in(0.5), PodSpec::new("db-0").grace(3).stops_in(0.5)];
    let world = World::new("asg", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(tells(world.setup(PROGRAM)).config(&window("15s")).config("[drain]\nreserve = \"1s\""));
    world.imds.set_lifecycle_state("Terminated");
    let record = guard.wait_done(seconds(40));
    world.wait_event(&guard, "ASGLifecycle", "m5.large in eu-west-1a");
    world.wait_event(&guard, "DrainFinished", "");
    assert_eq!((&record["outcome"], record::count(&record, "graceful")), (&"complete".into(), 2), "{record:#}");
    let window = record::before_deadline(&record, &record["notice"]["first_seen"]);
    assert!((window - 15.0).abs() < 0.1, "its window is {window} s");
    let left = record::before_deadline(&record, &record::pod(&record, "db-0")["asked_at"]);
    assert!((left - 5.0).abs() < 0.9, "db-0 was forced {left} s before the deadline");
    assert!(world.is_cordoned() && world.is_labelled());
    for phase in ["notice", "post-drain"] {
        assert_eq!(guard.told(phase), ["autoscaling-termination terminate"], "{phase}");
    }
    world.assert_only_allowed_requests();
}

#[test]
fn no_other_state_is_a_termination() {
    let world = World::new("asg-states", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM));
    for state in ["Warmed:Terminated", "Warmed:Stopped", "Standby", "Detached", "InService"] {
        world.imds.set_lifecycle_state(state);
        // The second comes when the first was taken in.
        world.wait_polls(&guard, LIFECYCLE_STATE, 2, seconds(40));
        assert!(guard.record().is_none() && !world.is_cordoned(), "{state}");
    }
    world.imds.set_lifecycle_state("Terminated");
    world.wait_cordoned(&guard);
}

#[test]
fn in_service_again_in_the_middle_ends_the_drain_and_the_node_comes_back() {
    let world = World::new("asg-middle", &[PodSpec::new("db-0").grace(5).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(tells(world.setup(PROGRAM)));
    world.imds.set_lifecycle_state("Terminated");
    guard.expect("db-0 was refused", seconds(30), || world.asks().into_iter().find(|ask| ask.code == 429));
    world.wait_event(&guard, "DrainStarted", "");
    // Neither is this the end of it.
    world.imds.set_lifecycle_state("Standby");
    world.wait_polls(&guard, LIFECYCLE_STATE, 2, seconds(40));
    assert!(world.is_cordoned());
    world.imds.set_lifecycle_state("InService");
    let record = world.wait_back(&guard);
    world.wait_event(&guard, "Uncordon", "");
    assert_eq!(record["outcome"], "withdrawn", "{record:#}");
    world.assert_back();
    assert_eq!(guard.told("uncordon"), ["autoscaling-termination terminate"]);
    assert_eq!(guard.told("post-drain"), [""; 0]);
    assert!(world.cluster.pod(&world.node, "db-0").is_some());
    world.assert_only_allowed_requests();
}

#[test]
fn in_service_again_afterwards_brings_the_node_back_and_the_next_termination_is_a_new_one() {
    let world = World::new("asg-after", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(tells(world.setup(PROGRAM)).config(&window("10s")));
    world.imds.set_lifecycle_state("Terminated");
    let first = guard.wait_done(seconds(30));
    world.wait_event(&guard, "DrainFinished", "");
    guard.wait_line("the machine still runs; its node stays cordoned", seconds(40));
    assert!(world.is_cordoned());
    world.imds.set_lifecycle_state("InService");
    let record = world.wait_back(&guard);
    world.wait_event(&guard, "Uncordon", "");
    assert_eq!((&record["id"], &record["outcome"]), (&first["id"], &"complete".into()), "{record:#}");
    world.assert_back();
    assert_eq!(guard.told("uncordon").len(), 1);

    world.cluster.make_pod(&world.node, &PodSpec::new("web-1").grace(5).stops_in(0.5));
    world.imds.set_lifecycle_state("Terminated");
    let second = guard.wait_record("another response", seconds(30), |record| {
        record["id"] != first["id"] && !record["outcome"].is_null()
    });
    assert_eq!((record::pod(&second, "web-1")["outcome"].as_str(), world.is_cordoned()), (Some("graceful"), true));
    assert_eq!(guard.told("notice").len(), 2);
}
