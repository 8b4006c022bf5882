//! When phases begin and end, in the made-up world.

use super::world::{World, at, s};
use crate::hooks::Phase;
use crate::notice::InstanceAction;
use crate::objects::Standing;
use crate::record::PhaseName;
use crate::response::{Event, Request, State};

fn started(world: &World, name: PhaseName) -> Option<f64> {
    let record = world.guard.record().unwrap();
    let phase = record.phases.iter().find(|phase| phase.name == name)?;
    phase.started_at.later_than(record.notice.first_seen).map(|time| time.as_secs_f64())
}

#[test]
fn a_reserve_is_kept_only_where_there_are_hooks_for_it_and_time_to_wait() {
    for (hooks, left, expected) in [(true, 120.0, 105.0), (false, 120.0, 118.0), (true, 0.0, 118.0)] {
        let mut world = World::new();
        if hooks {
            world.hook(Phase::PostDrain, "logs", s(1));
        }
        let pod = world.pod("a", 30, 2);
        (pod.budget_opens, pod.undeletable_until) = (Some(at(1000.0)), at(1000.0));
        world.interrupt_with(InstanceAction::Terminate, left);
        world.run(119.0);
        assert_eq!(started(&world, PhaseName::PostDrain), Some(expected), "{hooks} {left}");
        assert_eq!(world.guard.state(), State::Responding, "a pod is left");
    }
}

#[test]
fn pods_are_asked_after_a_second_even_if_the_cordon_is_not_answered() {
    let mut world = World::new();
    world.patch_refusals = vec![500; 200];
    world.pod("a", 30, 2);
    world.interrupt(120);
    world.run(5.0);
    let asks = world.requests(|request| matches!(request, Request::Evict { .. }).then_some(()));
    assert!(asks.len() == 1 && (1.0..1.01).contains(&asks[0].0), "{asks:?}");
}

#[test]
fn without_a_cluster_there_is_no_cordon_to_wait_for() {
    let mut world = World::new();
    world.hook(Phase::LocalDrain, "l", s(1));
    world.feed(Event::Standing(Standing::None("no kubeconfig".into())));
    world.notice(InstanceAction::Terminate, 120.0);
    world.run(0.5);
    assert_eq!(world.hook_runs().len(), 1);
}

#[test]
fn volumes_are_waited_for_only_where_that_is_wanted() {
    for wanted in [true, false] {
        let mut world = World::with_settings(|settings| settings.drain.volumes = wanted);
        world.pod("a", 30, 2).pod.claims = vec!["web/data".into()];
        world.node.volumes = vec!["vol-data".into()];
        world.interrupt(120);
        world.run(10.0);
        assert_eq!(world.guard.state(), if wanted { State::Responding } else { State::Done });
        let watched = world.requests(|request| matches!(request, Request::WatchNode).then_some(()));
        assert_eq!(watched.len(), usize::from(wanted));
    }
}

#[test]
fn after_its_end_a_response_runs_no_hooks_that_appear_later() {
    let mut world = World::new();
    world.pod("a", 30, 2);
    world.interrupt(120);
    world.run(10.0);
    assert_eq!(world.guard.state(), State::Done);
    for phase in Phase::ALL {
        world.hook(phase, "late", s(1));
    }
    world.restart();
    world.run(119.0);
    assert!(world.hook_runs().is_empty(), "{:?}", world.hook_runs());
}
