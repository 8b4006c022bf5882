//! An API server that is away for the first half of the window costs nothing that still fits: within a second and three
//! round trips of its return the node is cordoned and its pods are asked.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stand_ins::cluster::Audited;
use stand_ins::faults::Faults;
use stand_ins::guard::Guard;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds, window};

const PODS: usize = 40;

/// Where round trips take no time.
const PROMISED: Duration = Duration::from_secs(1);

/// Other tests, builds and a control plane share the processors. An attempt each 5 s would still be seen.
const NOISE: Duration = Duration::from_millis(1500);

/// How many requests tell how busy the machine is: together some 50 ms where it is not.
const PROBES: u32 = 20;
const BUSY: Duration = Duration::from_millis(300);

fn world(purpose: &str) -> World {
    let pods = PodSpec::many("web", PODS - 1).into_iter().map(|pod| pod.grace(8).stops_in(1.0));
    // Longer than what is left by then: it gets what there is.
    World::new(purpose, &pods.chain([PodSpec::new("queue-0").grace(600).stops_in(4.0)]).collect::<Vec<_>>())
}

fn start(world: &World) -> Guard {
    let setup = world.setup(PROGRAM).config("[drain]\nreserve = \"3s\"");
    world.start(setup.hook("pre-drain", "10-x", "true").hook("post-drain", "10-x", "true"))
}

/// When the API server could be reached, and how long it takes others beside spot-guard from then on.
struct Back {
    at: OffsetDateTime,
    probe: JoinHandle<Duration>,
}

impl Back {
    fn at(world: &World, at: OffsetDateTime) -> Back {
        let client = world.cluster.client_of(&world.node);
        let path = format!("/api/v1/nodes/{}", world.node.name);
        let probe = move || {
            let began = Instant::now();
            (0..PROBES).for_each(|_| drop(client.get(&path)));
            began.elapsed()
        };
        Back { at, probe: std::thread::spawn(probe) }
    }
}

/// Breaks the way to the API server, sends the notice, heals it after half of the window; when that was.
fn away_for_half(world: &World, guard: &Guard, fault: impl Fn(&Faults), heal: impl Fn(&Faults)) -> Back {
    fault(&world.faults);
    let noticed = world.interrupt(guard, window());
    std::thread::sleep((seconds(window()) / 2).saturating_sub(noticed.elapsed())); // the fault itself
    heal(&world.faults);
    let back = Back::at(world, OffsetDateTime::now_utc());
    assert!(world.audit().iter().all(|request| request.what() != "patch nodes"), "it was away until now");
    back
}

/// Waits until an attempt, of several connections, has come to nothing: the next is a whole pace away.
fn just_after_an_attempt(faults: &Faults) {
    let before = faults.accepted();
    stand_ins::wait::expect("a new attempt", seconds(15), || (faults.accepted() > before).then_some(()));
    std::thread::sleep(Duration::from_millis(200));
}

/// All was done, and cordon and evictions came to the API server so soon after it was back, on a machine that is as busy
/// as this one.
fn assert_all_done(world: &World, guard: &Guard, back: Back, promised: Duration) {
    let record = guard.wait_done(seconds(window()));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record::count(&record, "graceful"), PODS, "{record:#}");
    assert_eq!(record["node"]["cordoned_by_us"], true);
    assert_eq!(record::hooks(&record), ["pre-drain/10-x", "post-drain/10-x"], "{record:#}");

    let last = |what: &str, code: u16| {
        let accepted = world.audit().into_iter().filter(|request| request.what() == what && request.code == code);
        let times: Vec<f64> = accepted.map(|request: Audited| (request.at - back.at).as_seconds_f64()).collect();
        (times.len(), times.into_iter().fold(0.0, f64::max))
    };
    let (cordons, cordoned) = last("patch nodes", 200);
    let (evictions, asked) = last("create pods/eviction", 201);
    let probe = back.probe.join().unwrap();
    // What is not answered within a second, on a busy machine, is asked again.
    let counts = (cordons, evictions, world.asks().len());
    assert!(counts == (1, PODS, PODS) || probe > BUSY, "each once: {counts:?}, {probe:?}\n{}", guard.log());
    let within = promised + NOISE + 2 * probe;
    let times = format!("cordoned {cordoned:.2} s and the last pod asked {asked:.2} s after, allowed are {within:?}");
    assert!(cordoned.max(asked) <= within.as_secs_f64(), "{times}\n{}", guard.log());
}

#[test]
fn one_that_refuses_connections_is_used_as_soon_as_it_takes_them() {
    let world = world("half-refused");
    let guard = start(&world);
    let back = away_for_half(&world, &guard, Faults::refuse, |faults| {
        // Attempts come on the second, counted from the notice; those that are refused nobody sees.
        std::thread::sleep(Duration::from_millis(200));
        faults.heal();
    });
    assert_all_done(&world, &guard, back, PROMISED);
}

#[test]
fn one_that_hangs_is_used_as_soon_as_it_answers() {
    let world = world("half-hung");
    let guard = start(&world);
    let back = away_for_half(&world, &guard, Faults::hang, |faults| {
        just_after_an_attempt(faults);
        faults.heal_new_connections();
    });
    assert_all_done(&world, &guard, back, PROMISED);
}

#[test]
fn one_that_cuts_its_answers_is_used_as_soon_as_it_gives_whole_ones() {
    let world = world("half-cut");
    let guard = start(&world);
    let cut = |faults: &Faults| {
        faults.reset();
        faults.cut_answers_after(500);
    };
    let back = away_for_half(&world, &guard, cut, |faults| {
        just_after_an_attempt(faults);
        faults.heal();
    });
    assert_all_done(&world, &guard, back, PROMISED);
}

#[test]
fn one_that_is_half_a_second_away_costs_three_round_trips_and_a_second() {
    let world = world("half-slow");
    let guard = start(&world);
    world.faults.delay(Duration::from_millis(500));
    let noticed = world.interrupt(&guard, window());
    let noticed = Back::at(&world, OffsetDateTime::now_utc() - noticed.elapsed());
    assert_all_done(&world, &guard, noticed, PROMISED + seconds(3));
    let silences = guard.log().matches("is silent").count();
    assert!(silences <= 1, "it is slow, not silent\n{}", guard.log());
}
