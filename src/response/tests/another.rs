//! A notice and, later, another of the same kind.

use super::kinds::{
    notice, polls_without, ready, record, restart_with_all, said, seen_again, sighting, take_back, window, world,
};
use super::world::World;
use crate::config::Reaction;
use crate::moment::Timestamp;
use crate::notice::{Kind, Sighting};
use crate::response::Event;

/// Kinds of which one notice may follow another under the same key.
const KINDS: [Kind; 3] = [Kind::SpotInterruption, Kind::AutoscalingTermination, Kind::RebalanceRecommendation];

/// A world where each kind is drained, and every pod goes.
fn draining() -> World {
    let mut world = world();
    world.pods.remove("uid-held");
    world.change_settings(|settings| settings.responses.rebalance_recommendation.reaction = Reaction::Drain);
    world
}

/// As it is posted by hand, for that kind and so many seconds: no poll shows it.
fn by_hand(world: &mut World, kind: Kind, seconds: f64) {
    let sighting = sighting(world, kind, seconds);
    world.feed(Event::Noticed(sighting));
}

/// Another notice of that kind, as a poll shows it.
fn another(world: &mut World, kind: Kind) {
    let sighting = sighting(world, kind, 120.0);
    let later = Timestamp::from_rfc3339("2026-11-22T21:00:00Z");
    let time = if kind == Kind::RebalanceRecommendation { later } else { sighting.time };
    world.feed(Event::Noticed(Sighting { time, ..sighting }));
    world.feed(Event::Polled(kind));
}

/// Drains by hand as if it were a notice of that kind, and undoes it. Gives when that is done, too.
fn drill(kind: Kind) -> (World, f64) {
    let mut world = draining();
    by_hand(&mut world, kind, 30.0);
    polls_without(&mut world, kind, 0.0, 20.0);
    assert!(world.node.cordoned, "{kind}");
    let over = window(kind) + 1.0;
    world.run(over);
    world.feed(Event::Uncordon);
    polls_without(&mut world, kind, over, over + 5.0);
    assert!(!world.node.cordoned, "{kind}");
    (world, over + 5.0)
}

#[test]
fn a_notice_after_a_drill_that_was_undone_is_responded_to() {
    for kind in KINDS {
        let (mut world, now) = drill(kind);
        another(&mut world, kind);
        world.run(now + 3.0);
        assert!(world.node.cordoned, "{kind}: {:#?}", world.said);
    }
}

#[test]
fn a_notice_after_a_drill_that_was_undone_is_responded_to_after_a_restart_too() {
    for kind in KINDS {
        let (mut world, now) = drill(kind);
        restart_with_all(&mut world);
        polls_without(&mut world, kind, now, now + 2.0);
        another(&mut world, kind);
        world.run(now + 5.0);
        assert!(world.node.cordoned, "{kind}: {:#?}", world.said);
    }
}

#[test]
fn a_notice_after_one_that_was_gone_and_whose_node_was_undone_is_responded_to() {
    let mut world = draining();
    notice(&mut world, Kind::SpotInterruption, 60.0);
    polls_without(&mut world, Kind::SpotInterruption, 0.0, 70.0);
    world.feed(Event::Uncordon);
    polls_without(&mut world, Kind::SpotInterruption, 70.0, 80.0);
    assert!(!world.node.cordoned);
    another(&mut world, Kind::SpotInterruption);
    world.run(83.0);
    assert!(world.node.cordoned);
}

#[test]
fn a_termination_after_one_that_was_taken_back_is_responded_to_after_a_restart() {
    let mut world = draining();
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(20.0);
    take_back(&mut world, Kind::AutoscalingTermination);
    world.run(25.0);
    assert!(!world.node.cordoned);
    restart_with_all(&mut world);
    polls_without(&mut world, Kind::AutoscalingTermination, 25.0, 27.0);
    notice(&mut world, Kind::AutoscalingTermination, 0.0);
    world.run(30.0);
    assert!(world.node.cordoned, "{:#?}", world.said);
}

#[test]
fn what_was_undone_while_its_notice_stands_is_not_responded_to_again_even_after_a_restart() {
    for kind in KINDS {
        let mut world = draining();
        let sighting = sighting(&world, kind, 60.0);
        let show = |world: &mut World| {
            let again = seen_again(world, &sighting);
            world.feed(Event::Noticed(again));
            world.feed(Event::Polled(kind));
        };
        show(&mut world);
        world.run(620.0);
        show(&mut world);
        world.feed(Event::Uncordon);
        world.run(625.0);
        show(&mut world);
        assert!(!world.node.cordoned, "{kind}");
        restart_with_all(&mut world);
        show(&mut world);
        world.run(630.0);
        assert!(!world.node.cordoned, "{kind}: {:#?}", world.said);
        assert!(said(&world, "was responded to already"), "{kind}: {:#?}", world.said);
    }
}

#[test]
fn a_notice_that_is_missing_for_a_while_and_comes_with_another_time_is_the_same_response() {
    let mut world = draining();
    by_hand(&mut world, Kind::SpotInterruption, 120.0);
    polls_without(&mut world, Kind::SpotInterruption, 0.0, 5.0);
    let id = record(&world).id;
    notice(&mut world, Kind::SpotInterruption, 114.0);
    world.run(50.0);
    assert_eq!(record(&world).id, id);
    ready(&mut world);
    world.run(130.0);
    assert!(world.closed.iter().all(|record| record.id == id), "{:#?}", world.said);
}
