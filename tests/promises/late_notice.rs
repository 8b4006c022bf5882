//! However late a notice comes, each pod gets the longest graceful stop that still fits.

use stand_ins::imds::SPOT;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::sightings::Sightings;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};

/// A notice that comes so many seconds before the deadline: a pod of 30 s of grace, which stops in 0.5 s, is gone in
/// time, and was asked with a grace between these bounds.
fn late(seconds_left: i64, grace: std::ops::RangeInclusive<u64>) {
    let world = World::new("notice", &[PodSpec::new("web-0").grace(30).stops_in(0.5)]);
    let sightings = Sightings::of(&world.cluster, &world.node);
    let guard = world.start(world.setup(PROGRAM));
    world.imds.interrupt_at("terminate", OffsetDateTime::now_utc() + time::Duration::seconds(seconds_left));
    guard.expect("the notice is served", seconds(10), || world.imds.first_served(SPOT));
    let record = guard.wait_done(seconds(40));

    let asked = sightings.asked("web-0").expect("seen when it was asked");
    assert!(grace.contains(&asked.grace().unwrap_or(0)), "asked with {:?}", asked.grace());
    let pod = record::pod(&record, "web-0");
    assert_eq!(pod["outcome"], "graceful", "{record:#}");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 2.0);
    assert_eq!(record["outcome"], "complete");
}

#[test]
fn a_notice_of_45_seconds_leaves_a_grace_of_30_whole() {
    late(45, 30..=30);
}

#[test]
fn a_notice_of_20_seconds_leaves_what_fits() {
    late(20, 15..=18);
}

#[test]
fn a_notice_of_5_seconds_leaves_what_fits() {
    late(5, 1..=3);
}

#[test]
fn a_notice_of_no_seconds_asks_every_pod_with_its_own_grace() {
    late(0, 30..=30);
}

#[test]
fn a_notice_of_a_time_that_has_passed_asks_every_pod_with_its_own_grace() {
    late(-600, 30..=30);
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
