//! Whatever step the daemon dies at, its record takes the response up where it stood.

use proptest::prelude::*;

use super::world::{World, after_start, at, ms, s};
use crate::hooks::Phase;
use crate::notice::InstanceAction;
use crate::process::Started;
use crate::record::{
    HookWritten, LocalDrainWritten, NoticeWritten, Outcome, Record, ResponseOutcome, Stage, WebhookWritten,
};
use crate::response::{Action, Guard, written};

fn busy_world(pods: &[(u64, u64, Option<u64>)]) -> World {
    let mut world = World::new();
    world.hook(Phase::Notice, "tell", ms(300));
    world.hook(Phase::PreDrain, "10-a", ms(700));
    world.hook(Phase::PreDrain, "20-b", ms(400));
    world.hook(Phase::PostDrain, "logs", s(2));
    for (index, (grace, stops_in, budget)) in pods.iter().enumerate() {
        world.pod(&format!("p{index}"), *grace, *stops_in).budget_opens = budget.map(|seconds| at(seconds as f64));
    }
    world
}

fn pods() -> impl Strategy<Value = Vec<(u64, u64, Option<u64>)>> {
    prop::collection::vec((1u64..100, 0u64..90, prop::option::of(0u64..130)), 0..12)
}

/// The record of a response with 60 s, in the middle of its first hook.
fn cut_in_its_first_hook() -> Record {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "10-long", s(10));
    world.pod("p0", 5, 1);
    world.interrupt(60);
    world.run(3.0);
    let mut record = world.guard.record().unwrap();
    record.hooks[0].process = Some(left_over());
    record
}

fn left_over() -> Started {
    Started { pid: 4711, start_time: 99 }
}

/// What a new daemon does with a record so many seconds after the notice: its actions, and the record that it closes.
fn taken_up(record: Record, seconds: f64) -> (Vec<Action>, Option<Record>) {
    Guard::new(&World::new().settings).take_up(record, "boot", at(seconds))
}

#[test]
fn a_cut_hook_is_killed_even_where_it_will_not_run_again() {
    for seconds in [5.0, 30.0, 61.0] {
        let record = cut_in_its_first_hook();
        let kill = Action::KillLeftOver { response: record.id.clone(), started: vec![left_over()] };
        assert_eq!(taken_up(record, seconds).0.first(), Some(&kill), "after {seconds} s");
    }
}

#[test]
fn what_a_dry_run_recorded_is_not_gone_on_from_and_neither_does_a_dry_run_go_on() {
    let mut record = cut_in_its_first_hook();
    record.terms.dry_run = true;
    assert_eq!(taken_up(record, 5.0), (Vec::new(), None));
    let mut settings = World::new().settings;
    settings.dry_run = true;
    let dry = Guard::new(&settings).take_up(cut_in_its_first_hook(), "boot", at(5.0));
    assert_eq!(dry, (Vec::new(), None));
}

#[test]
fn a_response_whose_deadline_came_while_no_daemon_ran_is_closed() {
    let closed = taken_up(cut_in_its_first_hook(), 61.0).1.unwrap();
    assert_eq!(closed.outcome, Some(ResponseOutcome::Incomplete));
    assert_eq!(closed.pods[0].outcome, Some(Outcome::Left));
    assert_eq!(taken_up(closed, 62.0).1, None, "once");
}

#[test]
fn a_response_that_a_reboot_cut_is_closed_as_such() {
    let record = cut_in_its_first_hook();
    let (_, closed) = Guard::new(&World::new().settings).take_up(record.clone(), "another boot", at(5.0));
    assert_eq!(closed, Some(Record { outcome: Some(ResponseOutcome::InterruptedByReboot), ..record }));
}

#[test]
fn after_a_restart_only_the_very_notice_whose_deadline_has_passed_is_not_responded_to_again() {
    let old = cut_in_its_first_hook();
    for (left, responds) in [(57.0, false), (120.0, true)] {
        let mut world = World::new();
        world.now = at(3.0);
        world.interrupt_with(InstanceAction::Terminate, 57.0);
        let same = world.guard.record().unwrap().notice.time;
        world.guard = Guard::new(&world.settings);
        let record = Record { notice: NoticeWritten { time: same, ..old.notice.clone() }, ..old.clone() };
        world.guard.take_up(record, "boot", at(61.0));
        world.notice(InstanceAction::Terminate, left);
        assert_eq!(world.guard.record().is_some(), responds, "{left}");
    }
}

#[test]
fn a_record_in_which_all_is_set_is_read_back_as_it_was() {
    let mut record = cut_in_its_first_hook();
    record.local_drain =
        LocalDrainWritten { wave: 3, active: true, blind: true, blind_until: Some(record.notice.first_seen) };
    let hook = HookWritten { process: None, seconds: Some(1.5), ..record.hooks[0].clone() };
    record.hooks = vec![
        HookWritten { argument: Some("start".into()), wave: 1, exit: Some(3), stopped: true, ..hook.clone() },
        HookWritten { argument: Some("end".into()), wave: 1, signal: Some(9), timed_out: true, ..hook.clone() },
        HookWritten { reason: Some("no such file".into()), output_tail: "gone".into(), ..hook.clone() },
        hook,
    ];
    let message = |stage, reason: Option<&str>| WebhookWritten {
        stage,
        attempts: 3,
        delivered_at: reason.is_none().then_some(record.notice.first_seen),
        reason: reason.map(str::to_owned),
    };
    record.webhook = vec![message(Stage::Notice, None), message(Stage::End, Some("gone"))];
    assert_eq!(written::write(&written::read(record.clone())), record);
    assert_eq!(written::deadline(&record), at(60.0));
}

#[test]
fn after_a_restart_the_pods_that_were_known_are_the_same_pods() {
    let mut world = World::new();
    world.pod("a", 30, 20);
    world.interrupt(120);
    world.run(2.0);
    let asked = world.guard.record().unwrap().pods[0].asked_at;
    assert!(asked.is_some());
    world.restart();
    world.run(60.0);
    let pods = world.guard.record().unwrap().pods;
    assert_eq!((pods.len(), pods[0].asked_at), (1, asked));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_record_read_back_is_the_same_record_at_every_step(pods in pods(), left in 5u64..120) {
        let mut world = busy_world(&pods);
        world.interrupt(left);
        world.run_with(left as f64 + 1.0, &mut |world| {
            let Some(record) = world.guard.record() else { return };
            let text = serde_json::to_vec(&record).unwrap();
            let again = written::write(&written::read(serde_json::from_slice(&text).unwrap()));
            assert_eq!(again, record);
        });
    }

    #[test]
    fn a_restart_at_any_step_changes_no_pods_fate_and_repeats_no_hook_that_had_ended(
        pods in pods(), restart_at in 1usize..400,
    ) {
        let mut world = busy_world(&pods);
        world.interrupt(120);
        let mut step = 0;
        let mut ended = Vec::new();
        world.run_with(119.0, &mut |world| {
            step += 1;
            if step == restart_at {
                let record = world.guard.record().unwrap();
                ended = record.hooks.iter().filter(|hook| hook.seconds.is_some()).map(|hook| hook.name.clone()).collect();
                world.told.clear();
                world.restart();
            }
        });
        for (_, name) in world.hook_runs() {
            if step >= restart_at {
                prop_assert!(!ended.iter().any(|ended| name.ends_with(ended.as_str())), "{name} ran again");
            }
        }
        for pod in world.pods.values() {
            prop_assert!(pod.asks.len() <= 2, "{:?}", pod.asks);
            let name = &pod.pod.id.name;
            let savable = pod.stops_in <= pod.pod.grace && pod.stops_in <= s(110);
            if savable {
                prop_assert!(pod.gone && !pod.pod.cut, "{name} {:?} {:?}", pod.asks, pod.stops_in);
            }
            for (moment, how, _) in &pod.asks {
                let force_time = 117.8 - pod.pod.grace.as_secs_f64();
                prop_assert!(*how == "evict" || after_start(*moment) >= force_time, "{name} forced too early");
            }
        }
    }
}
