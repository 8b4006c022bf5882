//! However late a notice comes, each pod gets the longest graceful stop that still fits.

use stand_ins::imds::SPOT;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::sightings::Sightings;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};

/// A hook that leaves what it was told: seconds left, and its own limit.
const TOLD: &str = "echo $SPOT_GUARD_SECONDS_LEFT $SPOT_GUARD_TIMEOUT >$OUT/$1";

/// A notice that comes so many seconds before the deadline: a pod of 30 s of grace, which stops in 0.5 s, is gone in
/// time, and was asked with a grace between these bounds; the node is cordoned and out of load balancers, and hooks are
/// told what is left, of `window` seconds in all.
fn late(seconds_left: i64, window: f64, grace: std::ops::RangeInclusive<u64>) {
    let world = World::new("notice", &[PodSpec::new("web-0").grace(30).stops_in(0.5)]);
    let sightings = Sightings::of(&world.cluster, &world.node);
    let phases = ["notice", "pre-drain", "post-drain"];
    let setup = phases.iter().fold(world.setup(PROGRAM), |setup, phase| setup.hook(phase, "10-told", TOLD));
    let guard = world.start(setup);
    world.imds.interrupt_at("terminate", OffsetDateTime::now_utc() + time::Duration::seconds(seconds_left));
    guard.expect("the notice is served", seconds(10), || world.imds.first_served(SPOT));
    let record = guard.wait_done(seconds(40));

    let asked = sightings.asked("web-0").expect("seen when it was asked");
    assert!(grace.contains(&asked.grace().unwrap_or(0)), "asked with {:?}", asked.grace());
    let pod = record::pod(&record, "web-0");
    assert_eq!(pod["outcome"], "graceful", "{record:#}");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 2.0);
    assert_eq!(record["outcome"], "complete");
    let node = world.cluster.node(&world.node);
    assert_eq!(node["spec"]["unschedulable"], true);
    assert_eq!(node["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"], "true");

    // EC2 and the metadata service tell whole seconds.
    let counted = record::since_notice(&record, &record["deadline"]);
    assert!((window - 2.5..=window).contains(&counted), "{counted} s are counted on, of {window}");
    for phase in phases {
        let told =
            std::fs::read_to_string(guard.out().join(phase)).unwrap_or_else(|_| panic!("no {phase}: {record:#}"));
        let told: Vec<f64> = told.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [left, limit] = told[..] else { panic!("{phase} was told {told:?}") };
        let of_phase = |hook: &&serde_json::Value| hook["phase"] == *phase;
        let hook = record["hooks"].as_array().and_then(|hooks| hooks.iter().find(of_phase)).expect("the hook's record");
        let really = record::before_deadline(&record, &hook["started_at"]);
        assert!((left - really).abs() < 1.5, "{phase} was told that {left} s are left when {really} s were");
        assert!(limit <= left && limit <= 30.0, "{phase} was told {limit} s of {left} s");
        assert_eq!(hook["exit"], 0, "{phase}: {record:#}");
    }
}

#[test]
fn a_notice_of_45_seconds_leaves_a_grace_of_30_whole() {
    late(45, 45.0, 30..=30);
}

#[test]
fn a_notice_of_20_seconds_leaves_what_fits() {
    late(20, 20.0, 15..=18);
}

#[test]
fn a_notice_of_5_seconds_leaves_what_fits() {
    late(5, 5.0, 1..=3);
}

#[test]
fn a_notice_of_no_seconds_asks_every_pod_with_its_own_grace() {
    late(0, 120.0, 30..=30);
}

#[test]
fn a_notice_of_a_time_that_has_passed_asks_every_pod_with_its_own_grace() {
    late(-600, 120.0, 30..=30);
}

/// Hooks that would take longer than there is time hold up neither the cordon nor a pod whose grace needs it all.
#[test]
fn slow_hooks_in_a_late_notice_are_cut_and_pods_get_what_fits() {
    let world = World::new("cut", &[PodSpec::new("web-0").grace(30).stops_in(0.5)]);
    let setup = ["notice", "pre-drain", "post-drain"]
        .into_iter()
        .fold(world.setup(PROGRAM), |setup, phase| setup.hook(phase, "10-slow", "exec sleep 1000"));
    let guard = world.start(setup);
    world.interrupt(&guard, 10);
    // The ends of those that the deadline cuts come after it.
    let record = guard.wait_record("three hooks were cut", seconds(20), |record| {
        let hooks = record["hooks"].as_array().into_iter().flatten();
        !record["outcome"].is_null() && hooks.filter(|hook| hook["timed_out"] == true).count() == 3
    });
    let pod = record::pod(&record, "web-0");
    assert_eq!(pod["outcome"], "graceful", "{record:#}");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 2.0, "{record:#}");
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
    let ended = record["phases"].as_array().and_then(|phases| phases.iter().find(|phase| phase["name"] == "done"));
    let late = -record::before_deadline(&record, &ended.expect("a phase `done`")["started_at"]);
    assert!(late < 1.0, "ended {late} s after the deadline: {record:#}");
}

#[test]
fn a_time_that_has_passed_waits_for_no_budget() {
    let world = World::new("past", &[PodSpec::new("db-0").grace(30).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(world.setup(PROGRAM));
    world.imds.interrupt_at("terminate", OffsetDateTime::now_utc() - time::Duration::seconds(5));
    let record = guard.wait_done(seconds(20));
    let pod = record::pod(&record, "db-0");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 3.0, "{record:#}");
    assert_eq!((&pod["forced"], &pod["outcome"]), (&true.into(), &"graceful".into()));
}

#[test]
fn a_wrong_clock_does_not_matter_where_the_date_header_is_there() {
    let world = World::new("clock", &[PodSpec::new("web-0").grace(60).stops_in(0.5)]);
    let sightings = Sightings::of(&world.cluster, &world.node);
    world.imds.set_date(stand_ins::imds::Date::Ahead(-7200));
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 20);
    let record = guard.wait_done(seconds(25));
    let asked = sightings.asked("web-0").expect("seen when it was asked");
    assert!((14..=18).contains(&asked.grace().unwrap_or(0)), "asked with {:?}", asked.grace());
    assert_eq!(record["outcome"], "complete", "{record:#}");
}

#[test]
fn hibernation_forces_at_once_because_it_begins_at_once() {
    let world = World::new("hibernate", &[PodSpec::new("db-0").grace(20).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(world.setup(PROGRAM));
    world.imds.interrupt("hibernate", seconds(120));
    let record = guard.wait_done(seconds(20));
    let pod = record::pod(&record, "db-0");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 3.0, "{record:#}");
    assert_eq!((&pod["forced"], &pod["outcome"]), (&true.into(), &"graceful".into()));
}
