//! A scheduled event is acted on at its lead and not before, the nearest first; one that is cancelled is forgotten, and
//! what was begun for it is undone.

use std::time::Duration;

use serde_json::Value;
use stand_ins::guard::Guard;
use stand_ins::imds::{SCHEDULED, SPOT, ScheduledEvent};
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};

/// Beside an event that cannot be read the poll asks again within 5 s; else it asks once a minute.
const ODD: ScheduledEvent<'static> =
    ScheduledEvent { id: "instance-event-odd", code: "system-odd", state: "active", after: Duration::from_secs(9000) };

fn event<'a>(id: &'a str, state: &'a str, after: u64) -> ScheduledEvent<'a> {
    ScheduledEvent { id, code: "system-reboot", state, after: seconds(after) }
}

fn lead(lead: &str) -> String {
    format!("[responses.maintenance]\nlead = \"{lead}\"")
}

/// Waits until spot-guard knows of the event.
fn wait_known(guard: &Guard) {
    guard.expect("the event is known", seconds(30), || {
        let words = guard.status()?["words"].as_str()?.to_owned();
        words.contains("maintenance event").then_some(())
    });
}

#[test]
fn an_event_is_acted_on_at_its_lead_and_not_before() {
    let world = World::new("lead", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    world.imds.schedule(&[event("instance-event-1", "active", 40)]);
    let tell = "echo $SPOT_GUARD_NOTICE $SPOT_GUARD_ACTION >>$OUT/notice";
    let guard = world.start(world.setup(PROGRAM).config(&lead("12s")).hook("notice", "10-tell", tell));
    wait_known(&guard);
    assert!(!world.is_cordoned() && guard.count_responses() == 0 && world.condition().is_none());
    let record = guard.wait_done(seconds(60));
    world.wait_event(&guard, "ScheduledEvent", "instance-event-1");
    assert_eq!((&record["outcome"], &record["notice"]["event_id"]), (&"complete".into(), &"instance-event-1".into()));
    let patch = world.audit().into_iter().find(|request| request.what() == "patch nodes").expect("a cordon");
    for begun in [patch.at, record::time(&record["notice"]["first_seen"])] {
        let before = (record::time(&record["deadline"]) - begun).as_seconds_f64();
        assert!((10.0..=12.1).contains(&before), "begun {before} s before its time: {record:#}");
    }
    assert_eq!(guard.told("notice"), ["maintenance reboot"]);
    world.assert_only_allowed_requests();
}

#[test]
fn of_two_events_the_nearest_is_first() {
    let world = World::new("nearest", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    world.imds.schedule(&[
        event("instance-event-far", "active", 300),
        event("instance-event-near", "active", 45),
        event("instance-event-weeks-ahead", "active", 2_000_000),
    ]);
    let guard = world.start(world.setup(PROGRAM));
    let record = guard.wait_done(seconds(40));
    assert_eq!(record["notice"]["event_id"], "instance-event-near", "{record:#}");
    let beside: Vec<&Value> = record["notices_beside"].as_array().unwrap().iter().map(|n| &n["event_id"]).collect();
    assert_eq!(beside, ["instance-event-far"]);
    let window = record::before_deadline(&record, &record["notice"]["first_seen"]);
    assert!(window <= 45.0, "{window} s");
    assert_eq!(guard.count_responses(), 1);
}

#[test]
fn one_that_is_cancelled_before_it_began_is_forgotten() {
    let world = World::new("forgotten", &[PodSpec::new("web-0").grace(5)]);
    world.imds.schedule(&[event("instance-event-1", "active", 40), ODD]);
    let guard = world.start(world.setup(PROGRAM).config(&lead("10s")));
    wait_known(&guard);
    let due = OffsetDateTime::now_utc() + seconds(30);
    world.imds.schedule(&[event("instance-event-1", "canceled", 40), ODD]);
    guard.expect("it is not known any more", seconds(20), || {
        let status = guard.status()?;
        (!status["words"].as_str()?.contains("maintenance event")).then_some(())
    });
    guard.expect("its lead begins", seconds(40), || (OffsetDateTime::now_utc() > due).then_some(()));
    world.wait_polls(&guard, SPOT, 3, seconds(20));
    assert!(!world.is_cordoned() && world.asks().is_empty() && guard.count_responses() == 0);
}

/// A world whose node is drained for an event that is minutes away; a pod waits for its budget.
fn in_the_middle(purpose: &str) -> (World, Guard) {
    let pods = [PodSpec::new("web-0").grace(5).stops_in(0.5), PodSpec::new("db-0").grace(5).stops_in(0.5)];
    let world = World::new(purpose, &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    world.imds.schedule(&[event("instance-event-1", "active", 300), ODD]);
    let tell = "echo $SPOT_GUARD_PHASE $SPOT_GUARD_NOTICE >>$OUT/uncordon";
    let setup =
        world.setup(PROGRAM).hook("uncordon", "10-tell", tell).hook("post-drain", "10-x", "echo >>$OUT/post-drain");
    let guard = world.start(setup);
    guard.expect("db-0 was refused", seconds(30), || world.asks().into_iter().find(|ask| ask.code == 429));
    guard.expect("web-0 is gone", seconds(20), || world.cluster.pod(&world.node, "web-0").is_none().then_some(()));
    assert!(world.is_cordoned() && world.is_labelled());
    world.wait_event(&guard, "DrainStarted", "");
    (world, guard)
}

/// What must be seen once the response was withdrawn.
fn assert_withdrawn(world: &World, guard: &Guard) {
    let record = world.wait_back(guard);
    world.wait_event(guard, "Uncordon", "");
    assert_eq!(record["outcome"], "withdrawn", "{record:#}");
    world.assert_back();
    assert_eq!(guard.told("uncordon"), ["uncordon maintenance"]);
    assert_eq!(guard.told("post-drain"), [""; 0]);
    // A refused eviction is repeated within 6 s.
    let asked = world.asks().len();
    world.wait_polls(guard, SPOT, 8, seconds(40));
    assert_eq!(world.asks().len(), asked, "the drain went on");
    assert!(world.cluster.pod(&world.node, "db-0").is_some());
    assert_eq!(guard.count_responses(), 1);
    world.assert_only_allowed_requests();
}

#[test]
fn one_that_is_cancelled_in_the_middle_ends_the_drain_and_the_node_comes_back() {
    let (world, guard) = in_the_middle("cancelled");
    let before = world.count_polls(SCHEDULED);
    world.imds.schedule(&[event("instance-event-1", "canceled", 300), ODD]);
    world.wait_back(&guard);
    let polls = world.count_polls(SCHEDULED) - before;
    assert!(polls < 3, "{polls} polls were needed");
    assert_withdrawn(&world, &guard);
}

#[test]
fn one_that_is_missing_in_three_good_polls_is_cancelled_too() {
    let (world, guard) = in_the_middle("missing");
    let before = world.count_polls(SCHEDULED);
    world.imds.schedule(&[ODD]);
    world.wait_back_within(&guard, seconds(60));
    let polls = world.count_polls(SCHEDULED) - before;
    assert!(polls >= 3, "{polls} polls were enough");
    assert_withdrawn(&world, &guard);
}

#[test]
fn one_that_was_cancelled_while_the_daemon_was_down_is_undone_by_the_next() {
    let (world, mut guard) = in_the_middle("down");
    guard.kill();
    world.imds.schedule(&[event("instance-event-1", "canceled", 300)]);
    guard.start_again();
    assert_withdrawn(&world, &guard);
}
