//! Pods that are stopped on the machine itself, in the made-up world: which, when, and what ends it.

use super::world::{World, after_start, at, ms, s};
use crate::config::Settings;
use crate::hooks::Phase;
use crate::notice::{InstanceAction, Kind, Sighting};
use crate::objects::{Answer, Standing};
use crate::response::{Answered, Event, Request};

/// A world whose hook of local-drain stays beside the stopped containers.
fn world(change: impl FnOnce(&mut Settings)) -> World {
    let mut world = World::with_settings(change);
    world.hook(Phase::LocalDrain, "50-containers", s(200));
    world.round_trip = ms(20);
    world
}

/// A pod that no request makes stop.
fn held(world: &mut World, name: &str, grace: u64) {
    let pod = world.pod(name, grace, 2);
    (pod.budget_opens, pod.undeletable_until) = (Some(at(1000.0)), at(1000.0));
}

fn names(world: &World) -> Vec<String> {
    world.waves().into_iter().flat_map(|(_, names)| names).collect()
}

#[test]
fn without_hooks_for_it_nothing_is_said_to_be_stopped_on_the_machine() {
    let mut world = World::new();
    held(&mut world, "a", 30);
    world.interrupt(120);
    world.run(124.0);
    assert!(!world.said.iter().any(|line| line.contains("on this machine")), "{:?}", world.said);
}

#[test]
fn an_ask_that_the_kubelet_may_not_have_heard_of_does_not_count_in_a_silence() {
    // The ask is accepted after 60 ms, and 0.3 s later something is answered, or not.
    for (silent_from, stopped) in [(0.07, true), (1.0, false)] {
        let mut world = world(|_| ());
        world.pod("a", 60, 59);
        world.outages = vec![(at(silent_from), at(1000.0))];
        world.interrupt(120);
        world.run(100.0);
        let waves = world.waves();
        assert_eq!(waves.len(), usize::from(stopped), "{waves:?}");
        assert!(waves.iter().all(|(moment, _)| (56.8..56.9).contains(moment)), "{waves:?}");
    }
}

#[test]
fn one_answer_is_asked_for_after_the_last_accepted_ask_and_again_where_it_comes_to_nothing() {
    let is_probe = |request: &Request| matches!(request, Request::ReadNode);
    for fails in [false, true] {
        let mut world = world(|_| ());
        world.round_trip = ms(250);
        world.pod("a", 60, 30);
        world.interrupt(120);
        // Read, patched and asked after 0.75 s.
        world.run(1.1);
        let number = world.requests(|request| Some(is_probe(request))).iter().rposition(|(_, found)| *found).unwrap();
        if fails {
            let answered = Answered::Other(Answer::Nothing("reset".into()));
            world.feed(Event::Answered { number: number as u64 + 1, uid: None, answered });
        }
        world.run(20.0);
        let probes = world.requests(|request| is_probe(request).then_some(()));
        let probes: Vec<f64> = probes.into_iter().map(|(moment, ())| moment).skip(1).collect();
        assert_eq!(probes, if fails { vec![1.05, 1.25] } else { vec![1.05] });
    }
}

#[test]
fn beside_a_frozen_kubelet_pods_that_were_asked_are_stopped_too_and_each_once() {
    let mut world = world(|_| ());
    held(&mut world, "held", 60);
    let late = world.pod("late", 30, 29);
    late.appears = at(84.0);
    world.pod("gone", 30, 2).appears = at(84.0);
    world.interrupt(120);
    world.run(119.0);
    assert_eq!(names(&world), ["held", "late"]);
    let waves = world.waves();
    assert!((58.8..58.9).contains(&waves[0].0) && (86.8..86.9).contains(&waves[1].0), "{waves:?}");
    let why: Vec<&String> = world.said.iter().filter(|line| line.contains("on this machine")).collect();
    let accepted =
        "the API server has let them go, but the kubelet may be frozen: 1 pods are stopped on this machine itself";
    assert_eq!(why, ["the API server does not let them go: 1 pods are stopped on this machine itself", accepted]);
}

#[test]
fn pods_that_were_let_go_a_moment_ago_are_left_to_the_kubelet_for_a_second() {
    // One is stopped on the machine in a silence; the other is asked 0.2 s before that would be its turn.
    let mut world = world(|_| ());
    world.pod("first", 40, 2).budget_opens = Some(at(80.0));
    world.pod("second", 30, 2).budget_opens = Some(at(80.0));
    world.outages = vec![(at(70.7), at(86.0))];
    world.interrupt(120);
    world.run(70.7);
    world.feed(Event::WatchEnded { number: 2, answer: None });
    world.run(110.0);
    let asked = after_start(world.pods["uid-second"].asks[0].0);
    assert!((86.55..86.8).contains(&asked), "{asked}");
    assert_eq!(names(&world), ["first"]);
    let end = world.hook_runs().into_iter().find(|(_, name)| name.ends_with("end")).unwrap();
    assert!(end.0 < 87.5, "{end:?}");
}

#[test]
fn waves_follow_each_other_no_faster_than_every_quarter_of_a_second() {
    let mut world = world(|_| ());
    for (name, appears) in [("a", 100.0), ("b", 100.1), ("c", 100.2)] {
        held(&mut world, name, 30);
        world.pods.get_mut(&format!("uid-{name}")).unwrap().appears = at(appears);
    }
    world.interrupt(120);
    world.run(119.0);
    let waves = world.waves();
    assert_eq!(names(&world), ["a", "b", "c"]);
    assert!(waves.len() == 2 && (waves[1].0 - waves[0].0 - 0.25).abs() < 0.01, "{waves:?}");
    assert!((101.0..101.1).contains(&waves[0].0), "a second after it was first asked: {waves:?}");
}

#[test]
fn where_nothing_is_waited_for_a_pod_that_is_not_let_go_is_stopped_on_the_machine_after_a_second() {
    let mut world = world(|_| ());
    held(&mut world, "a", 30);
    world.interrupt_with(InstanceAction::Terminate, 0.0);
    world.run(20.0);
    let waves = world.waves();
    assert!(waves.len() == 1 && (1.0..1.2).contains(&waves[0].0), "{waves:?}");
}

/// Ten minutes before a maintenance event, its budget holding the pod; after five of them two minutes are left no more.
fn taken_over_while_held(undeletable_until: f64) -> World {
    let mut world = world(|_| ());
    let pod = world.pod("a", 60, 2);
    (pod.budget_opens, pod.undeletable_until) = (Some(at(1000.0)), at(undeletable_until));
    let clock = world.clock();
    world.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
    world.feed(Event::Noticed(Sighting {
        kind: Kind::Maintenance,
        action: InstanceAction::Reboot,
        event_id: Some("instance-event-1".into()),
        time: Some(clock.timestamp(at(600.0))),
        date: clock.timestamp(at(0.0)),
        seen: at(0.0),
        doubt: None,
    }));
    world.run(300.0);
    world.notice(InstanceAction::Terminate, 44.0);
    world
}

#[test]
fn a_pod_whose_last_moment_passes_as_another_notice_takes_over_is_asked_before_it_is_stopped_on_the_machine() {
    let mut world = taken_over_while_held(0.0);
    world.run(340.0);
    assert_eq!(world.waves(), []);
    let pod = &world.pods["uid-a"];
    assert!(pod.gone && pod.asks.len() == 1, "{pod:?}");
}

#[test]
fn a_pod_that_is_not_let_go_after_another_notice_took_over_is_stopped_on_the_machine_a_second_after_its_deletion() {
    let mut world = taken_over_while_held(1000.0);
    world.run(340.0);
    let deleted = world.requests(|request| matches!(request, Request::Delete { .. }).then_some(()))[0].0;
    let waves = world.waves();
    assert!((300.0..300.1).contains(&deleted), "{deleted}");
    assert!(waves.len() == 1 && (waves[0].0 - deleted - 1.0).abs() < 0.01, "{deleted} {waves:?}");
}

#[test]
fn a_pod_whose_last_moment_passes_as_its_notice_changes_is_asked_before_it_is_stopped_on_the_machine() {
    let mut world = world(|_| ());
    world.pod("a", 60, 2).budget_opens = Some(at(1000.0));
    world.interrupt(120);
    world.run(20.0);
    world.notice(InstanceAction::Terminate, 44.0);
    world.run(60.0);
    assert_eq!(world.waves(), []);
    assert!(world.pods["uid-a"].gone);
}

#[test]
fn local_after_stops_all_pods_in_a_silence_before_their_own_last_moments() {
    for (local_after, expected) in [(None, 86.8), (Some(s(40)), 40.0)] {
        let mut world = world(|settings| {
            settings.drain.local_after = local_after;
            settings.drain.delay = s(110);
        });
        world.pod("a", 30, 2);
        world.outages = vec![(at(5.0), at(1000.0))];
        world.interrupt(120);
        world.run(5.0);
        // Something must be asked for a silence to be noticed.
        world.feed(Event::WatchEnded { number: 2, answer: None });
        world.run(100.0);
        let waves = world.waves();
        assert!(waves.len() == 1 && (expected..expected + 0.1).contains(&waves[0].0), "{waves:?}");
    }
}

#[test]
fn the_kubelet_goes_on_at_once_where_nothing_that_is_not_asked_can_have_been_stopped() {
    let mut world = world(|settings| settings.drain.delay = s(110));
    world.pod("a", 30, 2);
    world.outages = vec![(at(0.0), at(20.0))];
    world.interrupt(120);
    world.run(40.0);
    let end = world.hook_runs().into_iter().find(|(_, name)| name.ends_with("end")).unwrap();
    assert!((20.0..21.5).contains(&end.0), "{end:?}");
}

#[test]
fn after_a_restart_a_wave_runs_again_for_the_pods_that_are_left() {
    let mut world = world(|_| ());
    held(&mut world, "held", 60);
    held(&mut world, "other", 40);
    let goes = world.pod("goes", 60, 2);
    (goes.budget_opens, goes.undeletable_until) = (Some(at(1000.0)), at(59.5));
    world.interrupt(120);
    world.run(70.0);
    assert!(world.pods["uid-goes"].gone);
    world.told.clear();
    world.restart();
    world.run(71.0);
    assert_eq!(names(&world), ["held"]);
}

#[test]
fn after_a_restart_without_any_wave_none_runs() {
    let mut world = world(|_| ());
    world.pod("a", 60, 50);
    world.interrupt(120);
    world.run(10.0);
    world.restart();
    world.run(70.0);
    assert!(world.hook_runs().is_empty(), "{:?}", world.hook_runs());
}
