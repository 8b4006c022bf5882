//! The node in the made-up world: what is sent again and when, what is told of it, its taints.

use super::world::{World, at, ms};
use crate::config::Reaction;
use crate::objects::{Answer, Refusal, Taint};
use crate::response::{Answered, Event, Request};

fn taint() -> Taint {
    Taint { key: "spot".into(), value: "going".into(), effect: "NoSchedule".into() }
}

fn tainted_world() -> World {
    World::with_settings(|settings| settings.kubernetes.taints = vec![taint()])
}

fn times(world: &World, of: impl Fn(&Request) -> bool) -> Vec<f64> {
    world.requests(|request| of(request).then_some(())).into_iter().map(|(moment, ())| moment).collect()
}

fn taints_sent(world: &World) -> Vec<f64> {
    times(world, |request| matches!(request, Request::AddTaints { taints, .. } if *taints == [taint()]))
}

#[test]
fn taints_are_set_once_after_the_cordon_and_not_again_after_a_restart() {
    let mut world = tainted_world();
    world.interrupt(120);
    world.run(5.0);
    let patched = times(&world, |request| matches!(request, Request::PatchNode(_)))[0];
    let sent = taints_sent(&world);
    assert!(sent.len() == 1 && sent[0] > patched, "{sent:?}");
    world.restart();
    world.run(10.0);
    assert_eq!(taints_sent(&world), sent);
}

#[test]
fn without_taints_none_are_sent() {
    let mut world = World::new();
    world.interrupt(120);
    world.run(5.0);
    assert!(times(&world, |request| matches!(request, Request::AddTaints { .. })).is_empty());
}

/// What becomes of the first request of that kind when `answer` comes 10 ms after it: when the second goes out.
fn repeated_after(of: impl Fn(&Request) -> bool, answer: Answer) -> f64 {
    let mut world = World::new();
    world.outages = vec![(at(0.0), at(1000.0))];
    world.interrupt(120);
    if times(&world, &of).is_empty() {
        world.feed(Event::Answered { number: 1, uid: None, answered: Answered::Node(world.node.clone()) });
    }
    let number = world.number_of(&of);
    world.run(0.010);
    world.feed(Event::Answered { number, uid: None, answered: Answered::Other(answer) });
    world.run(0.9);
    times(&world, of).get(1).copied().unwrap_or(f64::INFINITY)
}

#[test]
fn what_came_to_nothing_is_repeated_after_200_ms_and_what_was_refused_when_the_api_server_says() {
    let read = |request: &Request| matches!(request, Request::ReadNode);
    let patch = |request: &Request| matches!(request, Request::PatchNode(_));
    let nothing = || Answer::Nothing("reset".into());
    let busy = Refusal { status: 503, message: "busy".into(), causes: Vec::new(), retry_after: Some(ms(400)) };
    assert_eq!(repeated_after(read, nothing()), 0.210);
    assert_eq!(repeated_after(patch, nothing()), 0.210);
    assert_eq!(repeated_after(patch, Answer::Refused(busy)), 0.410);
}

#[test]
fn only_what_will_be_refused_again_is_left_out_of_the_next_patch() {
    for (status, extents) in [(500, [(true, true), (true, true)]), (422, [(true, true), (false, true)])] {
        let mut world = World::new();
        world.patch_refusals = vec![status];
        world.interrupt(120);
        world.run(2.0);
        let patches = world.requests(|request| match request {
            Request::PatchNode(change) => Some((change.exclude, change.annotation.is_some())),
            _ => None,
        });
        assert_eq!(patches.into_iter().map(|(_, extent)| extent).collect::<Vec<_>>(), extents, "{status}");
    }
}

#[test]
fn a_cordon_alone_asks_for_no_label_and_owns_none() {
    let mut world = World::with_settings(|settings| settings.responses.spot_interruption.reaction = Reaction::Cordon);
    world.patch_refusals = vec![403];
    world.interrupt(120);
    world.run(2.0);
    let patches = world.requests(|request| match request {
        Request::PatchNode(change) => Some(change.annotation.clone()),
        _ => None,
    });
    assert_eq!(patches.len(), 2, "there was no label to leave out first");
    let annotation = patches[0].1.as_deref().unwrap();
    assert!(annotation.contains("\"cordoned\":true,\"labelled\":false"), "{annotation}");
    assert_eq!(patches[1].1, None);
}

#[test]
fn the_cordon_is_told_once_and_nothing_is_told_before_it_was_answered() {
    let mut world = World::new();
    world.round_trip = ms(100);
    world.interrupt(120);
    world.run(20.0);
    let told = times(&world, |request| matches!(request, Request::CreateEvent(_) | Request::SetCondition(_)));
    assert!(told[0] >= 0.2, "the node was read and patched: {told:?}");
    let cordons = times(&world, |request| matches!(request, Request::CreateEvent(told) if told.reason == "Cordon"));
    assert_eq!(cordons.len(), 1);
}
