//! Hooks in the made-up world: their own ends, their limits, the waves of local-drain.

use super::world::{Told, World, after_start, at, ms, s};
use crate::hooks::Phase;
use crate::moment::{Clock, from_seconds, to_seconds};
use crate::notice::InstanceAction;
use crate::objects::Standing;
use crate::process::Started;
use crate::record::HookWritten;
use crate::response::driver::Told as Teller;
use crate::response::{Event, HookOrder};

fn written(world: &World, name: &str) -> HookWritten {
    let hooks = world.guard.record().unwrap().hooks;
    hooks.into_iter().find(|hook| hook.name == name).unwrap()
}

fn about(seconds: f64, expected: f64) -> bool {
    (seconds - expected).abs() < 0.1
}

#[test]
fn of_hooks_beside_each_other_each_has_its_own_end() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "10-a", s(3));
    world.hook(Phase::PreDrain, "10-b", s(1));
    world.hook_exits.insert("10-b".into(), vec![1]);
    world.interrupt(120);
    world.run(5.0);
    let (a, b) = (written(&world, "10-a"), written(&world, "10-b"));
    assert!(a.exit == Some(0) && about(a.seconds.unwrap(), 3.0), "{a:?}");
    assert!(b.exit == Some(1) && about(b.seconds.unwrap(), 1.0), "{b:?}");
}

#[test]
fn hooks_that_live_beside_the_response_have_no_limit_of_their_own() {
    let mut world = World::new();
    world.hook(Phase::During, "beat", s(90));
    world.pod("a", 110, 100);
    world.interrupt(120);
    world.run(100.0);
    assert_eq!(written(&world, "beat").exit, Some(0));
}

#[test]
fn a_process_is_written_down_while_its_hook_runs() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "p", s(2));
    world.interrupt(120);
    world.run(1.0);
    let started = Started { pid: 4711, start_time: 99 };
    world.feed(Event::HookStarted { number: 1, started: started.clone() });
    assert_eq!(written(&world, "p").process, Some(started));
    world.run(3.0);
    assert_eq!(written(&world, "p").process, None);
}

#[test]
fn without_a_cluster_too_a_hook_waits_200_ms_for_a_disk_that_does_not_answer() {
    let mut world = World::new();
    world.disk_works = false;
    world.hook(Phase::Notice, "n", s(1));
    world.feed(Event::Standing(Standing::None("no kubeconfig".into())));
    world.notice(InstanceAction::Terminate, 120.0);
    world.run(5.0);
    assert_eq!(world.hook_runs(), [(0.2, "notice/n".to_owned())]);
}

/// The API server has gone silent before the pods were listed, so that a wave is begun after a second.
fn world_with_a_wave(back_at: f64) -> World {
    let mut world = World::new();
    world.hook(Phase::LocalDrain, "50-containers", s(200));
    world.pod("a", 30, 2);
    world.outages = vec![(at(0.0), at(back_at))];
    world.interrupt(120);
    world
}

#[test]
fn a_wave_is_told_to_end_when_the_api_server_is_back_and_has_not_failed() {
    let mut world = world_with_a_wave(20.0);
    world.run(30.0);
    let stops = world.told.iter().filter_map(|told| match told {
        Told::StopHook(moment, number) => Some((after_start(*moment), *number)),
        _ => None,
    });
    let stops: Vec<(f64, u64)> = stops.collect();
    assert!((20.0..21.5).contains(&stops[0].0), "{stops:?}");
    let wave = written(&world, "50-containers");
    assert!(wave.stopped && !wave.timed_out, "{wave:?}");
    assert_eq!(world.guard.record().unwrap().errors, [""; 0]);
}

#[test]
fn a_wave_that_has_not_started_when_the_api_server_is_back_never_does() {
    let mut world = world_with_a_wave(0.5);
    world.run(10.0);
    let names: Vec<String> = world.hook_runs().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["local-drain/50-containers end"]);
    let wave = written(&world, "50-containers");
    assert!(wave.stopped && wave.reason.as_deref() == Some("it is no longer needed"), "{wave:?}");
}

#[test]
fn a_wave_that_a_restart_has_cut_runs_again() {
    let mut world = world_with_a_wave(1000.0);
    world.run(10.0);
    world.told.clear();
    world.restart();
    world.run(11.0);
    let names: Vec<String> = world.hook_runs().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["local-drain/50-containers start"]);
}

#[test]
fn a_daemon_that_was_told_to_end_waits_for_the_hooks_that_the_end_of_the_response_stops() {
    let mut world = World::with_settings(|settings| {
        (settings.kubernetes.events, settings.kubernetes.conditions) = (false, false);
    });
    world.hook(Phase::During, "beat", s(1000));
    world.pod("a", 30, 5);
    world.interrupt(120);
    world.run(2.0);
    world.feed(Event::Terminate { machine_stops: false });
    world.run(60.0);
    let stop = world.told.iter().find_map(|told| match told {
        Told::StopHook(moment, _) => Some(*moment),
        _ => None,
    });
    assert_eq!(world.exited, stop.map(|stop| stop + ms(10)), "the end of that hook");
}

fn order(world: &World) -> HookOrder {
    let order = world.told.iter().find_map(|told| match told {
        Told::Hook(_, order) => Some(order.clone()),
        _ => None,
    });
    order.expect("a hook was run")
}

fn environment(told: &Teller, order: &HookOrder, name: &str) -> String {
    let variables = told.environment(order);
    variables.into_iter().find(|(its, _)| its == name).map(|(_, value)| value).unwrap()
}

#[test]
fn a_hook_is_told_of_no_pods_as_long_as_nobody_knows_them() {
    let mut world = World::new();
    world.hook(Phase::Notice, "n", s(1));
    world.pod("a", 30, 20);
    let left = |world: &World| {
        let told = Teller::new(world.guard.record().unwrap(), world.guard.running());
        environment(&told, &order(world), "SPOT_GUARD_PODS_LEFT")
    };
    world.round_trip = ms(500);
    world.interrupt(120);
    world.run(0.1);
    assert_eq!(left(&world), "");
    world.run(5.0);
    assert_eq!(left(&world), "1");
    world.restart();
    assert_eq!(left(&world), "1", "an earlier life has seen all");
    world.run(40.0);
    assert_eq!(left(&world), "0");
}

#[test]
fn hooks_are_told_the_deadline_of_the_record_unless_the_clock_was_set_since() {
    let mut world = World::new();
    world.hook(Phase::Notice, "n", s(1));
    world.interrupt(120);
    world.run(1.0);
    let (real, mut record) = (Clock::read(), world.guard.record().unwrap());
    record.clock.boottime_seconds = to_seconds(real.boottime.uptime());
    for (ahead, same) in [(0.001, true), (3600.0, false)] {
        record.clock.wall = real.wall + from_seconds(ahead);
        record.deadline = record.clock.wall + s(100);
        let told = Teller::new(record.clone(), world.guard.running());
        let deadline = environment(&told, &order(&world), "SPOT_GUARD_DEADLINE");
        assert_eq!(deadline == record.deadline.to_string(), same, "{deadline} {record:?}");
    }
}
