//! An API server that dies for good in the middle of the evictions costs no pod its grace: each is stopped on the machine
//! itself, in its time, also one whose eviction was accepted so shortly before that its kubelet may not have heard of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use stand_ins::faults::Faults;
use stand_ins::guard::Guard;
use stand_ins::local_drain::{self, WRITE_DOWN};
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};

/// More than are asked at one time, and than what must have been accepted by the end.
const PODS: usize = 160;

/// Each way: with more requests than fit into one round trip, whoever reads what was accepted is not far behind.
const DELAY: Duration = Duration::from_millis(40);

/// Those with the earliest last moments, which are asked first: nothing but the silence after it has them stopped.
const FIRST: usize = 4;

/// It dies when so many are accepted: more than are under way at one time, so the answers to some have come.
const ACCEPTED: usize = 20;

const SHORT: u64 = 6;
const LONG: u64 = 12;

/// What a kubelet that lives needs to hear of an eviction.
const HEARING: time::Duration = time::Duration::milliseconds(300);

/// Of the drain, before the deadline.
const MARGIN: f64 = 2.0;

/// How long before its last moment a pod may be stopped: whose times are this close are stopped together.
const TOGETHER: f64 = 1.2;

struct Death {
    /// Goes on until the guard is done.
    _world: World,
    guard: Guard,
    last_answer: OffsetDateTime,
}

/// Sends a notice to a node whose API server dies in the middle of the evictions, and whose kubelet hears of none.
fn death_in_the_middle(purpose: &str, die: fn(&Faults)) -> Death {
    let of = |name, count, grace| PodSpec::many(name, count).into_iter().map(move |pod: PodSpec| pod.grace(grace));
    let pods = of("short", PODS - FIRST, SHORT).chain(of("long", FIRST, LONG));
    let world = World::new(purpose, &pods.collect::<Vec<_>>());
    let world = World { kubelet: world.kubelet.freeze(), ..world };
    let guard = world.start(world.setup(PROGRAM).hook("local-drain", "10-write-down", WRITE_DOWN));
    let accepted = Mutex::new((world.cluster.audit_tail(&world.node), 0));
    world.faults.hang_when(move || {
        let (log, count) = &mut *accepted.lock().unwrap();
        *count += log.read().iter().filter(|r| r.what() == "create pods/eviction" && r.code == 201).count();
        *count >= ACCEPTED
    });
    world.faults.delay(DELAY);
    world.interrupt(&guard, 24);
    guard.expect("the API server dies", seconds(15), || world.faults.hangs().then_some(()));
    die(&world.faults);
    let last_answer = world.faults.last_answer().expect("an answer before it died");
    Death { _world: world, guard, last_answer }
}

/// Each pod was named, once, in its time; but those that were accepted so early that their kubelet has heard of it. Whether
/// there were some that were accepted just before.
fn assert_each_is_stopped_in_its_time(death: &Death) -> bool {
    let record = death.guard.wait_done(seconds(30));
    let waves = local_drain::calls(&death.guard);
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    waves.iter().flat_map(|wave| &wave.pods).for_each(|uid| *named.entry(uid).or_default() += 1);
    assert!(named.values().all(|times| *times == 1), "each is named once: {waves:#?}");

    let pods = record["pods"].as_array().unwrap();
    assert_eq!(pods.len(), PODS);
    let (asked, unasked): (Vec<&Value>, Vec<&Value>) = pods.iter().partition(|pod| !pod["asked_at"].is_null());
    assert!(!unasked.is_empty(), "all were asked");
    let unheard = asked.into_iter().filter(|pod| record::time(&pod["asked_at"]) + HEARING > death.last_answer);
    let unheard: Vec<&Value> = unheard.collect();
    let some_just_before = !unheard.is_empty();
    let stopped: Vec<&Value> = unasked.into_iter().chain(unheard).collect();
    for pod in &stopped {
        let uid = pod["uid"].as_str().unwrap();
        assert!(named.contains_key(uid), "not stopped: {pod:#}\n{}", death.guard.log());
        assert_in_time(&record, pod);
    }
    assert_hooks_began_in_time(&record, &stopped);
    some_just_before
}

fn assert_in_time(record: &Value, pod: &Value) {
    let early = record::before_deadline(record, &pod["locally_at"]) - MARGIN - pod["grace_seconds"].as_f64().unwrap();
    assert!((0.0..=TOGETHER + 0.1).contains(&early), "{early} s before its last moment: {pod:#}");
}

/// The decision alone stops nothing.
fn assert_hooks_began_in_time(record: &Value, stopped: &[&Value]) {
    let graces: BTreeSet<u64> = stopped.iter().filter_map(|pod| pod["grace_seconds"].as_u64()).collect();
    let hooks = record["hooks"].as_array().unwrap().iter();
    let started: Vec<f64> = hooks.map(|hook| record::before_deadline(record, &hook["started_at"])).collect();
    for grace in graces {
        let by = grace as f64 + MARGIN;
        assert!(started.iter().any(|left| (by..by + 2.0).contains(left)), "none for {grace} s of grace: {started:?}");
    }
}

/// On a machine that is far too busy it may die when all that were accepted are long heard of: then once more.
fn assert_none_loses_its_grace(purpose: &str, die: fn(&Faults)) {
    let mut deaths = (0..3).map(|_| death_in_the_middle(purpose, die));
    assert!(
        deaths.any(|death| assert_each_is_stopped_in_its_time(&death)),
        "none was accepted just before, three times"
    );
}

#[test]
fn one_that_hangs_from_then_on() {
    assert_none_loses_its_grace("dies-hanging", |_| ());
}

#[test]
fn one_that_refuses_connections_from_then_on() {
    assert_none_loses_its_grace("dies-refusing", Faults::refuse);
}
