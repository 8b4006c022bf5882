//! Two notices, each pair in each order: the one with the earlier deadline is responded to, in one response, and no pod is
//! asked twice.

use std::thread;

use serde_json::Value;
use stand_ins::guard::Guard;
use stand_ins::imds::ScheduledEvent;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Their windows, from the shortest on: none of them ends while a test looks.
const KINDS: [(&str, u64); 5] = [
    ("spot-interruption", 100),
    ("by-hand", 200),
    ("autoscaling-termination", 300),
    ("rebalance-recommendation", 400),
    ("maintenance", 500),
];

/// A recommendation is drained for as for the others.
const DRAINED: &str = "[responses.rebalance-recommendation]\naction = \"drain\"\nwindow = \"400s\"";

/// An event that cannot be read: beside it the scheduled events are asked for again within 5 s.
const ODD: ScheduledEvent<'static> = ScheduledEvent {
    id: "instance-event-odd",
    code: "system-odd",
    state: "active",
    after: std::time::Duration::from_secs(9000),
};

fn announce(world: &World, guard: &Guard, kind: &str, window: u64) {
    let after = seconds(window);
    match kind {
        "spot-interruption" => drop(world.imds.interrupt("terminate", after)),
        "autoscaling-termination" => world.imds.set_lifecycle_state("Terminated"),
        "rebalance-recommendation" => drop(world.imds.recommend_rebalance()),
        "maintenance" => {
            let event = ScheduledEvent { id: "instance-event-1", code: "system-reboot", state: "active", after };
            world.imds.schedule(&[event, ODD]);
        }
        _ => {
            let said = guard.output(&["drain", "--no-wait", "--window", &format!("{window}s")]);
            assert!(said.status.success(), "{said:?}");
        }
    }
}

/// A world of two pods, of which the second is still stopping when a second notice comes, and its daemon.
fn begin(config: &str) -> (World, Guard) {
    let world = World::new(
        "pair",
        &[PodSpec::new("quick-0").grace(5).stops_in(0.5), PodSpec::new("slow-0").grace(90).stops_in(60.0)],
    );
    world.imds.schedule(&[ODD]);
    let setup = world.setup(PROGRAM).hook("notice", "10-tell", "echo $SPOT_GUARD_NOTICE >>$OUT/told");
    let guard = world.start(setup.config(config));
    (world, guard)
}

fn lists(record: &Value, list: &str, kind: &str) -> bool {
    record[list].as_array().into_iter().flatten().any(|notice| notice["kind"] == kind)
}

fn all_asked(guard: &Guard, kind: &str) -> Value {
    guard.wait_record(&format!("{kind}: all pods were asked"), seconds(40), |record| {
        let pods = record["pods"].as_array().map_or(&[][..], Vec::as_slice);
        record["notice"]["kind"] == kind && pods.len() == 2 && pods.iter().all(|pod| !pod["asked_at"].is_null())
    })
}

/// Both pods were asked once. What is not answered within a second, on a busy machine, is asked again.
fn assert_asked_once(world: &World, guard: &Guard, case: &str) {
    let was_silent = guard.log().contains("is silent");
    assert!(world.asks().len() == 2 || was_silent, "{case}: {:#?}\n{}", world.asks(), guard.log());
}

fn try_pair((first, its_window): (&str, u64), (second, window): (&str, u64)) {
    let case = format!("{first}, then {second}");
    let (world, guard) = begin(DRAINED);
    announce(&world, &guard, first, its_window);
    let before = all_asked(&guard, first);
    announce(&world, &guard, second, window);
    let takes_over = window < its_window;
    let list = if takes_over { "earlier_notices" } else { "notices_beside" };
    let (wins, loses) = if takes_over { (second, first) } else { (first, second) };
    let record = guard.wait_record(&format!("{case}: both are known"), seconds(40), |record| {
        lists(record, list, loses) && record["notice"]["kind"] == wins
    });
    assert_eq!(record["id"], before["id"], "{case}");
    let told = if takes_over { vec![first.to_owned(), second.to_owned()] } else { vec![first.to_owned()] };
    guard.expect(&format!("{case}: notice.d was told"), seconds(20), || (guard.told("told") == told).then_some(()));
    assert_eq!(guard.count_responses(), 1, "{case}");
    assert_asked_once(&world, &guard, &case);
}

#[test]
fn of_two_notices_the_one_with_the_earlier_deadline_wins_in_every_order() {
    thread::scope(|scope| {
        for first in KINDS {
            for second in KINDS.into_iter().filter(|second| *second != first) {
                scope.spawn(move || try_pair(first, second));
            }
        }
    });
}

/// As is usual, a recommendation is only told of: beside a drain nothing comes of it, and a drain after it is whole.
fn try_with_one_that_is_observed((kind, window): (&str, u64), recommended_first: bool) {
    let (world, guard) = begin("");
    let recommend = || world.imds.recommend_rebalance();
    if recommended_first {
        recommend();
        guard.wait_record("the recommendation is told of", seconds(40), |record| {
            record["notice"]["kind"] == "rebalance-recommendation" && !record["outcome"].is_null()
        });
        assert_eq!((world.asks().len(), world.is_cordoned()), (0, false), "{kind}");
    }
    announce(&world, &guard, kind, window);
    all_asked(&guard, kind);
    if !recommended_first {
        recommend();
        let beside = |record: &Value| lists(record, "notices_beside", "rebalance-recommendation");
        guard.wait_record(&format!("{kind}: the recommendation beside it"), seconds(40), beside);
    }
    let record = guard.record().expect("a record");
    assert_eq!((&record["notice"]["kind"], &record["terms"]["reaction"]), (&kind.into(), &"drain".into()));
    assert!(world.is_cordoned(), "{kind}: {record:#}");
    assert_asked_once(&world, &guard, kind);
}

#[test]
fn a_recommendation_that_is_only_observed_changes_nothing_of_any_drain_before_or_after_it() {
    thread::scope(|scope| {
        for kind in KINDS.into_iter().filter(|(kind, _)| *kind != "rebalance-recommendation") {
            scope.spawn(move || try_with_one_that_is_observed(kind, true));
            scope.spawn(move || try_with_one_that_is_observed(kind, false));
        }
    });
}

#[test]
fn a_pod_that_its_budget_held_is_deleted_and_not_stopped_on_the_machine_when_less_than_its_grace_is_left() {
    let world = World::new("pair-held", &[PodSpec::new("db-0").grace(60).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    world.imds.schedule(&[ODD]);
    let guard = world.start(world.setup(PROGRAM).hook("local-drain", "50-stop", "echo >>$OUT/stopped"));
    announce(&world, &guard, "maintenance", 500);
    guard.wait_record("its budget holds the pod", seconds(40), |record| !record["pods"][0]["refused_at"].is_null());
    announce(&world, &guard, "spot-interruption", 40);
    let record = guard.wait_done(seconds(60));
    let pod = &record["pods"][0];
    let silences = record["troubles"].as_array().map_or(0, Vec::len);
    assert!(pod["forced"] == true && pod["outcome"] == "graceful", "{record:#}");
    assert!(silences > 0 || (pod["locally_at"].is_null() && guard.told("stopped").is_empty()), "{record:#}");
}
