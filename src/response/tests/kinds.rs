//! More than one kind of notice, in every order, and the way back.

use super::world::{Told, World, after_start, at, ms, s};
use crate::config::{Force, Reaction};
use crate::hooks::Phase;
use crate::moment::Timestamp;
use crate::notice::{InstanceAction, Key, Kind, Sighting};
use crate::objects::{Node, Standing, Taint};
use crate::observe::metrics::Counted;
use crate::process::Started;
use crate::record::{Outcome, PhaseName, Record, ResponseOutcome, WayBack};
use crate::response::{Event, Guard, Request, State};

/// A notice of that kind, `left` seconds before it happens where it names a time.
pub fn sighting(world: &World, kind: Kind, left: f64) -> Sighting {
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

pub fn notice(world: &mut World, kind: Kind, left: f64) {
    let sighting = sighting(world, kind, left);
    world.feed(Event::Noticed(sighting));
    world.feed(Event::Polled(kind));
}

/// A world with a ready cluster, two pods of which one is behind a budget that never opens, and a hook in each phase.
pub fn world() -> World {
    let mut world = World::new();
    world.pod("free", 30, 5);
    world.pod("held", 20, 5).budget_opens = Some(at(1e6));
    for phase in [Phase::Notice, Phase::PreDrain, Phase::PostDrain, Phase::Uncordon] {
        world.hook(phase, phase.name(), ms(200));
    }
    ready(&mut world);
    world
}

pub fn ready(world: &mut World) {
    world.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
}

pub fn record(world: &World) -> Record {
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

pub fn said(world: &World, words: &str) -> bool {
    world.said.iter().any(|line| line.contains(words))
}

pub fn take_back(world: &mut World, kind: Kind) {
    let event_id = sighting(world, kind, 0.0).event_id;
    world.feed(Event::TakenBack(Key { kind, event_id }));
}

/// The same notice in an answer of this moment.
pub fn seen_again(world: &World, sighting: &Sighting) -> Sighting {
    Sighting { date: world.clock().timestamp(world.now), seen: world.now, ..sighting.clone() }
}

/// Good polls without that kind of notice, one a second.
pub fn polls_without(world: &mut World, kind: Kind, from: f64, until: f64) {
    let mut second = from;
    while second < until {
        second += 1.0;
        world.run(second);
        world.feed(Event::Polled(kind));
    }
}

const ACTING: [Kind; 4] = [Kind::SpotInterruption, Kind::AutoscalingTermination, Kind::Maintenance, Kind::ByHand];

/// How many seconds after it is seen a notice of that kind is over, here.
pub fn window(kind: Kind) -> f64 {
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
            assert_eq!(record.terms.window, world.settings.responses.of(wins).window, "{first}, then {second}");
            let deadline = world.guard.running().unwrap().deadline.at;
            assert!((after_start(deadline) - expected).abs() < 0.1, "{first}, then {second}: {deadline:?}");
            world.run(expected + 2.0);
            assert_eq!(asks(&world, "free").len(), 1, "{first}, then {second}");
            assert_eq!(ran(&world, Phase::PreDrain), 1, "{first}, then {second}");
            let patch = |request: &Request| matches!(request, Request::PatchNode(_)).then_some(());
            assert_eq!(world.requests(patch).len(), 1, "{first}, then {second}");
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
        take_back(&mut world, kind);
        world.run(10.0);
        assert_eq!((world.closed.len(), world.guard.state()), (1, State::Watching), "{kind}: it was answered");
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
    assert_eq!(record.notice.first_seen, world.clock().timestamp(at(due)), "its window begins then");
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
    let id = record(&world).id;
    take_back(&mut world, Kind::AutoscalingTermination);
    let since = world.clock().timestamp(world.now);
    world.run(5.0);
    let record = record(&world);
    assert_eq!((record.notice.kind, restored(&world)), (Kind::Maintenance, 0));
    assert!(world.node.cordoned);
    assert_eq!((record.id, record.notice.first_seen), (id, since), "it goes on");
    assert!(world.closed.is_empty() && record.notices_beside.is_empty());
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
    world.run(122.0);
    notice(&mut world, Kind::SpotInterruption, -2.0);
    assert!(!said(&world, "the machine still runs"), "its response is not over yet");
    world.run(130.0);
    notice(&mut world, Kind::SpotInterruption, -10.0);
    assert!(said(&world, "the machine still runs"));
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
    for (cordoned, excluded, words) in [
        (true, true, "nothing on the node is ours to undo"),
        (true, false, "node back in load balancers; its cordon is not ours"),
        (false, true, "node uncordoned"),
        (false, false, "node uncordoned, back in load balancers"),
    ] {
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
        assert!(world.said.iter().any(|line| line == words), "{words}: {:?}", world.said);
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
    assert!(world.written.last().unwrap().node.nothing_to_undo);
    assert!(!world.events().contains(&"Uncordon"));
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
    let brought_back = world.written.last().unwrap().clone();
    boots(&mut world, brought_back, 4010.0);
    let stale = Sighting { date: world.clock().timestamp(world.now), seen: world.now, ..stop };
    world.feed(Event::Noticed(stale));
    world.run(4015.0);
    assert!(world.guard.state() == State::Watching && !world.node.cordoned, "nor after a restart");
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
    assert!(said(&world, "the node is brought back: by hand"));
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
    for second in [60.0, 130.0] {
        let mut world = world();
        world.pods.remove("uid-held");
        let interruption = sighting(&world, Kind::SpotInterruption, 120.0);
        world.feed(Event::Noticed(interruption.clone()));
        world.run(second);
        world.feed(Event::Uncordon);
        world.run(second + 3.0);
        world.feed(Event::Noticed(seen_again(&world, &interruption)));
        world.run(140.0);
        assert!(!world.node.cordoned && world.guard.state() == State::Watching, "{second}");
    }
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
    let last = |world: &World| world.told.iter().rposition(|told| matches!(told, Told::StopHook(..)));
    assert!(last(&world).is_some(), "the hook of the way back");
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
    let last = world.written.last().unwrap();
    let uncordons: Vec<_> = last.phases.iter().filter(|phase| phase.name == PhaseName::Uncordon).collect();
    assert!(uncordons.len() == 1 && uncordons[0].ended_at.is_some());
    assert!(last.phases.iter().any(|phase| phase.name == PhaseName::Drain), "what came before is kept");
    assert!(last.hooks.iter().any(|hook| hook.phase == Phase::PreDrain), "what came before is kept");
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
    assert!(world.node.cordoned && !said(&world, "answers again"));
    assert_eq!(ran(&world, Phase::Uncordon), 1, "hooks wait ten seconds for the node");
    let hook = world.hook_runs().into_iter().find(|(_, name)| name.starts_with("uncordon")).unwrap();
    assert!((12.0..12.1).contains(&hook.0), "{hook:?}");
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
    assert!(record(&world).id > first);
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
    assert!(world.closed.is_empty() && first.notices_beside.is_empty(), "it is the same");
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
fn an_uncordon_by_hand_where_nothing_is_ours_runs_nothing_and_writes_nothing_down() {
    let mut world = world();
    world.node.cordoned = true;
    world.feed(Event::Uncordon);
    world.run(3.0);
    let shown = record(&world);
    assert!(shown.way_back() == WayBack::Done && shown.node.nothing_to_undo, "{shown:#?}");
    world.run(30.0);
    assert_eq!((world.guard.state(), world.node.cordoned), (State::Watching, true));
    assert!(world.written.is_empty() && world.hook_runs().is_empty());
}

#[test]
fn an_uncordon_by_hand_while_the_api_server_is_silent_waits_for_what_the_node_says() {
    let mut world = world();
    (world.node.cordoned, world.node.response) = (true, Some(r#"{"id":"x","cordoned":true}"#.into()));
    world.outages = vec![(at(0.0), at(60.0))];
    world.feed(Event::Uncordon);
    world.run(59.0);
    assert!(world.written.is_empty() && world.hook_runs().is_empty());
    world.run(63.0);
    assert!(!world.node.cordoned && ran(&world, Phase::Uncordon) == 1);
    assert!(world.written.last().is_some_and(|last| last.way_back() == WayBack::Done && !last.node.nothing_to_undo));
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

/// A daemon that finds an older record of that notice, of that boot and instance, and then sees such a one. Gives
/// whether it responds, whether it says that it did so already, and whether it says that the notice stands.
fn after_an_older(kind: Kind, boot: &str, theirs: &str, then: impl FnOnce(&World, Sighting) -> Sighting) -> [bool; 3] {
    let mut world = world();
    let first = sighting(&world, kind, 100.0);
    world.feed(Event::Instance(instance(theirs)));
    world.feed(Event::Noticed(first.clone()));
    let older = record(&world);
    world.guard = Guard::new(&world.settings);
    world.guard.remember(&older, boot, world.now);
    ready(&mut world);
    world.feed(Event::Instance(instance("i-1")));
    world.now = at(20.0);
    let then = then(&world, first);
    world.feed(Event::Noticed(then));
    let stands = world.guard.words(world.now).contains("there is a");
    [world.guard.running().is_some(), said(&world, "was responded to already"), stands]
}

#[test]
fn what_older_records_tell_of_a_notice_decides_whether_it_is_responded_to_again() {
    let (spot, rebalance) = (Kind::SpotInterruption, Kind::RebalanceRecommendation);
    let same = |world: &World, first: Sighting| seen_again(world, &first);
    let late = |world: &World, first: Sighting| {
        let date = world.clock().timestamp(at(101.0));
        Sighting { date, ..seen_again(world, &first) }
    };
    let changed = |world: &World, first: Sighting| {
        let time = Some(world.clock().timestamp(at(110.0)));
        Sighting { time, ..seen_again(world, &first) }
    };
    let another = |world: &World, first: Sighting| {
        let event_id = Some("another".to_owned());
        Sighting { event_id, ..seen_again(world, &first) }
    };
    let (responds, answered) = ([true, false, false], [false, true, true]);
    assert_eq!(after_an_older(spot, "boot", "i-1", same), answered);
    assert_eq!(after_an_older(spot, "boot", "i-1", changed), responds);
    assert_eq!(after_an_older(spot, "boot", "i-2", same), responds);
    assert_eq!(after_an_older(spot, "another boot", "i-1", same), responds);
    assert_eq!(after_an_older(spot, "another boot", "i-1", late), answered);
    assert_eq!(after_an_older(rebalance, "another boot", "i-1", changed), answered);
    assert_eq!(after_an_older(rebalance, "boot", "i-2", same), responds);
    assert_eq!(after_an_older(Kind::Maintenance, "boot", "i-1", another), responds);
}

#[test]
fn an_event_of_an_earlier_boot_that_is_scheduled_anew_stands_and_one_that_is_gone_does_not() {
    let mut world = world();
    let before = went(&mut world, InstanceAction::Reboot);
    boots(&mut world, before, 4000.0);
    notice(&mut world, Kind::Maintenance, 86_400.0);
    world.run(4003.0);
    let stands = "there is a maintenance event";
    assert!(world.guard.words(world.now).contains(stands), "the poll has shown it");
    world.feed(Event::Polled(Kind::Maintenance));
    assert!(!world.guard.words(world.now).contains(stands));
}

#[test]
fn an_event_that_is_put_off_to_its_very_lead_is_the_same() {
    let mut world = world();
    notice(&mut world, Kind::Maintenance, 500.0);
    world.run(2.0);
    notice(&mut world, Kind::Maintenance, 600.0);
    assert!(record(&world).notices_beside.is_empty());
}

#[test]
fn a_shorter_lead_ends_no_response() {
    let mut world = world();
    notice(&mut world, Kind::Maintenance, 500.0);
    world.run(2.0);
    world.change_settings(|settings| settings.responses.maintenance.window = s(100));
    world.run(4.0);
    assert_eq!((record(&world).outcome, world.closed.len()), (None, 0));
}

#[test]
fn a_machine_that_slept_has_come_back_only_from_a_hibernation_whose_time_is_over() {
    for (action, second) in [(InstanceAction::Hibernate, 50.0), (InstanceAction::Stop, 130.0)] {
        let mut world = world();
        world.interrupt_with(action, 120.0);
        world.run(second);
        world.feed(Event::Woke);
        world.feed(Event::Polled(Kind::SpotInterruption));
        world.feed(Event::Polled(Kind::SpotInterruption));
        world.run(second + 3.0);
        assert!(world.node.cordoned && restored(&world) == 0, "{action:?}");
    }
}

#[test]
fn a_second_drain_by_hand_is_a_new_one_beside_another_response_too() {
    let mut world = world();
    notice(&mut world, Kind::ByHand, 10.0);
    world.run(20.0);
    notice(&mut world, Kind::SpotInterruption, 120.0);
    notice(&mut world, Kind::ByHand, 240.0);
    assert_eq!(record(&world).notices_beside.len(), 1);
}

#[test]
fn what_comes_after_a_response_that_has_ended_is_a_response_of_its_own() {
    let (hand, spot, event) = (Kind::ByHand, Kind::SpotInterruption, Kind::Maintenance);
    for (first, second, begins) in [(hand, spot, true), (spot, hand, false), (spot, event, false)] {
        let mut world = world();
        world.pods.remove("uid-held");
        notice(&mut world, first, window(first));
        world.run(20.0);
        assert_eq!(world.guard.state(), State::Done);
        let id = record(&world).id;
        notice(&mut world, second, window(second));
        assert_eq!((record(&world).id != id, world.closed.len()), (begins, usize::from(begins)), "{first} {second}");
    }
}

#[test]
fn a_response_that_has_ended_is_not_taken_over_when_its_notice_is_taken_back() {
    let mut world = world();
    world.pods.remove("uid-held");
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    notice(&mut world, Kind::Maintenance, 400.0);
    world.run(20.0);
    let id = record(&world).id;
    take_back(&mut world, Kind::AutoscalingTermination);
    let record = record(&world);
    assert!(record.notice.kind == Kind::Maintenance && record.id != id && world.closed.len() == 1);
}

#[test]
fn a_notice_that_is_no_longer_to_be_acted_on_takes_nothing_over() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    notice(&mut world, Kind::Maintenance, 400.0);
    world.run(2.0);
    world.change_settings(|settings| settings.responses.maintenance.reaction = Reaction::Observe);
    take_back(&mut world, Kind::AutoscalingTermination);
    assert_eq!(world.closed[0].outcome, Some(ResponseOutcome::Withdrawn));
}

#[test]
fn when_the_notice_that_took_over_is_taken_back_the_former_goes_on_if_it_asked_for_as_much() {
    for (former, goes_on) in [(Kind::Maintenance, true), (Kind::RebalanceRecommendation, false)] {
        let mut world = world();
        world.hook_takes.insert("notice".into(), s(20));
        world.change_settings(|settings| settings.responses.rebalance_recommendation.reaction = Reaction::Cordon);
        notice(&mut world, former, 500.0);
        world.run(2.0);
        notice(&mut world, Kind::AutoscalingTermination, 0.0);
        world.run(4.0);
        take_back(&mut world, Kind::AutoscalingTermination);
        world.run(6.0);
        let running = world.guard.running().map(|running| running.notice.kind);
        assert_eq!(running, goes_on.then_some(former));
    }
}

#[test]
fn of_two_notices_with_the_same_deadline_the_first_stays() {
    let mut world = world();
    notice(&mut world, Kind::SpotInterruption, 120.0);
    notice(&mut world, Kind::ByHand, 120.0);
    assert_eq!(record(&world).notice.kind, Kind::SpotInterruption);
}

#[test]
fn no_revision_and_no_number_of_a_hook_is_given_out_twice_by_responses_and_their_ways_back() {
    let mut world = world();
    for round in 0..3 {
        let second = 20.0 * f64::from(round);
        notice(&mut world, Kind::AutoscalingTermination, 0.0);
        world.run(second + 8.0);
        take_back(&mut world, Kind::AutoscalingTermination);
        world.run(second + if round == 0 { 8.05 } else { 20.0 });
    }
    world.revisions.sort_unstable();
    assert!(world.revisions.is_sorted_by(|one, next| one < next), "{:?}", world.revisions);
    let numbers = world.told.iter().filter_map(|told| match told {
        Told::Hook(_, order) => Some(order.number),
        _ => None,
    });
    let numbers: Vec<u64> = numbers.collect();
    assert!(numbers.len() > 8 && numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

#[test]
fn a_daemon_that_was_told_to_end_ends_when_the_notice_that_held_it_is_taken_back() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.feed(Event::Terminate { machine_stops: true });
    assert_eq!(world.exited, None);
    take_back(&mut world, Kind::AutoscalingTermination);
    assert_eq!(world.exited, Some(world.now));
    assert!(!said(&world, "brought back"), "the next daemon does that");
}

#[test]
fn with_two_and_a_half_minutes_left_a_daemon_that_is_told_to_end_does() {
    for (left, ends) in [(150.0, true), (149.9, false)] {
        let mut world = world();
        notice(&mut world, Kind::ByHand, left);
        world.feed(Event::Terminate { machine_stops: false });
        assert_eq!(world.exited.is_some(), ends, "{left}");
    }
}

#[test]
fn hooks_of_a_response_whose_notice_is_taken_back_are_stopped() {
    let mut world = world();
    world.hook_takes.insert("pre-drain".into(), s(60));
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    assert!(world.told.iter().any(|told| matches!(told, Told::StopHook(..))));
}

#[test]
fn the_ends_of_hooks_that_are_stopped_as_the_notice_is_taken_back_are_in_the_record() {
    let mut world = world();
    world.hook_takes.insert("pre-drain".into(), s(60));
    world.hook(Phase::During, "beat", s(1000));
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.feed(Event::HookStarted { number: 2, started: Started { pid: 4711, start_time: 99 } });
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(10.0);
    assert!(!world.node.cordoned && world.closed.len() == 1);
    for record in [&world.closed[0], world.written.last().unwrap()] {
        let hooks: Vec<_> = record.hooks.iter().filter(|hook| hook.phase != Phase::Uncordon).collect();
        assert_eq!(hooks.len(), 3, "{hooks:?}");
        assert!(hooks.iter().all(|hook| hook.seconds.is_some() && hook.process.is_none()), "{hooks:?}");
        let stopped = hooks.iter().filter(|hook| hook.stopped && !hook.timed_out).count();
        assert_eq!(stopped, 2, "{hooks:?}");
    }
}

#[test]
fn what_comes_while_hooks_of_a_response_that_was_taken_back_still_end_is_responded_to_at_once() {
    for by_hand in [false, true] {
        let mut world = world();
        world.hook(Phase::During, "beat", s(1000));
        let first = if by_hand { Kind::ByHand } else { Kind::AutoscalingTermination };
        notice(&mut world, first, 200.0);
        world.run(2.0);
        let id = record(&world).id;
        if by_hand {
            world.feed(Event::Uncordon)
        } else {
            take_back(&mut world, first)
        }
        assert_eq!(world.closed, [], "a hook has still to end");
        world.run(2.005);
        notice(&mut world, first, 300.0);
        world.run(4.0);
        let record = record(&world);
        assert!(record.id != id && record.outcome.is_none() && world.node.cordoned, "{record:?}");
        assert_eq!(world.closed[0].outcome, Some(ResponseOutcome::Withdrawn));
    }
}

#[test]
fn a_node_that_is_wanted_back_by_hand_is_drained_for_another_notice_that_stands() {
    let mut world = world();
    notice(&mut world, Kind::ByHand, 60.0);
    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(2.0);
    world.feed(Event::Uncordon);
    world.run(10.0);
    let record = record(&world);
    assert!(record.notice.kind == Kind::SpotInterruption && record.outcome.is_none(), "{record:?}");
}

#[test]
fn pods_that_a_response_has_not_stopped_when_its_notice_is_taken_back_are_neither_left_nor_pending() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(10.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(20.0);
    let outcomes: Vec<_> = world.closed[0].pods.iter().map(|pod| (pod.name.as_str(), pod.outcome)).collect();
    assert_eq!(outcomes, [("free", Some(Outcome::Graceful)), ("held", None)]);
    let mut counted = Counted::default();
    counted.count(&world.closed[0]);
    let pods = [("pending", 0), ("graceful", 1), ("killed", 0), ("left", 0)];
    assert_eq!(counted.latest.unwrap().pods, Some(pods.to_vec()));
}

#[test]
fn what_is_over_is_told_on_the_node_where_that_is_wanted() {
    for (events, conditions) in [(true, true), (true, false), (false, true)] {
        let mut world = world();
        world.change_settings(|settings| {
            (settings.kubernetes.events, settings.kubernetes.conditions) = (events, conditions);
        });
        notice(&mut world, Kind::AutoscalingTermination, 0.0);
        world.run(2.0);
        take_back(&mut world, Kind::AutoscalingTermination);
        world.run(5.0);
        let over = world.requests(|request| match request {
            Request::ClearCondition(told) => Some((told.reason, told.message.clone())),
            _ => None,
        });
        let over: Vec<_> = over.into_iter().map(|(_, told)| told).collect();
        let expected = ("NoticeOver", "the autoscaling termination is over".to_owned());
        assert_eq!(over, if conditions { vec![expected] } else { Vec::new() });
        assert_eq!(world.events().contains(&"Uncordon"), events);
    }
}

#[test]
fn without_a_cluster_the_way_back_is_its_hooks() {
    let mut world = World::new();
    world.hook(Phase::Uncordon, "uncordon", ms(200));
    world.feed(Event::Standing(Standing::None("no kubeconfig".into())));
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(5.0);
    assert_eq!((world.requests(|_| Some(())).len(), ran(&world, Phase::Uncordon)), (0, 1));
}

#[test]
fn the_way_back_waits_for_the_disk_but_not_long() {
    for (disk_works, begins, over) in [(true, 0.0045..0.1, 0.5), (false, 0.2..0.21, 2.5)] {
        let mut world = world();
        notice(&mut world, Kind::AutoscalingTermination, 0.0);
        world.run(2.0);
        world.disk_works = disk_works;
        take_back(&mut world, Kind::AutoscalingTermination);
        world.run(2.0 + over);
        assert_eq!(world.guard.state(), State::Watching, "disk works: {disk_works}");
        let back = world.requests(|request| matches!(request, Request::RestoreNode(_)).then_some(()))[0].0 + 0.004;
        let hook = world.hook_runs().into_iter().find(|(_, name)| name.starts_with("uncordon")).unwrap();
        assert!(begins.contains(&(hook.0 - back)), "{hook:?}, node back at {back}");
    }
}

#[test]
fn of_the_hooks_of_a_way_back_that_a_restart_cut_only_those_run_again_that_had_not_ended() {
    let mut world = world();
    for (name, takes) in [("10-a", s(1)), ("20-b", s(20))] {
        world.hook(Phase::Uncordon, name, takes);
    }
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(8.0);
    world.restart();
    world.run(10.0);
    let runs = |name: &str| world.hook_runs().iter().filter(|(_, run)| run.ends_with(name)).count();
    assert_eq!((runs("10-a"), runs("20-b")), (1, 2));
}

#[test]
fn a_kubelet_that_a_local_drain_has_frozen_goes_on_when_the_node_is_brought_back() {
    for active in [true, false] {
        let mut world = World::new();
        world.hook(Phase::LocalDrain, "freeze", s(2));
        ready(&mut world);
        world.outages = vec![(at(0.0), at(if active { 1000.0 } else { 0.0 }))];
        notice(&mut world, Kind::AutoscalingTermination, 0.0);
        world.run(5.0);
        assert_eq!(record(&world).local_drain.active, active);
        world.outages.clear();
        take_back(&mut world, Kind::AutoscalingTermination);
        world.run(6.0);
        let at_work = world.guard.record().is_some_and(|record| record.local_drain.active);
        assert_eq!(at_work, active, "its hook is at work");
        world.run(30.0);
        let ends: Vec<(f64, String)> =
            world.hook_runs().into_iter().filter(|(_, name)| name == "local-drain/freeze end").collect();
        assert_eq!(ends.len(), usize::from(active));
        assert!(ends.iter().all(|(moment, _)| (5.0..5.008).contains(moment)), "at once: {ends:?}");
        assert!(!world.written.last().unwrap().local_drain.active);
    }
}

#[test]
fn a_way_back_that_was_given_up_after_ten_minutes_is_tried_again() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.outages = vec![(at(2.0), at(700.0))];
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(604.0);
    assert!(said(&world, "the node could not be brought back"));
    world.run(720.0);
    assert!(!world.node.cordoned);
}

#[test]
fn a_node_is_brought_back_at_once_where_its_cluster_is_found_to_be_back() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    world.outages = vec![(at(2.0), at(20.3))];
    world.feed(Event::Standing(Standing::Unready("no answer".into())));
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(20.4);
    ready(&mut world);
    world.run(20.8);
    assert!(!world.node.cordoned);
}

#[test]
fn a_response_that_was_withdrawn_is_not_taken_up_and_its_node_is_brought_back() {
    let mut world = world();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(2.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    let withdrawn = world.closed[0].clone();
    world.guard = Guard::new(&world.settings);
    world.guard.take_up(withdrawn, "boot", world.now);
    assert!(world.guard.running().is_none());
    ready(&mut world);
    world.run(5.0);
    assert!(!world.node.cordoned);
}

#[test]
fn a_record_of_this_instance_or_of_an_unknown_one_is_ours() {
    for theirs in [Some("i-1"), None] {
        let mut world = world();
        if let Some(id) = theirs {
            world.feed(Event::Instance(instance(id)));
        }
        let before = went(&mut world, InstanceAction::Stop);
        boots(&mut world, before, 4000.0);
        world.feed(Event::Instance(instance("i-1")));
        world.feed(Event::Polled(Kind::SpotInterruption));
        world.run(4010.0);
        assert_eq!(restored(&world), 1, "{theirs:?}");
    }
}

#[test]
fn what_an_older_response_did_stands_after_a_restart_though_the_newest_did_nothing_to_the_node() {
    let mut world = world();
    world.pods.remove("uid-held");
    notice(&mut world, Kind::ByHand, 60.0);
    world.run(70.0);
    notice(&mut world, Kind::RebalanceRecommendation, 0.0);
    world.run(80.0);
    let [older, newest] = <[Record; 2]>::try_from(world.closed.clone()).unwrap();
    world.guard = Guard::new(&world.settings);
    world.guard.remember(&older, "boot", world.now);
    world.guard.take_up(newest, "boot", world.now);
    ready(&mut world);
    world.run(85.0);
    assert!(world.node.cordoned, "a drain by hand stays until it is undone by hand");
    world.feed(Event::Uncordon);
    world.run(90.0);
    assert!(!world.node.cordoned);
}

/// Lets the daemon die and start again with all that it had written.
pub fn restart_with_all(world: &mut World) {
    let as_written =
        |closed: &Record| world.written.iter().rfind(|record| record.id == closed.id).unwrap_or(closed).clone();
    let mut records: Vec<Record> = world.closed.iter().map(as_written).collect();
    let newest = world.guard.record().or_else(|| records.pop()).unwrap();
    world.guard = Guard::new(&world.settings);
    records.retain(|record| record.id != newest.id);
    for older in records {
        world.guard.remember(&older, "boot", world.now);
    }
    world.guard.take_up(newest, "boot", world.now);
    ready(world);
}

#[test]
fn a_drain_by_hand_stands_though_a_later_notice_is_taken_back_after_a_restart() {
    let mut world = world();
    world.pods.remove("uid-held");
    notice(&mut world, Kind::ByHand, 60.0);
    world.run(70.0);
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(140.0);
    restart_with_all(&mut world);
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(145.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(150.0);
    assert!(world.node.cordoned, "a drain by hand stays until it is undone by hand");
    restart_with_all(&mut world);
    world.run(155.0);
    assert!(world.node.cordoned, "and is not forgotten with the next restart");
    world.feed(Event::Uncordon);
    world.run(160.0);
    assert!(!world.node.cordoned);
}

#[test]
fn a_drain_by_hand_that_another_notice_took_over_goes_on_when_that_is_taken_back_after_a_restart() {
    let mut world = world();
    notice(&mut world, Kind::ByHand, 600.0);
    world.run(2.0);
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(4.0);
    assert_eq!(world.guard.running().unwrap().notice.kind, Kind::AutoscalingTermination);
    restart_with_all(&mut world);
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(6.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(8.0);
    let running = world.guard.running().expect("the drain by hand goes on");
    assert_eq!((running.notice.kind, running.deadline.at), (Kind::ByHand, at(600.0)));
    assert!(world.node.cordoned);
}

#[test]
fn what_was_only_observed_beside_a_response_holds_no_node_after_a_restart() {
    let mut world = world();
    world.pods.remove("uid-held");
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    notice(&mut world, Kind::RebalanceRecommendation, 0.0);
    world.run(310.0);
    restart_with_all(&mut world);
    notice(&mut world, Kind::RebalanceRecommendation, 0.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(315.0);
    assert!(!world.node.cordoned);
}

#[test]
fn what_was_undone_with_the_newest_response_holds_nobody_after_a_restart() {
    let mut world = world();
    world.pods.remove("uid-held");
    notice(&mut world, Kind::ByHand, 60.0);
    world.run(70.0);
    notice(&mut world, Kind::SpotInterruption, 120.0);
    world.run(200.0);
    world.feed(Event::Uncordon);
    world.run(205.0);
    let (older, newest) = (world.closed[0].clone(), world.written.last().unwrap().clone());
    assert!(!world.node.cordoned && newest.notice.kind == Kind::SpotInterruption);
    world.guard = Guard::new(&world.settings);
    world.guard.remember(&older, "boot", world.now);
    world.guard.take_up(newest, "boot", world.now);
    ready(&mut world);
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(210.0);
    assert!(world.node.cordoned);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(215.0);
    assert!(!world.node.cordoned);
}
