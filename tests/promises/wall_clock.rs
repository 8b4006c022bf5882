//! Whatever this machine's wall clock says, and whenever it is set: the deadline stands, and pods and hooks get what is
//! really left.
//!
//! The clock of the daemon alone is set, by LD_PRELOAD, so these run the dynamically linked program that was just built
//! also where `SPOT_GUARD_TEST_BINARY` names a static one.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::Date;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::sightings::Sightings;
use stand_ins::wall_clock::WallClock;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

/// Seconds between the notice and what it announces, of those cases whose clock does not matter.
const WINDOW: u64 = 22;

/// A hook that leaves what it was told; when it ran is the file's own time, by this machine's clock.
const TOLD: &str = "echo $SPOT_GUARD_SECONDS_LEFT $SPOT_GUARD_DEADLINE >$OUT/$1";

/// What a clock does: how far it is ahead at the start, and from the moment on at which the first pod is asked.
#[derive(Clone, Copy, Debug)]
struct Case {
    first: i64,
    then: i64,
    date: Date,
    /// The daemon is killed and started again after that.
    crash: bool,
}

const fn case(first: i64, then: i64) -> Case {
    Case { first, then, date: Date::Right, crash: false }
}

/// Seconds by which two moments may differ in a test: EC2 and its service tell whole seconds, and the machine is busy.
const TOLERANCE: f64 = 2.0;

fn start(world: &World, first: i64) -> (Guard, WallClock) {
    let phases = ["notice", "pre-drain", "post-drain"];
    let setup = phases.iter().fold(world.setup(PROGRAM), |setup, phase| setup.hook(phase, "10-told", TOLD));
    let (setup, clock) = WallClock::of(setup.config("[drain]\nreserve = \"3s\""), PROGRAM, first);
    let guard = world.start(setup);
    let status = guard.expect("a status", seconds(10), || guard.status());
    let ahead = (record::time(&status["at"]) - OffsetDateTime::now_utc()).as_seconds_f64();
    // What the rest of the test stands on.
    assert!((ahead - first as f64).abs() < 10.0, "its clock is {ahead} s ahead");
    (guard, clock)
}

/// Seconds from `served` until the modification of a file.
fn since(served: SystemTime, file: &std::path::Path) -> f64 {
    let modified = fs::metadata(file).and_then(|file| file.modified()).unwrap_or_else(|e| panic!("{file:?}: {e}"));
    modified.duration_since(served).map_or_else(|early| -early.duration().as_secs_f64(), |late| late.as_secs_f64())
}

/// What a hook was told agrees with a deadline that is `left` seconds after `served`, with the clock so far ahead.
fn assert_told(guard: &Guard, phase: &str, served: SystemTime, left: f64, ahead: i64) {
    let file = guard.out().join(phase);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{phase}: {error}\n{}", guard.log()));
    let (told, deadline) = text.trim().split_once(' ').unwrap_or_else(|| panic!("{phase} was told {text:?}"));
    let told: f64 = told.parse().unwrap_or_else(|_| panic!("{phase} was told {text:?}"));
    let really = left - since(served, &file);
    assert!((told - really).abs() < TOLERANCE, "{phase} was told that {told} s are left when {really} s were");
    // As this machine's own `date` would show it.
    let by_its_clock = OffsetDateTime::from(served) + Duration::from_secs_f64(left) + time::Duration::seconds(ahead);
    let deadline = record::time(&Value::from(deadline));
    let differs = (deadline - by_its_clock).as_seconds_f64();
    assert!(differs.abs() < TOLERANCE, "{phase} was told a deadline that is {differs} s from {by_its_clock}");
}

/// The deadline that a notice of [`WINDOW`] seconds sets stands, whatever the clock does.
fn assert_stands(case: Case) {
    let pods = [PodSpec::new("web-0").grace(5).stops_in(0.5), PodSpec::new("db-0").grace(5).stops_in(1.0)];
    let world = World::new("clock", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let sightings = Sightings::of(&world.cluster, &world.node);
    world.imds.set_date(case.date);
    let (mut guard, clock) = start(&world, case.first);
    let announced = SystemTime::from(world.imds.interrupt("terminate", Duration::from_secs(WINDOW)));
    let served = SystemTime::now() - world.interrupt_seen(&guard).elapsed();
    let left = announced.duration_since(served).expect("time is left").as_secs_f64();
    sightings.wait("web-0 is asked", seconds(10), |seen| seen.name() == "web-0" && seen.grace().is_some());
    // One whose end is not on disk would run again after a crash, and be told by another clock.
    guard.wait_record("the first hooks' ends are on disk", seconds(10), |record| {
        let hooks = record["hooks"].as_array().into_iter().flatten();
        hooks.filter(|hook| hook["exit"] == 0).count() == 2
    });
    clock.set(case.then);
    if case.crash {
        guard.kill();
        guard.start_again();
    }
    let record = guard.wait_done(seconds(WINDOW + 5));

    let counted = record::since_notice(&record, &record["deadline"]);
    assert!((counted - left).abs() < TOLERANCE, "{counted} s were counted on, {left} s were left: {record:#}");
    let first_seen = record::time(&record["notice"]["first_seen"]);
    let ahead = (first_seen - OffsetDateTime::from(served)).as_seconds_f64();
    assert!(
        (ahead - case.first as f64).abs() < TOLERANCE,
        "the record's clock is that of its first sight, not {ahead}"
    );
    assert_eq!(record::count(&record, "graceful"), 2, "{record:#}");
    // Its grace of 5 s before the drain's end, which is 2 s before the deadline.
    let forced = record::before_deadline(&record, &record::pod(&record, "db-0")["asked_at"]);
    assert!((6.0..=8.0).contains(&forced), "forced {forced} s before the deadline: {record:#}");
    let asked = sightings.asked("db-0").expect("seen when it was asked").at;
    let really = left - (served.elapsed().expect("in the past") - asked.elapsed()).as_secs_f64();
    assert!((really - 7.0).abs() < TOLERANCE, "really forced {really} s before the deadline");
    for (phase, ahead) in [("notice", case.first), ("pre-drain", case.first), ("post-drain", case.then)] {
        assert_told(&guard, phase, served, left, ahead);
    }
    assert!(guard.is_running());
}

fn each(cases: &[Case]) {
    std::thread::scope(|scope| {
        for case in cases.iter().copied() {
            std::thread::Builder::new()
                .name(format!("{case:?}"))
                .spawn_scoped(scope, move || assert_stands(case))
                .unwrap();
        }
    });
}

#[test]
fn a_clock_that_is_wrong_all_the_time_does_not_move_the_deadline() {
    each(&[case(10 * MINUTE, 10 * MINUTE), case(-10 * MINUTE, -10 * MINUTE)]);
}

#[test]
fn a_clock_that_is_set_in_the_middle_of_a_response_does_not_move_the_deadline() {
    each(&[case(0, 5 * HOUR), case(0, -30 * MINUTE), Case { crash: true, ..case(0, 5 * HOUR) }]);
}

#[test]
fn a_clock_that_was_set_back_at_boot_and_is_mended_in_the_middle_does_not_move_the_deadline() {
    each(&[case(-30 * MINUTE, 0), Case { crash: true, ..case(-30 * MINUTE, 0) }]);
}

#[test]
fn without_the_services_own_time_a_clock_that_is_right_at_first_sight_is_enough() {
    each(&[Case { date: Date::Absent, ..case(0, 5 * HOUR) }, Case { date: Date::Absent, ..case(0, -30 * MINUTE) }]);
}

/// Without the service's own time a wrong clock cannot be told from a right one: two minutes are counted on, and where
/// they seem to be over nothing is waited for.
#[test]
fn without_the_services_own_time_a_clock_that_is_wrong_leaves_every_pod_its_whole_grace() {
    for (ahead, overdue) in [(10 * MINUTE, true), (-10 * MINUTE, false)] {
        let world = World::new("undated", &[PodSpec::new("web-0").grace(30).stops_in(0.5)]);
        let sightings = Sightings::of(&world.cluster, &world.node);
        world.imds.set_date(Date::Absent);
        let (guard, _clock) = start(&world, ahead);
        world.interrupt(&guard, 60);
        let record = guard.wait_done(seconds(20));
        assert_eq!(record["overdue"], overdue, "{record:#}");
        let counted = record::since_notice(&record, &record["deadline"]);
        assert!((counted - 120.0).abs() < 0.1, "{counted}");
        assert_eq!(sightings.asked("web-0").expect("seen when it was asked").grace(), Some(30));
        assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful");
    }
}

/// So far out that the API server's certificate is not valid by it: there is no API server then, and the status says
/// why; pods are stopped on the machine itself, when their time comes.
#[test]
fn a_clock_that_no_certificate_is_valid_by_is_told_and_pods_are_stopped_on_the_machine_itself() {
    for ahead in [3 * YEAR, -3 * YEAR] {
        let world = World::new("invalid", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
        let setup = world.setup(PROGRAM).hook("local-drain", "10-told", TOLD);
        let (setup, _clock) = WallClock::of(setup, PROGRAM, ahead);
        let guard = setup.start();
        let why = guard.expect("the status says why", seconds(10), || {
            let status = guard.status()?["kubernetes"]["why"].as_str()?.to_owned();
            status.contains("certificate").then_some(status)
        });
        assert!(why.contains("is this machine's clock right?"), "{why}");
        let announced = SystemTime::from(world.imds.interrupt("terminate", Duration::from_secs(20)));
        let served = SystemTime::now() - world.interrupt_seen(&guard).elapsed();
        let left = announced.duration_since(served).expect("time is left").as_secs_f64();
        let file = guard.out().join("local-drain");
        guard.expect("local-drain has run", seconds(20), || {
            fs::read_to_string(&file).ok().filter(|told| told.len() > 9)
        });
        assert_told(&guard, "local-drain", served, left, ahead);
    }
}

/// Times are what records are named after, and those of an earlier boot may be later than those of this one.
#[test]
fn a_response_is_taken_up_where_older_records_have_later_names() {
    let world = World::new("names", &[PodSpec::new("web-0").grace(5).stops_in(4.0)]);
    let setup: Setup = world.setup(PROGRAM).hook("pre-drain", "10-once", "echo ran >>$OUT/pre-drain");
    let folder = setup.folder().join("state/responses");
    let mut guard = world.start(setup);
    world.interrupt(&guard, 25);
    let asked = |record: &Value| {
        record["pods"].as_array().is_some_and(|pods| pods.iter().any(|pod| !pod["asked_at"].is_null()))
    };
    let before = guard.wait_record("web-0 is asked", seconds(10), asked);
    guard.kill();
    let mut older = before.clone();
    older["clock"]["boot_id"] = "an earlier boot".into();
    older["outcome"] = "complete".into();
    for number in 10..30 {
        let id = format!("209911{number}T000000Z");
        older["id"] = id.as_str().into();
        fs::write(folder.join(format!("{id}.json")), older.to_string()).expect("write a record");
    }
    let began = Instant::now();
    guard.start_again();
    let own = folder.join(format!("{}.json", before["id"].as_str().expect("an id")));
    let record = guard.expect("the response has ended, under its own name", seconds(25), || {
        let record: Value = serde_json::from_slice(&fs::read(&own).ok()?).ok()?;
        (!record["outcome"].is_null()).then_some(record)
    });
    let moved = (record::time(&record["deadline"]) - record::time(&before["deadline"])).as_seconds_f64();
    assert!(moved.abs() < 0.1, "the deadline moved by {moved} s");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful", "{record:#}");
    assert!(began.elapsed() < seconds(15), "it did not begin anew");
    let runs = fs::read_to_string(guard.out().join("pre-drain")).unwrap_or_default().lines().count();
    assert_eq!(runs, 1, "hooks do not run again");
}
