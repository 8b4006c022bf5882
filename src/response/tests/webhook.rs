//! What a webhook is told in the made-up world, when, and how often.

use std::time::Duration;

use super::world::{Told, World, after_start, at, s};
use crate::config::{Reaction, Settings};
use crate::hooks::Phase;
use crate::instance::Instance;
use crate::notice::{InstanceAction, Key, Kind, Sighting};
use crate::objects::{Answer, Refusal, Standing};
use crate::record::{Record, ResponseOutcome, Stage};
use crate::response::{Action, Event};
use crate::secret::Secret;

fn with_webhook(settings: &mut Settings) {
    settings.webhook.url = Some(Secret::new("https://hooks.example.com/T0/B0".to_owned()));
}

/// A world with a webhook, on a machine that is known, with one pod that stops in 5 s.
fn world() -> World {
    let mut world = World::with_settings(with_webhook);
    world.pod("a", 30, 5);
    know_the_machine(&mut world);
    world
}

fn know_the_machine(world: &mut World) {
    world.feed(Event::Instance(Instance { kind: Some("m5.large".into()), ..Instance::default() }));
}

/// When the webhook was told, and what.
fn told(world: &World) -> Vec<(f64, Stage)> {
    let told = world.told.iter().filter_map(|told| match told {
        Told::Webhook(moment, stage, _) => Some((after_start(*moment), *stage)),
        _ => None,
    });
    told.collect()
}

fn stages(world: &World) -> Vec<Stage> {
    told(world).into_iter().map(|(_, stage)| stage).collect()
}

fn record(world: &World) -> Record {
    world.guard.record().or_else(|| world.closed.last().cloned()).expect("a response")
}

/// Of each message in the record: its stage, whether it was delivered, and its attempts.
fn written(record: &Record) -> Vec<(Stage, bool, u32)> {
    record.webhook.iter().map(|one| (one.stage, one.delivered_at.is_some(), one.attempts)).collect()
}

fn refused(status: u16, retry_after: Option<Duration>) -> Answer {
    let message = format!("the server answered {status}");
    Answer::Refused(Refusal { status, message, causes: Vec::new(), retry_after })
}

fn nothing() -> Answer {
    Answer::Nothing("no connection in time".to_owned())
}

fn recommend(world: &mut World) {
    let date = world.clock().timestamp(world.now);
    let kind = Kind::RebalanceRecommendation;
    world.feed(Event::Noticed(Sighting {
        kind,
        action: InstanceAction::None,
        event_id: None,
        time: Some(date),
        date,
        seen: world.now,
        doubt: None,
    }));
    world.feed(Event::Polled(kind));
}

#[test]
fn it_is_told_of_the_notice_at_first_sight_and_of_the_end_when_all_is_done() {
    let mut world = world();
    world.interrupt(120);
    world.run(60.0);
    let told = told(&world);
    assert_eq!(stages(&world), [Stage::Notice, Stage::End]);
    assert!(told[0].0 < 0.001 && (5.0..8.0).contains(&told[1].0), "{told:?}");
    let record = record(&world);
    assert_eq!(record.outcome, Some(ResponseOutcome::Complete));
    assert_eq!(written(&record), [(Stage::Notice, true, 1), (Stage::End, true, 1)]);
    assert!(record.errors.is_empty(), "{:?}", record.errors);
}

#[test]
fn the_first_message_waits_two_seconds_at_most_for_what_the_machine_is() {
    for (known_after, told_at) in [(Some(0.7), 0.7), (None, 2.0)] {
        let mut world = World::with_settings(with_webhook);
        world.interrupt(120);
        if let Some(after) = known_after {
            world.run(after);
            know_the_machine(&mut world);
        }
        world.run(5.0);
        assert!((told(&world)[0].0 - told_at).abs() < 0.002, "{:?}", told(&world));
    }
}

#[test]
fn nobody_is_told_without_a_webhook_in_a_dry_run_and_of_what_is_ignored() {
    let dry = |settings: &mut Settings| {
        with_webhook(settings);
        settings.dry_run = true;
    };
    let ignored = |settings: &mut Settings| {
        with_webhook(settings);
        settings.responses.spot_interruption.reaction = Reaction::Ignore;
    };
    for mut world in [World::new(), World::with_settings(dry), World::with_settings(ignored)] {
        know_the_machine(&mut world);
        world.interrupt(20);
        world.run(40.0);
        assert_eq!(stages(&world), []);
    }
}

#[test]
fn a_recommendation_that_is_only_observed_is_told_once_and_its_end_too() {
    let mut world = world();
    recommend(&mut world);
    world.run(30.0);
    recommend(&mut world);
    world.run(60.0);
    assert_eq!(stages(&world), [Stage::Notice, Stage::End]);
    assert_eq!(written(&record(&world)), [(Stage::Notice, true, 1), (Stage::End, true, 1)]);
}

#[test]
fn what_is_only_observed_is_not_closed_before_it_is_told_or_its_time_is_over() {
    let mut world = world();
    world.webhook_answers = vec![nothing(); 1000];
    recommend(&mut world);
    world.run(599.0);
    assert!(world.closed.is_empty() && world.guard.record().is_some());
    world.run(606.0);
    let record = world.closed.last().expect("closed");
    assert_eq!(record.webhook.iter().map(|one| one.reason.is_some()).collect::<Vec<_>>(), [true, true]);
    let trouble = "webhook: end not delivered: no connection in time; its time is over";
    assert!(record.errors.contains(&trouble.to_owned()), "{:?}", record.errors);
}

#[test]
fn what_may_pass_is_tried_again_after_1_2_4_and_then_every_5_seconds() {
    for answer in
        [nothing(), refused(500, None), refused(503, None), refused(408, None), refused(425, None), refused(429, None)]
    {
        let mut world = world();
        world.webhook_answers = vec![answer.clone(); 5];
        world.interrupt(120);
        world.run(60.0);
        let told = told(&world);
        let rests: Vec<f64> = told.windows(2).map(|two| two[1].0 - two[0].0 - 0.05).take(5).collect();
        for (rest, expected) in rests.iter().zip([1.0, 2.0, 4.0, 5.0, 5.0]) {
            assert!((rest - expected).abs() <= expected / 5.0 + 0.01, "{answer:?}: {rests:?}");
        }
        assert_eq!(written(&record(&world)), [(Stage::Notice, true, 6), (Stage::End, true, 1)], "{answer:?}");
    }
}

#[test]
fn what_does_not_pass_is_given_up_at_once_and_the_end_is_told_all_the_same() {
    for status in [301, 302, 307, 400, 401, 403, 404, 410, 422] {
        let mut world = world();
        world.webhook_answers = vec![refused(status, None)];
        world.interrupt(120);
        world.run(60.0);
        assert_eq!(written(&record(&world)), [(Stage::Notice, false, 1), (Stage::End, true, 1)], "{status}");
        assert_eq!(record(&world).errors, [format!("webhook: notice not delivered: the server answered {status}")]);
    }
}

#[test]
fn a_retry_after_is_obeyed_and_one_beyond_the_deadline_is_the_end_of_it() {
    for (after, attempts) in [(7, 2), (0, 2), (1000, 1), (u64::MAX, 1)] {
        let mut world = world();
        world.webhook_answers = vec![refused(429, Some(s(after)))];
        world.interrupt(60);
        world.run(70.0);
        let told = told(&world);
        assert_eq!(record(&world).webhook[0].attempts, attempts, "{after}");
        if attempts == 2 {
            let rest = told[1].0 - told[0].0;
            assert!(rest >= after as f64 && rest < after.max(1) as f64 + 0.3, "{after}: {told:?}");
        }
    }
}

#[test]
fn the_end_waits_for_the_notice_and_a_notice_is_not_told_after_the_deadline() {
    let mut world = world();
    world.webhook_answers = vec![nothing(); 1000];
    world.interrupt(60);
    world.run(66.0);
    let first_end = told(&world).into_iter().find(|(_, stage)| *stage == Stage::End).expect("an end");
    assert!((first_end.0 - 60.0).abs() < 0.1, "{first_end:?}");
    assert!(told(&world).iter().all(|(moment, stage)| *moment < if *stage == Stage::Notice { 60.0 } else { 65.0 }));
    // What the server says of its own counts for the end too.
    let mut patient = self::world();
    patient.webhook_answers = vec![refused(429, Some(s(63)))];
    patient.interrupt(60);
    patient.run(66.0);
    assert!(
        self::told(&patient).iter().all(|(moment, _)| *moment < 0.1 || *moment >= 63.0),
        "{:?}",
        self::told(&patient)
    );
    // No attempt is given longer than its stage has.
    for told in &world.told {
        if let Told::Webhook(moment, stage, until) = told {
            let end = if *stage == Stage::Notice { at(60.0) } else { at(65.0) };
            assert!(*until <= end && *until <= *moment + s(10), "{told:?}");
        }
    }
    let record = world.closed.last().expect("closed");
    assert!(
        record.webhook.iter().all(|one| one.delivered_at.is_none() && one.reason.is_some()),
        "{:?}",
        record.webhook
    );
}

#[test]
fn an_end_that_comes_with_the_deadline_is_told_within_the_seconds_after_it() {
    let mut world = world();
    let never = world.pod("never", 30, 1000);
    (never.budget_opens, never.undeletable_until) = (Some(at(1e6)), at(1e6));
    world.webhook_answers = vec![Answer::Accepted, refused(500, None)];
    world.interrupt(60);
    world.run(70.0);
    let record = world.closed.last().expect("closed");
    assert_eq!(written(record), [(Stage::Notice, true, 1), (Stage::End, true, 2)]);
    let told = told(&world);
    assert!(told[1].0 >= 60.0 && told[2].0 < 65.0, "{told:?}");
}

#[test]
fn an_attempt_that_nothing_is_heard_of_is_given_up_and_its_late_answer_counts_for_nothing() {
    let mut world = world();
    world.webhook_is_deaf = true;
    world.interrupt(120);
    world.run(14.0);
    assert_eq!(stages(&world), [Stage::Notice]);
    world.run(15.9);
    world.webhook_is_deaf = false;
    world.run(30.0);
    let told = told(&world);
    assert!((15.0..17.5).contains(&told[1].0), "{told:?}");
    assert_eq!(written(&record(&world))[0], (Stage::Notice, true, 2));
    // The first attempt is answered at last.
    let before = record(&world).webhook;
    world.feed(Event::Delivered { number: 1, answer: refused(404, None) });
    assert_eq!(record(&world).webhook, before);
}

#[test]
fn another_notice_that_takes_over_is_told_and_one_before_it_is_not_any_more() {
    let drains = |settings: &mut Settings| {
        with_webhook(settings);
        settings.responses.rebalance_recommendation.reaction = Reaction::Drain;
    };
    for delivered in [true, false] {
        let mut world = World::with_settings(drains);
        world.pod("a", 30, 20);
        know_the_machine(&mut world);
        if !delivered {
            world.webhook_answers = vec![nothing(); 2];
        }
        recommend(&mut world);
        world.run(1.5);
        world.interrupt(120);
        world.run(60.0);
        let record = record(&world);
        let expected = [(Stage::Notice, delivered), (Stage::Notice, true), (Stage::End, true)];
        let seen: Vec<(Stage, bool)> = written(&record).iter().map(|(stage, is, _)| (*stage, *is)).collect();
        assert_eq!(seen, expected);
        let reason = (!delivered).then(|| "another notice has taken over".to_owned());
        assert_eq!(record.webhook[0].reason, reason);
        assert!(record.errors.iter().all(|error| !error.contains("webhook")), "{:?}", record.errors);
    }
}

#[test]
fn a_notice_that_is_taken_back_is_told_as_the_end_while_the_node_comes_back() {
    let mut world = world();
    let date = world.clock().timestamp(world.now);
    let sighting = Sighting {
        kind: Kind::Maintenance,
        action: InstanceAction::Reboot,
        event_id: Some("instance-event-1".into()),
        time: Some(date + s(100)),
        date,
        seen: world.now,
        doubt: None,
    };
    let key = Key { kind: Kind::Maintenance, event_id: sighting.event_id.clone() };
    world.pod("slow", 60, 50);
    world.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
    world.feed(Event::Noticed(sighting));
    world.run(3.0);
    assert_eq!(stages(&world), [Stage::Notice]);
    world.webhook_answers = vec![nothing()];
    world.feed(Event::TakenBack(key));
    world.feed(Event::Polled(Kind::Maintenance));
    world.run(10.0);
    assert_eq!(stages(&world), [Stage::Notice, Stage::End, Stage::End]);
    let record = world.written.last().expect("a record");
    assert_eq!(record.outcome, Some(ResponseOutcome::Withdrawn));
    assert_eq!(written(record), [(Stage::Notice, true, 1), (Stage::End, true, 2)]);
    assert!(world.guard.record().is_none(), "the way back is over");
}

#[test]
fn after_a_restart_what_was_delivered_is_not_told_again_and_what_was_not_is() {
    for step in [0.02, 0.5, 3.0, 7.0, 20.0] {
        let mut world = world();
        world.interrupt(60);
        world.run(step);
        let before = stages(&world);
        let delivered = written(&record(&world)).iter().filter(|(_, is, _)| *is).count();
        world.restart();
        know_the_machine(&mut world);
        world.run(50.0);
        let after = stages(&world);
        let twice = before.len() - delivered;
        assert_eq!(after.len(), 2 + twice, "at {step}: {after:?}");
        assert_eq!(written(&record(&world)).iter().filter(|(_, is, _)| *is).count(), 2, "at {step}");
    }
}

#[test]
fn a_daemon_that_is_told_to_end_waits_three_seconds_for_it_at_most() {
    for (answers, ends_by) in [(vec![], 0.2), (vec![nothing(); 100], 3.1)] {
        let mut world = world();
        world.run(0.0);
        world.interrupt(100);
        world.run(4.0);
        world.webhook_answers = answers;
        world.feed(Event::Terminate { machine_stops: true });
        world.run(30.0);
        let ended = record(&world).phases.iter().rfind(|phase| phase.ended_at.is_none()).map(|phase| phase.started_at);
        let exited = world.clock().timestamp(world.exited.expect("an exit"));
        let after = ended.and_then(|ended| exited.later_than(ended)).unwrap_or_default();
        assert!(after.as_secs_f64() < ends_by, "{after:?}");
    }
}

#[test]
fn nothing_else_waits_for_it() {
    let fates = |answers: Vec<Answer>, deaf: bool| {
        let mut world = world();
        world.hook(Phase::PreDrain, "10-pre", s(1));
        world.hook(Phase::PostDrain, "10-post", s(1));
        (world.webhook_answers, world.webhook_is_deaf) = (answers, deaf);
        world.interrupt(60);
        world.run(30.0);
        (world.hook_runs(), world.pods["uid-a"].asks.clone(), record(&world).phases)
    };
    let told = fates(Vec::new(), false);
    assert_eq!(fates(vec![nothing(); 100], false), told);
    assert_eq!(fates(Vec::new(), true), told);
}

#[test]
fn messages_are_numbered_on_from_those_of_the_response_before() {
    let mut world = world();
    recommend(&mut world);
    world.run(10.0);
    world.interrupt(60);
    let actions = world.guard.on(Event::Tick, world.now, &|| unreachable!("no response begins"));
    assert!(actions.iter().all(|action| !matches!(action, Action::SendWebhook { .. })));
    world.run(30.0);
    assert_eq!(world.webhook_numbers, [1, 2, 3, 4]);
}
