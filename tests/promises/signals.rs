//! SIGTERM, SIGHUP and SIGUSR1 do in every phase of a response what is documented, and nothing else.

use std::fs;
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;
use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::Imds;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Says that it runs, then waits for `$OUT/go`.
const HOLD: &str = "touch $OUT/held; until [ -e $OUT/go ]; do sleep 0.1; done";

/// Needs a second for its end once it is told.
const BESIDE: &str = "trap 'sleep 1; touch $OUT/beside-ended; exit 0' TERM; while :; do sleep 0.1; done";

const OBSERVE: &str = "[responses.spot-interruption]\naction = \"observe\"\n";

fn wait_held(guard: &Guard) {
    guard.expect("the hook holds", seconds(20), || guard.out().join("held").exists().then_some(()));
}

fn let_go(guard: &Guard) {
    fs::write(guard.out().join("go"), "").unwrap();
}

/// SIGUSR1 is answered with a line that ends so, SIGHUP with other settings, which change nothing that is under way.
fn asked_and_reloaded(guard: &Guard, status: &str) {
    guard.signal(Signal::SIGUSR1);
    let line = guard.wait_line("status: ", seconds(10)).text;
    assert!(line.ends_with(status), "{line}");
    fs::write(guard.folder().join("config.toml"), OBSERVE).unwrap();
    guard.signal(Signal::SIGHUP);
    guard.wait_line("settings read again", seconds(10));
}

/// All three signals in the middle of a response: it goes on to its end once it is let, then the daemon ends.
fn goes_on_to_its_end(world: &World, guard: &mut Guard, status: &str, release: impl FnOnce(&Guard)) -> Value {
    asked_and_reloaded(guard, status);
    guard.signal(Signal::SIGTERM);
    guard.wait_line("told to end: the response goes on to its end first", seconds(10));
    assert!(guard.is_running());
    release(guard);
    assert_eq!(guard.wait_end(seconds(40)).code(), Some(0), "{}", guard.log());
    let record = guard.record().expect("a record");
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
    assert!(world.cluster.pods(&world.node).is_empty());
    let told: Vec<Value> = world.cluster.events(&world.node).iter().map(|event| event["reason"].clone()).collect();
    assert!(told.contains(&"DrainFinished".into()), "its last word on the Node is missing: {told:?}");
    record
}

#[test]
fn while_it_watches_sigterm_ends_it_and_changes_nothing_on_the_node() {
    let world = World::new("sigwatch", &[PodSpec::new("web-0")]);
    let mut guard = world.start(world.setup(PROGRAM).hook("notice", "10-x", "touch $OUT/ran"));
    guard.wait_line("is ready", seconds(20));
    asked_and_reloaded(&guard, &format!("watching for notices; node {} is ready", world.node.name));
    assert_eq!(guard.stop(seconds(5)).code(), Some(0));
    assert!(world.cluster.node(&world.node)["spec"]["unschedulable"].is_null());
    assert!(world.audit().iter().all(|request| request.verb != "patch" && request.verb != "delete"));
    assert!(guard.record().is_none() && !guard.out().join("ran").exists());
}

#[test]
fn in_pre_drain_the_response_goes_on_to_its_end() {
    let world = World::new("sigpre", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let mut guard = world.start(world.setup(PROGRAM).hook("pre-drain", "10-hold", HOLD));
    world.interrupt(&guard, 40);
    wait_held(&guard);
    goes_on_to_its_end(&world, &mut guard, "; preparing", let_go);
}

#[test]
fn in_the_drain_it_goes_on_and_what_runs_beside_it_is_let_end() {
    let world = World::new("sigdrain", &[PodSpec::new("web-0").grace(15).stops_in(7.0)]);
    let mut guard = world.start(world.setup(PROGRAM).hook("during", "10-beside", BESIDE));
    world.interrupt(&guard, 30);
    guard.wait_record("the pod is asked", seconds(10), |record| !record["pods"][0]["asked_at"].is_null());
    let record = goes_on_to_its_end(&world, &mut guard, "; draining, 1 of 1 pods left", |_| ());
    assert!(guard.out().join("beside-ended").exists(), "it was cut: {}", guard.log());
    assert_eq!((&record["hooks"][0]["stopped"], &record["hooks"][0]["exit"]), (&true.into(), &0.into()), "{record:#}");
}

#[test]
fn in_the_local_drain_it_goes_on_to_its_end() {
    let world = World::new("siglocal", &[PodSpec::new("web-0").grace(12).stops_in(1.0)]);
    world.cluster.make_budget(&world.node, "web", "web", 1, 1);
    let local = format!("[ $2 = end ] || {{ {HOLD}; }}");
    let mut guard = world.start(world.setup(PROGRAM).hook("local-drain", "10-stop", &local));
    world.interrupt(&guard, 24);
    guard.wait_record("the pod is known and waits", seconds(10), |record| !record["pods"][0]["reason"].is_null());
    world.faults.hang();
    wait_held(&guard);
    goes_on_to_its_end(&world, &mut guard, "; draining, 1 of 1 pods left", |guard| {
        let_go(guard);
        world.faults.heal();
    });
}

#[test]
fn in_post_drain_it_goes_on_to_its_end() {
    let world = World::new("sigpost", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let mut guard = world.start(world.setup(PROGRAM).hook("post-drain", "10-hold", HOLD));
    world.interrupt(&guard, 30);
    wait_held(&guard);
    goes_on_to_its_end(&world, &mut guard, "; draining, 0 of 1 pods left", let_go);
}

#[test]
fn after_the_end_and_before_the_deadline_sigterm_ends_it_at_once() {
    let world = World::new("sigdone", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let mut guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 40);
    let before = guard.wait_done(seconds(20));
    asked_and_reloaded(&guard, "; all done");
    assert_eq!(guard.stop(seconds(10)).code(), Some(0));
    assert_eq!(guard.record().unwrap()["outcome"], before["outcome"]);
}

#[test]
fn a_second_sigterm_ends_it_at_once_and_the_next_start_goes_on() {
    let world = World::new("sigtwice", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let mut guard = world.start(world.setup(PROGRAM).hook("pre-drain", "10-hold", HOLD));
    world.interrupt(&guard, 40);
    wait_held(&guard);
    let before = guard.wait_record("the hook's process", seconds(10), |r| !r["hooks"][0]["process"].is_null());
    guard.signal(Signal::SIGTERM);
    guard.wait_line("goes on to its end first", seconds(10));
    assert_eq!(guard.stop(seconds(5)).code(), Some(0));
    assert!(guard.record().unwrap()["outcome"].is_null());
    guard.start_again();
    let_go(&guard);
    let record = guard.wait_done(seconds(45));
    assert_eq!((&record["id"], &record["outcome"]), (&before["id"], &"complete".into()), "{record:#}");
}

#[test]
fn a_signal_that_comes_the_moment_it_is_ready_means_what_it_always_means() {
    for (signal, answer) in [(Signal::SIGHUP, "settings read again"), (Signal::SIGUSR1, "status: ")] {
        let (guard, _imds) = ready(signal);
        guard.wait_line(answer, seconds(10));
    }
    let (mut guard, _imds) = ready(Signal::SIGTERM);
    assert_eq!(guard.wait_end(seconds(10)).code(), Some(0));
}

/// Starts it as systemd does, and sends the signal when it says that it is ready.
fn ready(signal: Signal) -> (Guard, Imds) {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
    let path = setup.folder().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(seconds(20))).unwrap();
    let guard = setup.environment("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    let mut said = [0; 64];
    let length = systemd.recv(&mut said).unwrap();
    assert_eq!(&said[..length], b"READY=1");
    guard.signal(signal);
    (guard, imds)
}
