//! Two notices, each pair in each order: the one with the earlier deadline is responded to, in one response, and no pod is
//! asked twice.

use std::thread;

use stand_ins::guard::Guard;
use stand_ins::imds::ScheduledEvent;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Their windows, from the shortest on: none of them ends while a test looks.
const KINDS: [(&str, u64); 4] =
    [("spot-interruption", 100), ("by-hand", 200), ("autoscaling-termination", 300), ("maintenance", 500)];

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

fn try_pair((first, its_window): (&str, u64), (second, window): (&str, u64)) {
    let case = format!("{first}, then {second}");
    // The second pod is still stopping when the second notice comes.
    let world = World::new(
        "pair",
        &[PodSpec::new("quick-0").grace(5).stops_in(0.5), PodSpec::new("slow-0").grace(90).stops_in(60.0)],
    );
    world.imds.schedule(&[ODD]);
    let guard = world.start(world.setup(PROGRAM).hook("notice", "10-tell", "echo $SPOT_GUARD_NOTICE >>$OUT/told"));
    announce(&world, &guard, first, its_window);
    let kind = |kind: &'static str| move |record: &serde_json::Value| record["notice"]["kind"] == kind;
    let named = |name: &str| KINDS.iter().map(|(kind, _)| *kind).find(|kind| *kind == name).expect("a kind");
    let asked = |record: &serde_json::Value| !record::pod(record, "slow-0")["asked_at"].is_null();
    let before = guard.wait_record(&format!("{case}: all pods were asked"), seconds(40), |record| {
        kind(named(first))(record) && record["pods"].as_array().is_some_and(|pods| pods.len() == 2) && asked(record)
    });
    announce(&world, &guard, second, window);
    let takes_over = window < its_window;
    let list = if takes_over { "earlier_notices" } else { "notices_beside" };
    let (wins, loses) = if takes_over { (second, first) } else { (first, second) };
    let record = guard.wait_record(&format!("{case}: both are known"), seconds(40), |record| {
        let listed = record[list].as_array().into_iter().flatten().any(|notice| notice["kind"] == loses);
        listed && kind(named(wins))(record)
    });
    assert_eq!(record["id"], before["id"], "{case}");
    let told = if takes_over { vec![first.to_owned(), second.to_owned()] } else { vec![first.to_owned()] };
    guard.expect(&format!("{case}: notice.d was told"), seconds(20), || (guard.told("told") == told).then_some(()));
    assert_eq!((world.asks().len(), guard.count_responses()), (2, 1), "{case}: {record:#}");
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
