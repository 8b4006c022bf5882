//! An API server that comes back in the middle of a local drain takes over: every pod is asked, once, and then the hooks
//! are told that it is over.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::local_drain::{self, Call, WRITE_DOWN};
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Asked at the very first moment: its grace is longer than all there is.
const LONGEST: &str = "queue-0";

/// Stopped in the silence, as these have the earliest last moments of the rest.
const LONG: [&str; 2] = ["long-0", "long-1"];

/// Asked when the API server is back: their last moments are far.
const SHORT: [&str; 2] = ["short-0", "short-1"];

/// `grace`: of those that are stopped in the silence.
fn world(purpose: &str, grace: u64) -> World {
    let pod = |name: &str, grace: u64| PodSpec::new(name).grace(grace).stops_in(1.0);
    let queue = PodSpec::new(LONGEST).grace(600).stops_in(20.0);
    let rest = LONG.map(|name| pod(name, grace)).into_iter().chain(SHORT.map(|name| pod(name, 4)));
    World::new(purpose, &[queue].into_iter().chain(rest).collect::<Vec<_>>())
}

/// A hook whose `start` goes on until it is told to end.
fn hook(setup: Setup) -> Setup {
    let goes_on = "trap 'echo >>$OUT/told-to-end; exit 0' TERM; [ $2 = end ] || while :; do sleep 0.1; done";
    setup.hook("local-drain", "10-stop", &format!("{WRITE_DOWN}\n{goes_on}"))
}

fn wait_call(guard: &Guard, argument: &str) -> Call {
    let what = format!("local-drain {argument}");
    guard.expect(&what, seconds(30), || local_drain::calls(guard).into_iter().find(|call| call.argument == argument))
}

fn told_to_end(guard: &Guard) -> PathBuf {
    guard.out().join("told-to-end")
}

/// All is well at the end, each pod was asked once, and `end` came once, after that.
fn assert_handed_over(world: &World, guard: &Guard) -> Value {
    let record = guard.wait_done(seconds(40));
    assert_eq!((record::count(&record, "graceful"), &record["outcome"]), (5, &"complete".into()), "{record:#}");
    let asks = world.asks();
    let names: BTreeSet<&str> = asks.iter().map(|ask| ask.name.as_str()).collect();
    assert_eq!((asks.len(), names.len()), (5, 5), "each is asked once: {asks:#?}");
    assert!(asks.iter().all(|ask| ask.what() == "create pods/eviction" && ask.code == 201), "{asks:#?}");

    let calls = local_drain::calls(guard);
    let ends = calls.iter().filter(|call| call.argument == "end").count();
    assert_eq!((ends, calls.last().map(|call| call.argument.as_str())), (1, Some("end")), "{calls:#?}");
    assert_eq!(record["local_drain"]["active"], false);
    assert!(told_to_end(guard).exists(), "`start` was not told to end: {record:#}");
    let end = record["hooks"].as_array().unwrap().iter().find(|hook| hook["argument"] == "end").unwrap();
    let end = record::time(&end["started_at"]);
    let late = asks.iter().find(|ask| LONG.contains(&ask.name.as_str()) && ask.at > end);
    assert!(late.is_none(), "its kubelet went on at {end} and would start it again: {late:?}");
    record
}

#[test]
fn pods_that_were_being_stopped_and_those_whose_time_had_not_come_are_evicted_and_then_it_ends() {
    let world = world("back-known", 18);
    let hold = "until [ -e $OUT/go ]; do sleep 0.1; done";
    let guard = world.start(hook(world.setup(PROGRAM)).hook("pre-drain", "10-hold", hold));
    world.interrupt(&guard, 30);
    let record = guard.wait_record("the pods are known, and one is asked", seconds(20), |record| {
        let pods = record["pods"].as_array().unwrap();
        pods.len() == 5 && pods.iter().any(|pod| !pod["asked_at"].is_null())
    });
    guard.expect("its kubelet has heard of it", seconds(5), || {
        let asked = record::time(&record::pod(&record, LONGEST)["asked_at"]) + Duration::from_millis(290);
        world.audit().into_iter().find(|request| request.at >= asked)
    });
    world.faults.refuse();
    fs::write(guard.out().join("go"), "").unwrap();

    let start = wait_call(&guard, "start");
    world.faults.heal();
    let record = assert_handed_over(&world, &guard);
    let uid = |name| record::pod(&record, name)["uid"].as_str().unwrap().to_owned();
    assert_eq!(start.pods.into_iter().collect::<BTreeSet<_>>(), LONG.map(uid).into());
    // The longest one may be: a kubelet that the hooks froze does not get to it.
    let named: Vec<String> = local_drain::calls(&guard).into_iter().flat_map(|call| call.pods).collect();
    assert!(SHORT.iter().all(|name| !named.contains(&uid(name))), "stopped before their time: {record:#}");
}

#[test]
fn pods_that_nobody_knew_are_evicted_and_then_it_ends() {
    // The hooks may have stopped all that has 5 s until its last moment.
    let world = world("back-unknown", 24);
    let guard = world.start(hook(world.setup(PROGRAM)));
    world.faults.hang();
    world.interrupt(&guard, 30);
    let start = wait_call(&guard, "start");
    assert!(start.pods.is_empty(), "named before they were known: {start:?}");
    // What was swallowed stays so.
    world.faults.heal_new_connections();
    assert_handed_over(&world, &guard);
}
