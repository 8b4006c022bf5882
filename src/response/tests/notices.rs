//! A notice that changes in the middle of a response, in the made-up world.

use super::world::{Told, World, after_start, at, s};
use crate::hooks::Phase;
use crate::notice::InstanceAction;

/// The API server has never answered, so a wave of local-drain without names has begun after a second.
fn blind_world() -> World {
    let mut world = World::new();
    world.hook(Phase::LocalDrain, "50-containers", s(200));
    world.outages = vec![(at(0.0), at(1000.0))];
    world.interrupt(100);
    world.run(5.0);
    world
}

#[test]
fn hooks_that_look_at_the_pods_times_themselves_start_anew_only_when_the_deadline_comes_nearer() {
    for (action, left, runs) in
        [(InstanceAction::Terminate, 110.0, 1), (InstanceAction::Stop, 95.0, 1), (InstanceAction::Terminate, 50.0, 2)]
    {
        let mut world = blind_world();
        world.notice(action, left);
        world.run(10.0);
        assert_eq!(world.hook_runs().len(), runs, "{action:?} in {left} s");
        let stops = world.told.iter().filter(|told| matches!(told, Told::StopHook(..))).count();
        assert_eq!(stops, runs - 1, "{action:?} in {left} s");
    }
}

#[test]
fn what_a_changed_notice_says_is_written_down_and_one_that_changes_nothing_is_not() {
    let mut world = World::new();
    world.interrupt(200);
    world.notice(InstanceAction::Terminate, 300.0);
    assert!(world.guard.record().unwrap().earlier_notices.is_empty(), "two minutes are counted on either way");
    world.run(1.0);
    world.notice(InstanceAction::Stop, 50.0);
    let record = world.guard.record().unwrap();
    assert_eq!(record.notice.action, InstanceAction::Stop);
    assert_eq!(record.notice.time, Some(record.deadline));
    assert_eq!(record.earlier_notices.len(), 1);
}

#[test]
fn a_notice_whose_time_passes_in_the_middle_of_a_response_waits_for_nothing_any_more() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "slow", s(25));
    world.pod("a", 30, 2);
    world.interrupt(100);
    world.run(3.0);
    world.notice(InstanceAction::Terminate, 0.0);
    world.run(4.0);
    assert!(world.guard.record().unwrap().overdue);
    let asked = after_start(world.pods["uid-a"].asks[0].0);
    assert!((3.0..3.1).contains(&asked), "{asked}");
    world.notice(InstanceAction::Terminate, 60.0);
    assert!(world.guard.record().unwrap().overdue);
    let nearer = world.guard.record().unwrap().earlier_notices.len();
    world.run(5.0);
    world.notice(InstanceAction::Terminate, -1.0);
    assert_eq!(world.guard.record().unwrap().earlier_notices.len(), nearer, "it had passed already");
}
