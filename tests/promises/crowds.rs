//! Crowds: with many more pods and hooks than a node has, all is done in time, and the daemon stays small.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// How many there are.
struct Crowd {
    /// Pods that are to stop.
    stop: usize,
    /// All pods of the node.
    listed: usize,
    hooks: usize,
}

/// As many as a real API server copes with. The stand-in holds up all others for as long as it gathers a list, so beside
/// it there are fewer.
fn crowd() -> Crowd {
    match std::env::var_os("SPOT_GUARD_TEST_CLUSTER") {
        Some(_) => Crowd { stop: 500, listed: 5000, hooks: 50 },
        None => Crowd { stop: 100, listed: 800, hooks: 20 },
    }
}

/// How much memory the daemon may ever take, in KiB. Where answers are quick 16 requests are under way at once; a real API
/// server is slow with crowds, so there are up to 40, and each takes 85 KiB of stack and buffers. A build for trying
/// things out, which is what is run unless `SPOT_GUARD_TEST_BINARY` names a release, is larger from the start.
fn allowed_memory() -> u64 {
    let named = |variable| std::env::var_os(variable).is_some();
    match (named("SPOT_GUARD_TEST_BINARY"), named("SPOT_GUARD_TEST_CLUSTER")) {
        (true, false) => 8 << 10,
        (true, true) => 16 << 10,
        (false, _) => 32 << 10,
    }
}

/// Pods that take a while to stop, and not all the same.
fn stopping(count: usize) -> impl Iterator<Item = PodSpec> {
    let stops_in = |index: usize| 1.0 + (index % 50) as f64 / 10.0;
    PodSpec::many("web", count).into_iter().enumerate().map(move |(i, pod)| pod.grace(20).stops_in(stops_in(i)))
}

/// Waits for the end of the response; its record. To read a large record again and again slows down all of it.
fn wait_done(guard: &Guard, within: u64) -> Value {
    guard.wait_line(" s to spare", seconds(within));
    guard.wait_done(seconds(10))
}

/// Each of the pods was asked once and stopped in its time, and that took no more memory than it may.
fn assert_drained(world: &World, guard: &Guard, record: &Value, crowd: &Crowd) {
    let graceful = record::count(record, "graceful");
    assert_eq!((graceful, &record["outcome"]), (crowd.stop, &"complete".into()), "{}", guard.log());
    let asks = world.asks();
    let asked: BTreeSet<&str> = asks.iter().map(|ask| ask.name.as_str()).collect();
    assert_eq!((asks.len(), asked.len()), (crowd.stop, crowd.stop), "each is asked once");
    assert!(asked.iter().all(|name| name.starts_with("web-")), "others were asked: {asked:?}");
    let peak = guard.usage().peak;
    assert!(peak <= allowed_memory(), "it took {peak} KiB, {} are allowed", allowed_memory());
}

#[test]
fn hundreds_of_pods_among_thousands_are_drained_in_time_and_in_little_memory() {
    let crowd = crowd();
    let stay = crowd.listed - crowd.stop;
    let daemon_set = PodSpec::many("cni", stay - stay / 10).into_iter().map(|pod| pod.daemon_set().pending());
    let finished = PodSpec::many("job", stay / 10).into_iter().map(|pod| pod.job().succeeded());
    let world = World::new("crowd", &stopping(crowd.stop).chain(daemon_set).chain(finished).collect::<Vec<_>>());
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 90);
    let record = wait_done(&guard, 95);
    assert_drained(&world, &guard, &record, &crowd);
    assert_eq!(world.cluster.pods(&world.node).len(), stay, "the others stay");
}

/// Puts as many hooks as that into a phase. Each waits until the gate of its phase opens, and only then reads what it is
/// told, which the daemon has ready for all of them until then.
fn gather(setup: Setup, phase: &str, hooks: usize) -> Setup {
    let gate = setup.out().join(format!("gate-{phase}"));
    assert!(Command::new("mkfifo").arg(gate).status().unwrap().success());
    let wait = "echo >>$OUT/here-$1; : <$OUT/gate-$1; wc -c >>$OUT/told-$1; yes 'what a hook says' | head -n 200";
    (0..hooks).fold(setup, |setup, number| setup.hook(phase, &format!("10-{number}"), wait))
}

/// Waits for all hooks of a phase and opens their gate.
fn open_gate(guard: &Guard, phase: &str, hooks: usize) {
    let here = || fs::read(guard.out().join(format!("here-{phase}"))).is_ok_and(|lines| lines.len() == hooks);
    guard.expect("all hooks run", seconds(90), || here().then_some(()));
    // Whoever opens it to read waits for this.
    fs::write(guard.out().join(format!("gate-{phase}")), "").unwrap();
}

/// How many bytes each hook of a phase was told.
fn told(out: &Path, phase: &str) -> Vec<usize> {
    let told = fs::read_to_string(out.join(format!("told-{phase}"))).unwrap();
    told.lines().map(|bytes| bytes.trim().parse().unwrap()).collect()
}

#[test]
fn dozens_of_hooks_beside_each_other_are_told_of_hundreds_of_pods_in_little_memory() {
    let crowd = crowd();
    let world = World::new("hooks", &stopping(crowd.stop).collect::<Vec<_>>());
    let phases = ["pre-drain", "post-drain"];
    let setup = world.setup(PROGRAM);
    let guard = world.start(phases.iter().fold(setup, |setup, phase| gather(setup, phase, crowd.hooks)));
    world.interrupt(&guard, 110);
    phases.iter().for_each(|phase| open_gate(&guard, phase, crowd.hooks));
    let record = wait_done(&guard, 90);
    assert_drained(&world, &guard, &record, &crowd);
    let failed: Vec<&Value> = record["hooks"].as_array().unwrap().iter().filter(|hook| hook["exit"] != 0).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    // Each pod takes more than a hundred bytes.
    let told = told(&guard.out(), "post-drain");
    assert_eq!((told.len(), told.iter().all(|bytes| *bytes > 100 * crowd.stop)), (crowd.hooks, true), "{told:?}");
}
