//! When the API server is silent, the containers are stopped on the machine itself, in time.

use std::fs;

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const LOCAL: &str = "echo \"$1 $2 $SPOT_GUARD_POD_UIDS\" >>$OUT/local";

#[test]
fn pods_whose_time_has_come_are_stopped_locally_while_the_api_server_is_silent() {
    let world = World::new("silent", &[]);
    let uids = world.cluster.make_pods(&world.node, &[PodSpec::new("web-0").grace(8), PodSpec::new("web-1").grace(8)]);
    let guard = world.start(world.setup(PROGRAM).hook("local-drain", "10-stop", LOCAL));
    world.faults.hang();
    world.interrupt(&guard, 18);
    guard.expect("local-drain starts", seconds(20), || {
        fs::read_to_string(guard.out().join("local")).ok().filter(|l| l.ends_with('\n'))
    });
    let record =
        guard.wait_record("the hook is recorded", seconds(5), |record| !record["hooks"].as_array().unwrap().is_empty());
    let started = record["hooks"].as_array().unwrap().iter().find(|hook| hook["phase"] == "local-drain");
    let left = record::before_deadline(&record, &started.expect("a local-drain hook")["started_at"]);
    assert!(left >= 9.0, "started {left} s before the deadline, 10 are needed");
    let local = fs::read_to_string(guard.out().join("local")).unwrap();
    assert!(local.starts_with("local-drain start"), "{local}");
    // Without a list that was read in time the wave is of all pods, and names none.
    assert!(uids.iter().all(|uid| local.contains(uid)) || local.trim_end() == "local-drain start", "{local}");

    world.faults.heal();
    guard.expect("local-drain ends", seconds(10), || {
        fs::read_to_string(guard.out().join("local")).ok().filter(|local| local.contains("local-drain end"))
    });
    guard.expect("the pods are asked after all", seconds(10), || {
        (world.asks().iter().filter(|a| a.code == 201).count() == 2).then_some(())
    });
}

#[test]
fn an_api_server_that_is_silent_for_a_while_costs_nothing_but_that_while() {
    let world = World::new("hiccup", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM));
    world.faults.hang();
    world.interrupt(&guard, 25);
    std::thread::sleep(seconds(4)); // the silence itself: nothing is waited for
    world.faults.heal();
    let healed = std::time::Instant::now();
    guard.expect("the pod is asked", seconds(10), || world.asks().into_iter().find(|ask| ask.code == 201));
    assert!(healed.elapsed() < seconds(4), "asked {:?} after the API server was back", healed.elapsed());
    let record = guard.wait_done(seconds(25));
    assert_eq!(record["outcome"], "complete", "{record:#}");
}

#[test]
fn an_api_server_that_refuses_connections_is_asked_until_it_takes_them() {
    let world = World::new("refused", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM));
    world.faults.refuse();
    world.interrupt(&guard, 25);
    guard.expect("it is noticed", seconds(10), || guard.record());
    std::thread::sleep(seconds(3)); // as above
    world.faults.heal();
    let record = guard.wait_done(seconds(30));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful");
}

#[test]
fn answers_that_are_cut_in_the_middle_are_asked_for_again() {
    let pods: Vec<PodSpec> = PodSpec::many("web", 20).into_iter().map(|pod| pod.grace(5).stops_in(0.5)).collect();
    let world = World::new("cut", &pods);
    let guard = world.start(world.setup(PROGRAM));
    world.faults.cut_answers_after(6000);
    world.interrupt(&guard, 25);
    std::thread::sleep(seconds(3)); // as above
    world.faults.heal();
    let record = guard.wait_done(seconds(30));
    assert_eq!(record::count(&record, "graceful"), 20, "{record:#}");
    assert_eq!(record["outcome"], "complete");
}

#[test]
fn once_the_response_is_over_nothing_is_kept_of_the_connections_that_a_silence_had_opened() {
    let pods: Vec<PodSpec> = PodSpec::many("web", 30).into_iter().map(|pod| pod.grace(3).stops_in(0.5)).collect();
    let world = World::new("sockets", &pods);
    let guard = world.start(world.setup(PROGRAM));
    let before = guard.usage().descriptors;
    world.faults.hang();
    world.interrupt(&guard, 14);
    guard.wait_line("the API server is silent", seconds(10));
    world.faults.heal();
    let record = guard.wait_done(seconds(20));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    guard.expect("the response is over", seconds(30), || (guard.status()?["state"] == "watching").then_some(()));
    // One more may be a poll that is under way.
    guard
        .expect("no more sockets than before", seconds(20), || (guard.usage().descriptors <= before + 1).then_some(()));
}
