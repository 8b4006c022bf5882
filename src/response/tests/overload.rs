//! An API server that has too much to do: it refuses, or lets wait.

use super::world::{World, after_start, at, ms, s};
use crate::objects::Answer;
use crate::response::{Answered, Event, Request};

fn many(world: &mut World, pods: usize) {
    for index in 0..pods {
        world.pod(&format!("web-{index:03}"), 30, 5);
    }
}

fn count(world: &World, of: impl Fn(&Request) -> bool) -> usize {
    world.requests(|request| of(request).then_some(())).len()
}

fn last_asked(world: &World) -> f64 {
    let asked = world.pods.values().map(|pod| after_start(pod.asks.first().expect("it was asked").0));
    asked.fold(0.0, f64::max)
}

#[test]
fn an_api_server_that_takes_three_at_a_time_is_asked_for_about_three_at_a_time() {
    let mut world = World::new();
    many(&mut world, 110);
    world.takes = Some((3, s(1)));
    world.interrupt(120);
    world.run(60.0);
    assert!(last_asked(&world) < 3.5, "{}", last_asked(&world));
    let evictions = count(&world, |request| matches!(request, Request::Evict { .. }));
    assert!(evictions <= 110 * 2, "{evictions} evictions");
    assert_eq!(count(&world, |request| matches!(request, Request::Delete { .. })), 0, "no budget was passed over");
    assert!(world.pods.values().all(|pod| pod.asks == [(pod.asks[0].0, "evict", None)]), "each with its own grace");
}

#[test]
fn who_was_refused_for_overload_comes_back_when_told_to_and_by_its_force_time_at_the_latest() {
    for (retry_after, earliest, latest) in [(0, 1.0, 1.3), (4, 4.0, 4.9), (100, 87.7, 87.9)] {
        let mut world = World::new();
        world.pod("a", 30, 5);
        world.takes = Some((0, s(retry_after)));
        world.interrupt(120);
        world.run(0.5);
        world.takes = None;
        world.run(119.0);
        assert!((earliest..latest).contains(&last_asked(&world)), "{retry_after} s: {}", last_asked(&world));
        assert!(matches!(world.pods["uid-a"].asks[..], [(_, "evict", _)]), "no budget was passed over");
    }
}

#[test]
fn refused_for_overload_even_at_the_force_time_it_is_asked_again_each_second() {
    let mut world = World::new();
    world.pod("a", 30, 5);
    world.takes = Some((0, s(100)));
    world.interrupt(120);
    world.run(95.0);
    world.takes = None;
    world.run(119.0);
    assert!(last_asked(&world) < 96.1, "{}", last_asked(&world));
}

#[test]
fn what_waits_in_the_queues_of_the_api_server_is_not_asked_for_again_and_again() {
    let mut world = World::new();
    many(&mut world, 20);
    world.queue = s(6);
    world.interrupt(120);
    world.run(60.0);
    let watches = world.requests(|request| matches!(request, Request::WatchPods).then_some(()));
    assert!(watches.iter().filter(|(moment, ())| *moment < 30.0).count() <= 3, "{watches:?}");
    let evictions = count(&world, |request| matches!(request, Request::Evict { .. }));
    assert!(evictions <= 26, "{evictions} evictions");
    assert!(last_asked(&world) < 31.0, "{}", last_asked(&world));
}

#[test]
fn a_watch_that_lives_is_kept_while_asks_wait() {
    let mut world = World::new();
    many(&mut world, 4);
    world.pod("late", 30, 5).appears = at(1.0);
    world.interrupt(120);
    world.run(0.5);
    world.queue = s(6);
    world.run(30.0);
    assert!((7.0..7.1).contains(&last_asked(&world)), "{}", last_asked(&world));
    assert_eq!(count(&world, |request| matches!(request, Request::WatchPods)), 1);
}

#[test]
fn a_node_with_many_pods_beside_an_api_server_that_has_become_slow_asks_them_all_in_time() {
    let mut world = World::new();
    many(&mut world, 110);
    world.interrupt(120);
    world.run(0.013);
    world.queue = s(5);
    world.run(119.0);
    assert!(last_asked(&world) < 50.0, "{}", last_asked(&world));
}

#[test]
fn asks_that_came_to_nothing_at_once_do_not_show_how_quick_answers_are() {
    let mut world = World::new();
    many(&mut world, 110);
    world.round_trip = ms(300);
    world.interrupt(120);
    world.run(0.603);
    for number in 4..8 {
        let answered = Answered::Other(Answer::Nothing("connection refused".into()));
        world.feed(Event::Answered { number, uid: Some(format!("uid-web-{:03}", number - 4)), answered });
    }
    world.run(119.0);
    assert!(last_asked(&world) < 4.0, "{}", last_asked(&world));
}
