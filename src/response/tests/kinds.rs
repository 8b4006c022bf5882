//! More than one kind of notice, in every order, and the way back.

use super::world::{World, after_start, at, ms, s};
use crate::config::{Force, Reaction};
use crate::hooks::Phase;
use crate::moment::Timestamp;
use crate::notice::{InstanceAction, Key, Kind, Sighting};
use crate::objects::{Node, Standing, Taint};
use crate::process::Started;
use crate::record::{PhaseName, Record, ResponseOutcome};
use crate::response::{Event, Guard, Request, State};

/// A notice of that kind, `left` seconds before it happens where it names a time.
fn sighting(world: &World, kind: Kind, left: f64) -> Sighting {
    let clock = world.clock();
    let time = |seconds: f64| Some(clock.timestamp(at(after_start(world.now) + seconds)));
    let (action, event_id, time) = match kind {
        Kind::SpotInterruption => (InstanceAction::Terminate, None, time(left)),
        Kind::AutoscalingTermination => (InstanceAction::Terminate, None, None),
        Kind::Maintenance => (InstanceAction::Reboot, Some("instance-event-1".to_owned()), time(left)),
        Kind::RebalanceRecommendation => (InstanceAction::None, None, Timestamp::from_rfc3339("2026-11-22T20:00:00Z")),
        Kind::ByHand => (InstanceAction::None, None, time(left)),
    };
    Sighting { kind, action, event_id, time, date: clock.timestamp(world.now), seen: world.now, doubt: None }
}

fn notice(world: &mut World, kind: Kind, left: f64) {
    let sighting = sighting(world, kind, left);
    world.feed(Event::Noticed(sighting));
    world.feed(Event::Polled(kind));
}

/// A world with a ready cluster, two pods of which one is behind a budget that never opens, and a hook in each phase.
fn world() -> World {
    let mut world = World::new();
    world.pod("free", 30, 5);
    world.pod("held", 20, 5).budget_opens = Some(at(1e6));
    for phase in [Phase::Notice, Phase::PreDrain, Phase::PostDrain, Phase::Uncordon] {
        world.hook(phase, phase.name(), ms(200));
    }
    ready(&mut world);
    world
}

fn ready(world: &mut World) {
    world.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
}

fn record(world: &World) -> Record {
    world.guard.record().expect("a response")
}

fn asks(world: &World, name: &str) -> Vec<(f64, &'static str)> {
    let asks = &world.pods[&format!("uid-{name}")].asks;
    asks.iter().map(|(moment, how, _)| (after_start(*moment), *how)).collect()
}

fn ran(world: &World, phase: Phase) -> usize {
    world.hook_runs().iter().filter(|(_, name)| name.ends_with(phase.name())).count()
}

fn restored(world: &World) -> usize {
    let of = |request: &Request| matches!(request, Request::RestoreNode(_)).then_some(());
    world.requests(of).len()
}

/// Good polls without that kind of notice, one a second.
fn polls_without(world: &mut World, kind: Kind, from: f64, until: f64) {
    let mut second = from;
    while second < until {
        second += 1.0;
        world.run(second);
        world.feed(Event::Polled(kind));
    }
}

const ACTING: [Kind; 4] = [Kind::SpotInterruption, Kind::AutoscalingTermination, Kind::Maintenance, Kind::ByHand];

/// How many seconds after it is seen a notice of that kind is over, here.
fn window(kind: Kind) -> f64 {
    match kind {
        Kind::SpotInterruption => 120.0,
        Kind::AutoscalingTermination => 300.0,
        Kind::Maintenance | Kind::RebalanceRecommendation => 600.0,
        Kind::ByHand => 240.0,
    }
}

#[test]
fn of_two_notices_the_earlier_deadline_wins_and_nothing_is_done_twice() {
    for first in ACTING {
        for second in ACTING.into_iter().filter(|second| *second != first) {
            let mut world = world();
            notice(&mut world, first, window(first));
            world.run(3.0);
            let id = record(&world).id;
            notice(&mut world, second, window(second));
            world.run(4.0);
            let record = record(&world);
            let takes_over = 3.0 + window(second) < window(first);
            let (wins, loses) = if takes_over { (second, first) } else { (first, second) };
            assert_eq!((record.notice.kind, &record.id), (wins, &id), "{first}, then {second}");
            let kept = if takes_over { &record.earlier_notices } else { &record.notices_beside };
            assert!(kept.iter().any(|notice| notice.kind == loses), "{first}, then {second}: {record:?}");
            let expected = if takes_over { 3.0 + window(second) } else { window(first) };
            let deadline = world.guard.running().unwrap().deadline.at;
            assert!((after_start(deadline) - expected).abs() < 0.1, "{first}, then {second}: {deadline:?}");
            world.run(expected + 2.0);
            assert_eq!(asks(&world, "free").len(), 1, "{first}, then {second}");
            assert_eq!(ran(&world, Phase::PreDrain), 1, "{first}, then {second}");
            assert_eq!(ran(&world, Phase::Notice), if takes_over { 2 } else { 1 }, "{first}, then {second}");
        }
    }
}

#[test]
fn of_two_notices_that_are_there_at_once_the_order_does_not_matter() {
    for first in ACTING {
        for second in ACTING.into_iter().filter(|second| *second != first) {
            let mut world = world();
            notice(&mut world, first, window(first));
            notice(&mut world, second, window(second));
            let earlier = if window(first) < window(second) { first } else { second };
            assert_eq!(record(&world).notice.kind, earlier, "{first} and {second}");
        }
    }
}

#[test]
fn a_notice_that_asks_for_more_wins_whatever_its_deadline() {
    for kind in ACTING {
        for how in [Reaction::Observe, Reaction::Cordon] {
            let mut world = world();
            world.change_settings(|settings| settings.responses.rebalance_recommendation.reaction = how);
            world.hook(Phase::Notice, "slow-notice", s(20));
            notice(&mut world, Kind::RebalanceRecommendation, 0.0);
            world.run(2.0);
            assert!(asks(&world, "free").is_empty());
            assert_eq!(world.node.cordoned, how == Reaction::Cordon);
            notice(&mut world, kind, window(kind));
            world.run(4.0);
            let record = record(&world);
            assert_eq!((record.notice.kind, record.terms.reaction), (kind, Reaction::Drain), "{how:?} {kind}");
            assert_eq!(record.earlier_notices[0].kind, Kind::RebalanceRecommendation);
            assert_eq!(asks(&world, "free").len(), 1, "{how:?} {kind}");
            assert!(world.node.cordoned && world.node.excluded, "{how:?} {kind}");
            assert!(record.node.cordoned_by_us && record.node.labelled_by_us, "{how:?} {kind}");
        }
    }
}

#[test]
fn a_notice_that_is_only_told_of_does_not_disturb_a_drain() {
    for kind in ACTING {
        let mut world = world();
        notice(&mut world, kind, window(kind));
        world.run(2.0);
        notice(&mut world, Kind::RebalanceRecommendation, 0.0);
        world.run(4.0);
        let record = record(&world);
        assert_eq!(record.notice.kind, kind);
        assert_eq!(record.notices_beside[0].kind, Kind::RebalanceRecommendation);
        let told = world.events().into_iter().filter(|reason| *reason == "RebalanceRecommendation").count();
        assert_eq!(told, 1, "{kind}");
    }
}

#[test]
fn a_recommendation_is_responded_to_once_in_the_life_of_the_instance() {
    let mut world = world();
    for second in 0..700 {
        world.run(f64::from(second));
        notice(&mut world, Kind::RebalanceRecommendation, 0.0);
    }
    assert_eq!((world.closed.len(), ran(&world, Phase::Notice)), (1, 1));
    assert!(!world.node.cordoned);
    for boot in ["boot", "another boot"] {
        let closed = world.closed[0].clone();
        world.guard = Guard::new(&world.settings);
        assert_eq!(world.guard.take_up(closed, boot, world.now).1, None);
        ready(&mut world);
        notice(&mut world, Kind::RebalanceRecommendation, 0.0);
        assert!(world.guard.record().is_none(), "{boot}");
    }
}

#[test]
fn a_spot_interruption_after_a_recommendation_that_was_drained_begins_at_once() {
    let mut world = world();
    world.change_settings(|settings| settings.responses.rebalance_recommendation.reaction = Reaction::Drain);
    notice(&mut world, Kind::RebalanceRecommendation, 0.0);
    world.run(10.0);
    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(129.0);
    assert_eq!(asks(&world, "free").len(), 1, "what was asked is not asked again");
    // Its budget was never passed over for the recommendation; for the interruption it is.
    let (when, how) = asks(&world, "held")[0];
    assert!(how == "delete" && (107.0..108.5).contains(&when), "{when}");
}

#[test]
fn budgets_are_never_passed_over_where_force_is_never() {
    for kind in [Kind::RebalanceRecommendation, Kind::ByHand] {
        let mut world = world();
        world.hook(Phase::LocalDrain, "50-containers", s(1));
        world.change_settings(|settings| settings.responses.rebalance_recommendation.reaction = Reaction::Drain);
        notice(&mut world, kind, window(kind));
        world.run(window(kind) + 1.0);
        assert_eq!(asks(&world, "held"), [], "{kind}");
        assert_eq!(ran(&world, Phase::LocalDrain), 0, "{kind}");
        assert_eq!(record(&world).outcome, Some(ResponseOutcome::Incomplete));
    }
    let mut world = world();
    world.change_settings(|settings| settings.responses.spot_interruption.force = Force::Never);
    world.interrupt_with(InstanceAction::Hibernate, 120.0);
    world.run(121.0);
    assert_eq!(asks(&world, "held"), []);
}

#[test]
fn an_event_weeks_ahead_is_acted_on_at_its_lead_and_not_before() {
    let mut world = world();
    let event = sighting(&world, Kind::Maintenance, 14.0 * 86_400.0);
    world.feed(Event::Noticed(event));
    assert!(world.guard.record().is_none() && !world.node.cordoned);
    let due = 14.0 * 86_400.0 - 600.0;
    world.now = at(due - 1.0);
    world.feed(Event::Tick);
    assert!(world.guard.record().is_none());
    world.run(due + 1.0);
    let record = record(&world);
    assert_eq!(record.notice.kind, Kind::Maintenance);
    let left = world.now.until(world.guard.running().unwrap().deadline.at);
    assert!(s(595) < left && left <= s(600), "{left:?}");
}

#[test]
fn of_several_events_the_nearest_is_first_and_one_that_is_cancelled_before_it_began_is_forgotten() {
    let mut world = world();
    let near = sighting(&world, Kind::Maintenance, 1000.0);
    let nearer = Sighting { event_id: Some("nearer".into()), ..sighting(&world, Kind::Maintenance, 900.0) };
    let never = Sighting { event_id: Some("never".into()), ..sighting(&world, Kind::Maintenance, 800.0) };
    for event in [&near, &nearer, &never] {
        world.feed(Event::Noticed(event.clone()));
    }
    world.feed(Event::TakenBack(never.key()));
    world.run(250.0);
    assert!(world.guard.record().is_none(), "what was cancelled is not acted on");
    world.run(301.0);
    assert_eq!(record(&world).notice.event_id, nearer.event_id);
}

#[test]
fn an_event_is_withdrawn_when_cancelled_or_missing_in_three_good_polls_and_the_node_comes_back() {
    for cancelled in [true, false] {
        let mut world = world();
        world.pod("slow", 300, 250);
        notice(&mut world, Kind::Maintenance, 500.0);
        world.run(2.0);
        assert!(world.node.cordoned && world.node.excluded);
        if cancelled {
            world.feed(Event::TakenBack(Key { kind: Kind::Maintenance, event_id: Some("instance-event-1".into()) }));
        } else {
            for _ in 0..2 {
                world.feed(Event::Polled(Kind::Maintenance));
            }
            assert_eq!(world.guard.state(), State::Responding, "two misses may be a slip");
            world.feed(Event::Polled(Kind::Maintenance));
        }
        world.run(5.0);
        assert_eq!(world.closed[0].outcome, Some(ResponseOutcome::Withdrawn));
        assert!(!world.node.cordoned && !world.node.excluded && world.node.response.is_none());
        assert_eq!((ran(&world, Phase::Uncordon), ran(&world, Phase::PostDrain)), (1, 0));
        assert!(world.events().contains(&"Uncordon"));
        let appears = world.pod("later", 30, 1);
        appears.appears = at(6.0);
        world.run(20.0);
        assert!(asks(&world, "later").is_empty(), "a response that was withdrawn asks nobody");
    }
}

#[test]
fn an_event_that_is_put_off_in_the_middle_brings_the_node_back_and_is_acted_on_at_its_new_time() {
    let mut world = world();
    notice(&mut world, Kind::Maintenance, 500.0);
    world.run(2.0);
    notice(&mut world, Kind::Maintenance, 5000.0);
    world.run(5.0);
    assert!(!world.node.cordoned && restored(&world) == 1);
    world.run(4300.0);
    assert!(world.guard.record().is_none());
    world.run(4410.0);
    assert!(world.node.cordoned && record(&world).notice.kind == Kind::Maintenance);
}

#[test]
fn a_termination_that_is_taken_back_gives_way_to_what_else_stands() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    notice(&mut world, Kind::Maintenance, 400.0);
    world.run(3.0);
    world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
    world.run(5.0);
    let record = record(&world);
    assert_eq!((record.notice.kind, restored(&world)), (Kind::Maintenance, 0));
    assert!(world.node.cordoned);
}

#[test]
fn a_termination_stands_until_the_instance_is_in_service_again() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    polls_without(&mut world, Kind::AutoscalingTermination, 0.0, 400.0);
    assert!(world.node.cordoned, "Standby or no answer is no way back");
    world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
    world.run(402.0);
    assert!(!world.node.cordoned);
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(404.0);
    assert!(world.node.cordoned, "the next termination is a new one");
}

#[test]
fn a_machine_that_outlives_an_interruption_comes_back_when_that_has_been_gone_for_five_minutes() {
    let mut world = world();
    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(130.0);
    notice(&mut world, Kind::SpotInterruption, -10.0);
    assert!(world.said.iter().any(|line| line.contains("the machine still runs")));
    polls_without(&mut world, Kind::SpotInterruption, 130.0, 425.0);
    assert!(world.node.cordoned);
    // Seen once more: the five minutes begin anew.
    notice(&mut world, Kind::SpotInterruption, -305.0);
    polls_without(&mut world, Kind::SpotInterruption, 425.0, 720.0);
    assert!(world.node.cordoned);
    polls_without(&mut world, Kind::SpotInterruption, 720.0, 735.0);
    assert!(!world.node.cordoned && ran(&world, Phase::Uncordon) == 1);
}

#[test]
fn only_what_was_ours_is_undone() {
    let tainted = Taint { key: "spot".into(), value: "going".into(), effect: "NoSchedule".into() };
    let others = Taint { key: "other".into(), ..tainted.clone() };
    for (cordoned, excluded) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = world();
        world.change_settings(|settings| settings.kubernetes.taints = vec![tainted.clone(), others.clone()]);
        world.node = Node { cordoned, excluded, taints: vec![others.clone()], ..Node::default() };
        notice(&mut world, Kind::AutoscalingTermination, 0.0);
        world.run(2.0);
        assert!(world.node.cordoned && world.node.excluded && world.node.taints.contains(&tainted));
        world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
        world.run(5.0);
        assert_eq!((world.node.cordoned, world.node.excluded), (cordoned, excluded));
        assert_eq!(world.node.taints, std::slice::from_ref(&others));
    }
}

#[test]
fn what_another_has_taken_away_meanwhile_is_left_alone() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    // An administrator takes the whole matter over: the annotation goes, the cordon stays.
    world.node.response = None;
    world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
    world.run(5.0);
    assert!(world.node.cordoned && restored(&world) == 0);
}

/// The record of a response to that action, when its machine went.
fn went(world: &mut World, action: InstanceAction) -> Record {
    let kind = if action == InstanceAction::Reboot { Kind::Maintenance } else { Kind::SpotInterruption };
    let event = Sighting { action, ..sighting(world, kind, 100.0) };
    world.feed(Event::Noticed(event));
    world.run(20.0);
    record(world)
}

/// A new daemon in another boot, so many seconds after the notice.
fn boots(world: &mut World, record: Record, seconds: f64) {
    world.now = at(seconds);
    world.guard = Guard::new(&world.settings);
    let (actions, closed) = world.guard.take_up(record, "another boot", world.now);
    if let Some(closed) = closed {
        assert_eq!(closed.outcome, Some(ResponseOutcome::InterruptedByReboot));
    }
    world.perform(actions);
    ready(world);
}

#[test]
fn after_a_stop_a_hibernation_or_a_reboot_the_node_is_brought_back_and_after_a_mere_restart_it_is_not() {
    for action in [InstanceAction::Stop, InstanceAction::Hibernate, InstanceAction::Reboot] {
        let mut world = world();
        let before = went(&mut world, action);
        let kind = before.notice.kind;
        boots(&mut world, before, 4000.0);
        assert!(world.node.cordoned, "nothing is known of the notice yet");
        world.feed(Event::Polled(kind));
        world.run(4003.0);
        assert!(!world.node.cordoned && ran(&world, Phase::Uncordon) == 1, "{action:?}");
    }
    let mut world = world();
    let before = went(&mut world, InstanceAction::Terminate);
    boots(&mut world, before, 4000.0);
    polls_without(&mut world, Kind::SpotInterruption, 4000.0, 4290.0);
    assert!(world.node.cordoned, "what EC2 wanted to terminate may still be terminated");
    polls_without(&mut world, Kind::SpotInterruption, 4290.0, 4310.0);
    assert!(!world.node.cordoned);
}

#[test]
fn a_stale_notice_after_a_stop_is_no_new_response() {
    let mut world = world();
    let stop = Sighting { action: InstanceAction::Stop, ..sighting(&world, Kind::SpotInterruption, 100.0) };
    let before = went(&mut world, InstanceAction::Stop);
    boots(&mut world, before, 4000.0);
    for second in 0..5 {
        world.run(4000.0 + f64::from(second));
        let stale = Sighting { date: world.clock().timestamp(world.now), seen: world.now, ..stop.clone() };
        world.feed(Event::Noticed(stale));
        world.feed(Event::Polled(Kind::SpotInterruption));
    }
    world.run(4008.0);
    assert_eq!(world.guard.state(), State::Watching);
    assert!(!world.node.cordoned && restored(&world) == 1);
    assert_eq!(asks(&world, "free").len(), 1);
}

#[test]
fn a_notice_that_is_still_ahead_after_a_reboot_is_responded_to_again() {
    let mut world = world();
    let first = sighting(&world, Kind::SpotInterruption, 100.0);
    let before = went(&mut world, InstanceAction::Terminate);
    boots(&mut world, before, 40.0);
    let again = Sighting { date: world.clock().timestamp(world.now), seen: world.now, ..first };
    world.feed(Event::Noticed(again));
    world.run(42.0);
    assert_eq!(record(&world).notice.kind, Kind::SpotInterruption);
    assert!(world.node.cordoned && restored(&world) == 0);
}

#[test]
fn a_machine_that_wakes_from_hibernation_comes_back_at_the_first_good_poll() {
    let mut world = world();
    notice(&mut world, Kind::SpotInterruption, 110.0);
    let hibernate = Sighting { action: InstanceAction::Hibernate, ..sighting(&world, Kind::SpotInterruption, 110.0) };
    world.feed(Event::Noticed(hibernate.clone()));
    world.run(20.0);
    world.now = at(9000.0);
    world.feed(Event::Woke);
    world.feed(Event::Tick);
    let stale = Sighting { date: world.clock().timestamp(world.now), seen: world.now, ..hibernate };
    world.feed(Event::Noticed(stale));
    world.feed(Event::Polled(Kind::SpotInterruption));
    world.run(9003.0);
    assert!(!world.node.cordoned && ran(&world, Phase::Uncordon) == 1);
    assert_eq!(world.guard.state(), State::Watching);
}

#[test]
fn a_completed_reboot_that_this_boot_has_not_seen_is_still_to_come() {
    let key = Key { kind: Kind::Maintenance, event_id: Some("instance-event-1".into()) };
    let mut world = world();
    notice(&mut world, Kind::Maintenance, 100.0);
    world.run(5.0);
    world.feed(Event::Completed(key.clone()));
    world.run(8.0);
    assert!(world.node.cordoned);
    let before = record(&world);
    boots(&mut world, before, 300.0);
    world.feed(Event::Completed(key));
    world.run(303.0);
    assert!(!world.node.cordoned);
}

#[test]
fn a_node_of_another_instance_of_the_same_image_is_left_alone() {
    let mut world = world();
    world.feed(Event::Instance(instance("i-1")));
    let before = went(&mut world, InstanceAction::Stop);
    boots(&mut world, before, 4000.0);
    world.feed(Event::Polled(Kind::SpotInterruption));
    world.run(4002.0);
    assert_eq!(restored(&world), 0, "it is not known yet which instance this is");
    world.feed(Event::Instance(instance("i-2")));
    world.feed(Event::Polled(Kind::SpotInterruption));
    world.run(4010.0);
    assert_eq!((restored(&world), ran(&world, Phase::Uncordon)), (0, 0));
}

fn instance(id: &str) -> crate::instance::Instance {
    crate::instance::Instance { id: Some(id.into()), ..crate::instance::Instance::default() }
}

#[test]
fn a_drain_by_hand_stays_until_it_is_undone_by_hand() {
    let mut world = world();
    notice(&mut world, Kind::ByHand, 60.0);
    world.run(5000.0);
    assert!(world.node.cordoned && restored(&world) == 0);
    world.feed(Event::Uncordon);
    world.run(5003.0);
    assert!(!world.node.cordoned && ran(&world, Phase::Uncordon) == 1);
}

#[test]
fn an_administrator_may_end_a_drain_by_hand_but_not_the_response_to_a_notice() {
    let mut world = world();
    notice(&mut world, Kind::ByHand, 60.0);
    world.run(3.0);
    assert_eq!(world.guard.refuses_uncordon(), None);
    world.feed(Event::Uncordon);
    world.run(6.0);
    assert_eq!(world.closed[0].outcome, Some(ResponseOutcome::Withdrawn));
    assert!(!world.node.cordoned);

    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(8.0);
    assert!(world.guard.refuses_uncordon().is_some());
    world.feed(Event::Uncordon);
    world.run(10.0);
    assert!(world.node.cordoned && world.guard.state() == State::Responding);
}

#[test]
fn a_node_taken_back_by_hand_after_its_response_has_ended_is_not_drained_again_for_the_same_notice() {
    let mut world = world();
    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(130.0);
    world.feed(Event::Uncordon);
    world.run(133.0);
    notice(&mut world, Kind::SpotInterruption, -13.0);
    world.run(140.0);
    assert!(!world.node.cordoned && world.guard.state() == State::Watching);
}

#[test]
fn a_notice_in_the_middle_of_the_way_back_is_responded_to() {
    let mut world = world();
    world.hook_takes.insert("uncordon".into(), s(20));
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
    world.run(5.0);
    assert_eq!(world.guard.state(), State::Returning);
    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(8.0);
    assert!(world.node.cordoned && record(&world).node.cordoned_by_us);
    assert_eq!(record(&world).notice.kind, Kind::SpotInterruption);
}

#[test]
fn a_restart_in_the_middle_of_the_way_back_goes_on_with_it_and_repeats_no_hook_that_had_ended() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
    world.run(2.002);
    assert!(world.node.cordoned);
    world.restart();
    world.run(6.0);
    assert!(!world.node.cordoned && ran(&world, Phase::Uncordon) == 1);
    let ended = |phase: &crate::record::PhaseWritten| phase.name == PhaseName::Uncordon && phase.ended_at.is_some();
    assert!(world.written.iter().any(|record| record.phases.iter().any(ended)));
    world.restart();
    world.run(10.0);
    assert_eq!(ran(&world, Phase::Uncordon), 1);
}

#[test]
fn what_a_hook_of_the_way_back_runs_as_is_written_down_so_that_the_next_start_can_end_it() {
    let mut world = world();
    world.hook_takes.insert("uncordon".into(), s(20));
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
    world.run(4.0);
    let started = Started { pid: 4711, start_time: 99 };
    (1..10).for_each(|number| world.feed(Event::HookStarted { number, started: started.clone() }));
    world.run(4.1);
    let hooks = &world.written.last().unwrap().hooks;
    let hook = hooks.iter().find(|hook| hook.phase == Phase::Uncordon).expect("it runs");
    assert_eq!(hook.process, Some(started));
}

#[test]
fn a_silent_api_server_is_asked_until_the_node_is_back() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.outages = vec![(at(2.0), at(60.0))];
    world.feed(Event::TakenBack(Key { kind: Kind::AutoscalingTermination, event_id: None }));
    world.run(59.0);
    assert!(world.node.cordoned);
    world.run(63.0);
    assert!(!world.node.cordoned);
}

#[test]
fn what_is_ignored_is_said_once_and_nothing_is_done() {
    for kind in Kind::ALL {
        let mut world = world();
        world.change_settings(|settings| {
            for response in [
                &mut settings.responses.spot_interruption,
                &mut settings.responses.autoscaling_termination,
                &mut settings.responses.maintenance,
                &mut settings.responses.rebalance_recommendation,
                &mut settings.responses.by_hand,
            ] {
                response.reaction = Reaction::Ignore;
            }
        });
        (0..3).for_each(|_| notice(&mut world, kind, 100.0));
        world.run(5.0);
        assert!(world.guard.record().is_none() && world.told.is_empty(), "{kind}");
        // Each drain by hand is a new one.
        let times = if kind == Kind::ByHand { 3 } else { 1 };
        assert_eq!(world.said.iter().filter(|line| line.contains("ignored")).count(), times, "{kind}");
    }
}

#[test]
fn no_two_responses_have_the_same_id() {
    let mut world = world();
    world.hooks.clear();
    notice(&mut world, Kind::RebalanceRecommendation, 0.0);
    let first = record(&world).id;
    world.run(0.5);
    assert!(world.guard.record().is_none(), "told, and over");
    notice(&mut world, Kind::SpotInterruption, 120.0);
    assert_ne!(record(&world).id, first);
}

#[test]
fn a_second_drain_by_hand_after_the_first_has_ended_is_a_new_one_and_joins_it_before() {
    let mut world = world();
    world.pods.remove("uid-held");
    notice(&mut world, Kind::ByHand, 60.0);
    world.run(2.0);
    notice(&mut world, Kind::ByHand, 100.0);
    let first = record(&world);
    assert!(first.outcome.is_none() && first.earlier_notices.is_empty(), "the deadline only comes nearer");
    world.run(10.0);
    assert_eq!(world.guard.state(), State::Done);
    notice(&mut world, Kind::ByHand, 60.0);
    let second = record(&world);
    assert!(second.id != first.id && second.outcome.is_none());
}

#[test]
fn without_any_record_an_uncordon_by_hand_undoes_what_the_node_says_is_ours() {
    let mut world = world();
    world.node.cordoned = true;
    world.node.response = Some(r#"{"id":"x","cordoned":true}"#.into());
    world.feed(Event::Uncordon);
    assert!(record(&world).phases.iter().any(|phase| phase.name == PhaseName::Uncordon));
    world.run(3.0);
    assert!(!world.node.cordoned);
    assert!(world.written.last().unwrap().node.restored_at.is_some());
}

#[test]
fn an_interruption_that_is_heard_of_after_its_time_still_has_its_node_cordoned() {
    let mut world = world();
    let late = sighting(&world, Kind::SpotInterruption, 5.0);
    world.now = at(6.0);
    world.feed(Event::Noticed(late));
    let record = record(&world);
    assert_eq!((record.notice.kind, record.outcome), (Kind::SpotInterruption, Some(ResponseOutcome::Incomplete)));
}

#[test]
fn a_notice_that_was_told_of_before_another_took_over_is_not_told_of_again() {
    let mut world = world();
    world.hook_takes.insert("notice".into(), s(20));
    notice(&mut world, Kind::RebalanceRecommendation, 0.0);
    world.run(2.0);
    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(140.0);
    let told = world.events().into_iter().filter(|reason| *reason == "RebalanceRecommendation").count();
    assert_eq!((world.guard.state(), told), (State::Watching, 1));
}
