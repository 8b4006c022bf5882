//! Pods in the made-up world: what the watch tells of them, marks, repeated asks, what reaches the record.

use std::collections::BTreeSet;

use super::world::{World, at, ms, s};
use crate::hooks::Phase;
use crate::objects::{Answer, Pod};
use crate::record::Outcome;
use crate::response::{Action, Answered, Event, PodNews, Request};

/// The watch is the second request, after the node was asked for.
const WATCH: u64 = 2;

fn seen(world: &mut World, name: &str, change: impl FnOnce(&mut Pod)) {
    let mut pod = world.pods[&format!("uid-{name}")].pod.clone();
    change(&mut pod);
    world.feed(Event::Pods { number: WATCH, news: PodNews::Seen(pod) });
}

fn times(world: &World, of: impl Fn(&Request) -> bool) -> Vec<f64> {
    world.requests(|request| of(request).then_some(())).into_iter().map(|(moment, ())| moment).collect()
}

#[test]
fn a_pod_that_somebody_else_asks_in_the_middle_is_not_forced() {
    let mut world = World::new();
    world.pod("db", 30, 5).budget_opens = Some(at(1000.0));
    world.interrupt(120);
    world.run(5.0);
    seen(&mut world, "db", |pod| pod.stopping = true);
    seen(&mut world, "db", |pod| pod.stopping = false);
    world.run(119.0);
    assert!(times(&world, |request| matches!(request, Request::Delete { .. })).is_empty());
}

#[test]
fn a_pod_whose_container_was_cut_at_any_time_counts_as_killed() {
    let told: [fn(&mut World); 4] = [
        |_| (),
        |world| seen(world, "a", |pod| pod.cut = true),
        |world| {
            let mut pod = world.pods["uid-a"].pod.clone();
            pod.cut = true;
            world.feed(Event::Pods { number: WATCH, news: PodNews::Gone(pod) });
        },
        |world| world.feed(Event::Pods { number: WATCH, news: PodNews::Gone(world.pods["uid-a"].pod.clone()) }),
    ];
    for (first_cut, told, outcome) in [
        (false, told[0], Outcome::Graceful),
        (false, told[1], Outcome::Killed),
        (false, told[2], Outcome::Killed),
        (true, told[3], Outcome::Killed),
    ] {
        let mut world = World::new();
        world.pod("a", 30, 5).pod.cut = first_cut;
        world.interrupt(120);
        world.run(1.0);
        told(&mut world);
        world.run(20.0);
        assert_eq!(world.guard.record().unwrap().pods[0].outcome, Some(outcome));
    }
}

#[test]
fn volumes_that_a_pod_is_seen_with_later_are_waited_for_too_and_without_any_the_node_is_not_watched() {
    for (claims, watches) in [(vec![], 0), (vec!["web/data".to_owned()], 1)] {
        let mut world = World::new();
        world.pod("a", 30, 5);
        world.node.volumes = vec!["vol-data".into()];
        world.interrupt(120);
        world.run(1.0);
        seen(&mut world, "a", |pod| pod.claims.clone_from(&claims));
        seen(&mut world, "a", |_| ());
        world.run(20.0);
        let watched = times(&world, |request| matches!(request, Request::WatchNode));
        assert!(watched.len() == watches && watched.iter().all(|moment| *moment >= 5.0), "{watched:?}");
        let pod = &world.guard.record().unwrap().pods[0];
        assert_eq!(pod.has_claims, watches > 0);
    }
}

#[test]
fn what_becomes_of_a_pod_after_the_deadline_is_not_its_fate_and_nothing_is_asked_any_more() {
    let mut world = World::new();
    let pod = world.pod("a", 30, 2);
    (pod.budget_opens, pod.undeletable_until) = (Some(at(1000.0)), at(1000.0));
    world.interrupt(120);
    world.run(123.0);
    let gone = world.pods["uid-a"].pod.clone();
    world.feed(Event::Pods { number: WATCH, news: PodNews::Gone(gone) });
    let pods = world.guard.record().unwrap().pods;
    assert!(pods.iter().all(|pod| pod.outcome == Some(Outcome::Left)), "{pods:?}");
    let asks = times(&world, |request| matches!(request, Request::Evict { .. } | Request::Delete { .. }));
    assert!(asks.last().unwrap() < &120.0, "{asks:?}");
}

#[test]
fn a_delete_waits_for_the_marks_answer_and_half_a_second_at_most() {
    for (round_trip, waits) in [(100, 0.1), (800, 0.5)] {
        let mut world = World::with_settings(|settings| settings.drain.respect_budgets = false);
        world.round_trip = ms(round_trip);
        world.pod("db", 30, 2).budget_opens = Some(at(1000.0));
        world.interrupt(120);
        world.run(10.0);
        let marked = times(&world, |request| matches!(request, Request::MarkDisrupted(_)));
        let deleted = times(&world, |request| matches!(request, Request::Delete { .. }));
        assert!(((deleted[0] - marked[0]) - waits).abs() < 0.002, "{marked:?} {deleted:?}");
    }
}

#[test]
fn pods_that_are_refused_together_are_not_asked_together_again() {
    let mut world = World::new();
    for index in 0..10 {
        world.pod(&format!("db-{index}"), 30, 2).budget_opens = Some(at(1000.0));
    }
    world.interrupt(120);
    world.run(2.0);
    let again: Vec<f64> = times(&world, |request| matches!(request, Request::Evict { .. })).split_off(10);
    let different: BTreeSet<u64> = again.iter().map(|moment| (moment * 1000.0) as u64).collect();
    assert!(different.len() >= 8, "{again:?}");
}

#[test]
fn an_ask_that_came_to_nothing_is_repeated_after_200_ms() {
    let mut world = World::new();
    world.pod("a", 30, 2);
    world.outages = vec![(at(0.009), at(1000.0))];
    world.interrupt(120);
    world.run(0.05);
    let is_ask = |request: &Request| matches!(request, Request::Evict { .. });
    let answered = Answered::Other(Answer::Nothing("reset".into()));
    let number = world.number_of(is_ask);
    world.feed(Event::Answered { number, uid: Some("uid-a".into()), answered });
    world.run(0.9);
    assert_eq!(times(&world, is_ask).get(1), Some(&0.250));
}

#[test]
fn credentials_that_may_not_list_pods_are_told_once_and_pods_are_stopped_on_the_machine_after_a_second() {
    let mut world = World::new();
    world.pods_are_refused = true;
    world.hook(Phase::LocalDrain, "50-containers", s(200));
    world.interrupt(120);
    world.run(4.5);
    let watches = times(&world, |request| matches!(request, Request::WatchPods));
    assert!(watches.windows(2).all(|pair| (1.0..1.1).contains(&(pair[1] - pair[0]))), "{watches:?}");
    assert_eq!(watches.len(), 5);
    let errors = world.guard.record().unwrap().errors;
    assert_eq!(errors, ["cannot watch the node's pods: the API server answered 403: answered 403"]);
    let runs = world.hook_runs();
    assert!(runs.len() == 1 && (1.0..1.1).contains(&runs[0].0), "{runs:?}");
}

#[test]
fn while_pods_are_still_being_listed_none_is_stopped_on_the_machine() {
    let mut world = World::new();
    world.round_trip = s(2);
    world.hook(Phase::LocalDrain, "50-containers", s(200));
    world.pod("a", 30, 2);
    world.interrupt(120);
    world.run(0.5);
    // It takes its time over the list, and is not silent.
    world.feed(Event::Answered { number: 1, uid: None, answered: Answered::Node(world.node.clone()) });
    world.run(10.0);
    assert!(world.hook_runs().is_empty(), "{:?}", world.hook_runs());
}

#[test]
fn a_pod_that_the_api_server_does_not_let_go_is_stopped_on_the_machine_a_second_after_its_last_moment() {
    let mut world = World::new();
    world.hook(Phase::LocalDrain, "50-containers", s(200));
    let pod = world.pod("a", 60, 2);
    (pod.budget_opens, pod.undeletable_until) = (Some(at(1000.0)), at(1000.0));
    // One that was let go is left to the kubelet.
    world.pod("b", 60, 59);
    world.interrupt(120);
    world.run(100.0);
    let waves = world.waves();
    assert!(waves.len() == 1 && (58.8..58.9).contains(&waves[0].0) && waves[0].1 == ["a"], "{waves:?}");
}

/// What the machine does with news of that pod, so many seconds after the start: the revisions that it gives out.
fn revisions(world: &mut World, name: &str, seconds: f64) -> Vec<u64> {
    let pod = world.pods[&format!("uid-{name}")].pod.clone();
    let event = Event::Pods { number: WATCH, news: PodNews::Seen(pod) };
    let actions = world.guard.on(event, at(seconds), &|| unreachable!("a response runs"));
    let revisions = actions.into_iter().filter_map(|action| match action {
        Action::Record { revision } => Some(revision),
        _ => None,
    });
    revisions.collect()
}

#[test]
fn what_nothing_waits_for_reaches_the_record_every_half_second() {
    let mut world = World::new();
    world.pod("a", 100, 90);
    world.interrupt(120);
    world.run(20.0);
    let first = revisions(&mut world, "a", 20.0);
    assert_eq!(first.len(), 1);
    assert!(revisions(&mut world, "a", 20.1).is_empty());
    assert_eq!(world.guard.next_wake(), Some(at(20.5)));
    assert_eq!(revisions(&mut world, "a", 20.5), [first[0] + 1]);
    let quiet = world.guard.on(Event::Tick, at(21.5), &|| unreachable!("a response runs"));
    assert_eq!(quiet, [], "nothing has changed since");
}

#[test]
fn what_a_forgotten_watch_says_of_a_pod_holds_and_of_new_pods_it_tells_nothing() {
    let mut world = World::new();
    world.pod("db", 30, 5).budget_opens = Some(at(1000.0));
    world.pod("a", 30, 20);
    world.interrupt(120);
    world.run(5.0);
    let of_another = |world: &World, name: &str, change: fn(&mut Pod)| {
        let mut pod = world.pods[&format!("uid-{name}")].pod.clone();
        change(&mut pod);
        Event::Pods { number: WATCH - 1, news: PodNews::Seen(pod) }
    };
    for (name, change) in [("db", (|pod| pod.stopping = true) as fn(&mut Pod)), ("a", |pod| pod.cut = true)] {
        let event = of_another(&world, name, change);
        world.feed(event);
        let event = of_another(&world, name, |_| ());
        world.feed(event);
    }
    let event = of_another(&world, "a", |pod| pod.id.uid = "new".into());
    world.feed(event);
    world.run(119.0);
    assert!(times(&world, |request| matches!(request, Request::Delete { .. })).is_empty());
    let pods = world.guard.record().unwrap().pods;
    assert_eq!(pods.iter().map(|pod| pod.outcome).collect::<Vec<_>>(), [Some(Outcome::Killed), None]);
}

#[test]
fn a_watch_that_was_closed_is_replaced_at_once_and_says_nothing_more() {
    let mut world = World::new();
    world.pod("a", 30, 20);
    world.interrupt(120);
    world.run(5.0);
    let watches = |world: &World| times(world, |request| matches!(request, Request::WatchPods)).len();
    world.feed(Event::WatchEnded { number: 1, answer: None });
    assert_eq!(watches(&world), 1, "another one");
    world.feed(Event::WatchEnded { number: WATCH, answer: None });
    assert_eq!(watches(&world), 2);
    seen(&mut world, "a", |pod| pod.id.uid = "new".into());
    assert_eq!(world.guard.record().unwrap().pods.len(), 1);
}

#[test]
fn a_watch_that_says_nothing_for_half_a_minute_is_replaced() {
    let mut world = World::new();
    world.pod("a", 100, 90);
    world.interrupt(120);
    world.run(40.0);
    let watches = times(&world, |request| matches!(request, Request::WatchPods));
    assert!(watches.len() == 2 && (30.0..30.1).contains(&watches[1]), "{watches:?}");
}

#[test]
fn the_watch_ends_with_the_response() {
    let mut world = World::new();
    world.interrupt(120);
    world.run(124.0);
    let actions = world.guard.on(Event::Tick, at(125.0), &|| unreachable!("a response runs"));
    assert!(matches!(actions[..], [Action::EndWatch { .. }, Action::WriteClosed { .. }]), "{actions:?}");
}

#[test]
fn news_of_an_earlier_watch_end_it() {
    let mut world = World::new();
    world.pod("a", 30, 20);
    world.interrupt(120);
    world.run(5.0);
    let event = Event::Pods { number: WATCH - 1, news: PodNews::Synced };
    let actions = world.guard.on(event, at(5.0), &|| unreachable!("a response runs"));
    assert!(actions.contains(&Action::EndWatch { number: WATCH - 1 }), "{actions:?}");
    assert_eq!(world.guard.record().unwrap().pods[0].gone_at, None);
}

#[test]
fn of_several_watches_the_latest_to_say_something_is_the_one() {
    let mut world = World::new();
    world.pod("a", 30, 20);
    world.interrupt(120);
    world.run(5.0);
    let seen = world.pods["uid-a"].pod.clone();
    let event = Event::Pods { number: 99, news: PodNews::Seen(seen) };
    let actions = world.guard.on(event, at(5.0), &|| unreachable!("a response runs"));
    assert!(actions.contains(&Action::EndWatch { number: WATCH }), "{actions:?}");
    world.feed(Event::Pods { number: 99, news: PodNews::Synced });
    assert_eq!(world.guard.record().unwrap().pods[0].gone_at, None, "it was seen by this one");
}
