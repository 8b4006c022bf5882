//! The daemon as a whole in the made-up world: what it says it does, when it ends, which notices count.

use super::world::{World, at, ms, s};
use crate::config::Reaction;
use crate::hooks::Phase;
use crate::instance::Instance;
use crate::notice::{InstanceAction, Kind, Sighting};
use crate::objects::Standing;
use crate::response::{Event, State};

fn words(world: &World) -> (&'static str, String) {
    (world.guard.state().name(), world.guard.words(world.now))
}

#[test]
fn what_it_does_is_said_in_one_line() {
    let mut world = World::new();
    let standings = [
        (Standing::Unknown, "watching for notices; looking for the cluster"),
        (Standing::None("none".into()), "watching for notices; no cluster, hooks only"),
        (Standing::Unready("401".into()), "watching for notices; cluster not ready: 401"),
        (Standing::Ready { node_name: "n1".into(), doubt: None }, "watching for notices; node n1 is ready"),
        (
            Standing::Ready { node_name: "n1".into(), doubt: Some("503".into()) },
            "watching for notices; node n1 is still ready: 503",
        ),
    ];
    for (standing, expected) in standings {
        world.feed(Event::Standing(standing));
        assert_eq!(words(&world), ("watching", expected.to_owned()));
    }
    world.hook(Phase::PreDrain, "p", s(5));
    world.pod("a", 30, 10);
    world.pod("b", 30, 20);
    world.interrupt(120);
    let story = [
        (2.0, "responding", "terminate in 118 s; preparing"),
        (7.0, "responding", "terminate in 113 s; draining, 2 of 2 pods left"),
        (20.0, "responding", "terminate in 100 s; draining, 1 of 2 pods left"),
        (60.0, "done", "terminate in 60 s; all done"),
        (126.0, "watching", "watching for notices; node n1 is ready; it stays cordoned; there is a spot interruption"),
    ];
    for (second, state, expected) in story {
        world.run(second);
        assert_eq!(words(&world), (state, expected.to_owned()), "after {second} s");
    }
}

#[test]
fn a_notice_that_stands_has_its_article() {
    let mut world = World::with_settings(|settings| {
        settings.responses.autoscaling_termination.reaction = Reaction::Ignore;
    });
    world.feed(Event::Noticed(Sighting {
        kind: Kind::AutoscalingTermination,
        action: InstanceAction::Terminate,
        event_id: None,
        time: None,
        date: world.clock().wall,
        seen: world.now,
        doubt: None,
    }));
    assert!(words(&world).1.ends_with("; there is an autoscaling termination"), "{:?}", words(&world));
}

#[test]
fn the_latest_that_is_known_of_the_instance_counts_and_is_written_down() {
    let mut world = World::new();
    let instance = |id: &str| Instance { id: Some(id.into()), ..Instance::default() };
    world.feed(Event::Instance(instance("i-1")));
    assert_eq!(*world.guard.instance(), instance("i-1"));
    world.interrupt(120);
    assert_eq!(world.guard.record().unwrap().instance, instance("i-1"));
    world.feed(Event::Instance(instance("i-2")));
    assert_eq!(world.guard.record().unwrap().instance, instance("i-2"));
}

#[test]
fn a_notice_that_stays_after_its_deadline_or_is_ignored_is_told_once() {
    let told = ["the machine still runs", "ignored, as configured"];
    for (reaction, once) in [(Reaction::Drain, told[0]), (Reaction::Ignore, told[1])] {
        let mut world = World::with_settings(|settings| settings.responses.spot_interruption.reaction = reaction);
        world.interrupt(120);
        world.run(126.0);
        for _ in 0..3 {
            world.notice(InstanceAction::Terminate, 0.0);
        }
        let lines: Vec<&String> =
            world.said.iter().filter(|line| told.iter().any(|told| line.contains(told))).collect();
        assert!(lines.len() == 1 && lines[0].contains(once), "{lines:?}");
    }
}

#[test]
fn a_notice_that_has_been_gone_for_less_than_five_minutes_is_the_same() {
    let mut world = World::new();
    world.interrupt(120);
    world.feed(Event::Polled(Kind::SpotInterruption));
    world.run(126.0);
    for (gone, forgotten) in [(0.0, false), (299.9, false), (300.0, true)] {
        world.now = at(130.0 + gone);
        world.feed(Event::Polled(Kind::SpotInterruption));
        assert_eq!(world.said.iter().any(|line| line == "the spot interruption is gone"), forgotten, "{gone}");
    }
}

#[test]
fn a_daemon_that_is_told_to_end_after_the_response_ends_once_all_was_said() {
    for (events, goes_on) in [(false, false), (true, true)] {
        let mut world = World::with_settings(|settings| {
            settings.kubernetes.events = events;
            settings.kubernetes.conditions = false;
        });
        world.round_trip = ms(100);
        world.pod("a", 30, 5);
        // What is told once all pods are gone, at 5.3 s, is not answered any more.
        world.outages = vec![(at(5.32), at(1000.0))];
        world.interrupt(120);
        world.run(5.4);
        assert_eq!((world.guard.state(), world.guard.is_leaving()), (State::Done, false));
        world.feed(Event::Terminate { machine_stops: false });
        assert_eq!((world.guard.is_leaving(), world.exited.is_none()), (true, goes_on));
        world.run(20.0);
        assert_eq!(world.exited, Some(at(if goes_on { 8.3 } else { 5.4 })), "3 s after the end at the latest");
    }
}
