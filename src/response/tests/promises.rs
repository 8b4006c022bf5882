//! What the machine promises, one test a promise.

use std::time::Duration;

use super::world::{World, after_start, at, ms, s};
use crate::config::Reaction;
use crate::hooks::Phase;
use crate::notice::{InstanceAction, Kind};
use crate::objects::{Node, PodId, Standing};
use crate::response::{Event, PodNews, Request};

fn asked(world: &World, name: &str) -> Vec<(f64, &'static str, Option<Duration>)> {
    world.pods[&format!("uid-{name}")]
        .asks
        .iter()
        .map(|(moment, how, grace)| (after_start(*moment), *how, *grace))
        .collect()
}

fn evictions(world: &World) -> Vec<(f64, String)> {
    world.requests(|request| match request {
        Request::Evict { pod, .. } => Some(pod.name.clone()),
        _ => None,
    })
}

fn about(seconds: f64, expected: f64) -> bool {
    (seconds - expected).abs() < 0.1
}

#[test]
fn the_node_is_cordoned_labelled_and_annotated_in_one_patch_and_pods_are_asked_after_it() {
    let mut world = World::new();
    world.pod("a", 30, 2);
    world.interrupt(120);
    world.run(10.0);
    let patches = world.requests(|request| match request {
        Request::PatchNode(change) => Some(change.clone()),
        _ => None,
    });
    assert_eq!(patches.len(), 1);
    assert!(patches[0].1.exclude);
    assert!(patches[0].1.annotation.as_deref().unwrap().contains("\"cordoned\":true"));
    let asks = asked(&world, "a");
    assert_eq!(asks.len(), 1);
    assert!(asks[0].0 >= patches[0].0 && asks[0].0 < 0.05, "{asks:?}");
    assert_eq!(asks[0].2, None, "a grace that fits is not named");
}

#[test]
fn an_administrators_cordon_is_not_ours_to_undo() {
    let mut world = World::new();
    world.node = Node { cordoned: true, ..Node::default() };
    world.interrupt(120);
    world.run(1.0);
    let record = world.guard.record().unwrap();
    assert!(!record.node.cordoned_by_us && record.node.labelled_by_us);
}

#[test]
fn a_refused_label_or_annotation_never_stops_the_cordon() {
    let mut world = World::new();
    world.patch_refusals = vec![403, 403];
    world.interrupt(120);
    world.run(1.0);
    let patches = world.requests(|request| match request {
        Request::PatchNode(change) => Some((change.exclude, change.annotation.is_some())),
        _ => None,
    });
    let extents: Vec<_> = patches.into_iter().map(|(_, extent)| extent).collect();
    assert_eq!(extents, [(true, true), (false, true), (false, false)]);
    assert!(world.node.cordoned);
    assert!(!world.guard.record().unwrap().node.labelled_by_us);
}

#[test]
fn a_pod_whose_grace_does_not_fit_is_asked_at_once_with_the_grace_that_fits() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "10-slow", s(20));
    world.pod("long", 300, 60);
    world.pod("short", 30, 2);
    world.interrupt(120);
    world.run(25.0);
    let long = asked(&world, "long");
    assert!(about(long[0].0, 0.0) && long[0].2 == Some(s(117)), "{long:?}");
    let short = asked(&world, "short");
    assert!(about(short[0].0, 20.0), "it waits for pre-drain: {short:?}");
}

#[test]
fn a_pod_is_asked_by_its_force_time_even_if_pre_drain_and_delay_are_not_over() {
    let mut world = World::with_settings(|settings| {
        settings.drain.delay = s(100);
        settings.hooks.pre_drain_limit = Some(s(60));
    });
    world.hook(Phase::PreDrain, "10-slow", s(50));
    world.pod("a", 90, 2);
    world.interrupt(120);
    world.run(120.0);
    assert!(about(asked(&world, "a")[0].0, 27.8));
    assert_eq!(asked(&world, "a")[0].1, "evict");
}

#[test]
fn a_pod_behind_a_closed_budget_is_forced_at_its_force_time_and_not_before() {
    let mut world = World::new();
    world.pod("db", 60, 5).budget_opens = Some(at(1000.0));
    world.interrupt(120);
    world.run(120.0);
    let asks = asked(&world, "db");
    assert_eq!(asks.len(), 1);
    assert!(asks[0].1 == "delete" && asks[0].0 >= 57.8 && asks[0].0 < 57.9, "{asks:?}");
    assert!(asks[0].2.unwrap() == s(60), "it keeps its grace: {asks:?}");
    let marks = world.requests(|request| matches!(request, Request::MarkDisrupted(_)).then_some(()));
    assert!(marks.len() == 1 && about(marks[0].0, 55.8), "marked as disrupted 2 s before: {marks:?}");
    let record = world.guard.record();
    assert!(record.is_none_or(|record| record.pods[0].forced));
}

#[test]
fn a_refused_delete_is_repeated_each_second_whatever_the_api_server_would_rather_have() {
    let mut world = World::new();
    let pod = world.pod("a", 60, 5);
    (pod.budget_opens, pod.undeletable_until) = (Some(at(3600.0)), at(60.5));
    world.interrupt(120);
    world.run(120.0);
    let (when, how, _) = asked(&world, "a")[0];
    assert!(how == "delete" && (60.5..61.6).contains(&when), "{how} at {when}");
}

#[test]
fn evictions_that_a_budget_refuses_are_repeated_after_1_2_4_and_then_5_seconds() {
    let mut world = World::new();
    world.pod("db", 60, 5).budget_opens = Some(at(20.0));
    world.interrupt(120);
    world.run(40.0);
    let times: Vec<f64> = evictions(&world).into_iter().map(|(moment, _)| moment).collect();
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, wanted) in gaps.iter().zip([1.0, 2.0, 4.0, 5.0, 5.0]) {
        assert!((wanted * 0.79..wanted * 1.22).contains(gap), "{gaps:?}");
    }
    assert_eq!(asked(&world, "db").len(), 1);
    assert!(asked(&world, "db")[0].0 >= 20.0);
}

#[test]
fn daemon_set_static_and_finished_pods_are_never_asked_and_every_other_pod_once() {
    let mut world = World::new();
    world.pod("ds", 30, 1).pod.daemon_set = true;
    world.pod("static", 30, 1).pod.mirror = true;
    world.pod("job", 30, 1).pod.finished = true;
    for index in 0..100 {
        world.pod(&format!("web-{index:03}"), 30, 2);
    }
    world.interrupt(120);
    world.run(60.0);
    for pod in world.pods.values() {
        let expected = usize::from(pod.pod.id.name.starts_with("web"));
        assert_eq!(pod.asks.len(), expected, "{}", pod.pod.id.name);
    }
    assert_eq!(world.guard.record().unwrap().outcome, Some(crate::record::ResponseOutcome::Complete));
}

#[test]
fn no_more_than_40_asks_are_under_way_and_critical_pods_are_asked_last() {
    let mut world = World::new();
    world.round_trip = ms(100);
    for index in 0..110 {
        world.pod(&format!("web-{index:03}"), 30, 2);
    }
    world.pod("a-critical", 30, 2).pod.priority = 2_000_000_000;
    world.interrupt(120);
    world.run(10.0);
    let evictions = evictions(&world);
    for (moment, _) in &evictions {
        let under_way = evictions.iter().filter(|(other, _)| (*moment - 0.0999..=*moment).contains(other)).count();
        assert!(under_way <= 40, "{under_way} at {moment}");
    }
    assert_eq!(evictions.last().unwrap().1, "a-critical");
    assert_eq!(evictions.len(), 111);
}

#[test]
fn a_pod_that_appears_late_is_asked_like_the_others() {
    let mut world = World::new();
    world.pod("a", 30, 2);
    world.pod("late", 30, 2).appears = at(40.0);
    world.interrupt(120);
    world.run(120.0);
    assert!(about(asked(&world, "late")[0].0, 40.0));
    assert_eq!(asked(&world, "late").len(), 1);
}

#[test]
fn a_pod_that_somebody_else_asked_is_not_asked_again() {
    let mut world = World::new();
    world.pod("a", 30, 2).pod.stopping = true;
    world.interrupt(120);
    world.run(20.0);
    assert!(asked(&world, "a").is_empty());
}

#[test]
fn a_pod_of_the_same_name_and_another_uid_is_another_pod() {
    let mut world = World::new();
    world.pod("a", 30, 2);
    world.interrupt(120);
    world.run(10.0);
    let again = {
        let pod = world.pod("b", 30, 2);
        pod.pod.id = PodId { namespace: "web".into(), name: "a".into(), uid: "uid-b".into() };
        pod.pod.clone()
    };
    // Its news reach the machine by the watch that is there.
    let number = 2;
    world.feed(Event::Pods { number, news: PodNews::Seen(again) });
    world.run(20.0);
    let uids: Vec<String> = world
        .requests(|request| match request {
            Request::Evict { pod, .. } => Some(pod.uid.clone()),
            _ => None,
        })
        .into_iter()
        .map(|(_, uid)| uid)
        .collect();
    assert_eq!(uids, ["uid-a", "uid-b"]);
}

#[test]
fn while_the_api_server_is_silent_one_attempt_a_second_goes_over_new_connections() {
    let mut world = World::new();
    world.pod("a", 30, 2);
    world.outages = vec![(at(0.0), at(20.0))];
    world.interrupt(120);
    world.run(40.0);
    let reads: Vec<f64> = world
        .requests(|request| matches!(request, Request::ReadNode).then_some(()))
        .into_iter()
        .map(|(moment, ())| moment)
        .collect();
    assert!(reads.len() >= 19, "{reads:?}");
    let watches = world.requests(|request| matches!(request, Request::WatchPods).then_some(()));
    assert!(watches.windows(2).all(|pair| pair[0].0 < pair[1].0), "one at a time: {watches:?}");
    assert!(reads.windows(2).skip(1).all(|pair| (0.99..1.1).contains(&(pair[1] - pair[0]))), "{reads:?}");
    let ask = asked(&world, "a")[0].0;
    assert!((20.0..21.1).contains(&ask), "asked as soon as it is back: {ask}");
    assert!(world.node.cordoned);
}

#[test]
fn a_cluster_that_others_have_found_to_be_back_is_asked_at_once() {
    let mut world = World::new();
    world.pod("a", 30, 2);
    world.outages = vec![(at(0.0), at(20.35))];
    world.feed(Event::Standing(Standing::Unready("no answer".into())));
    world.notice(InstanceAction::Terminate, 120.0);
    world.run(20.4);
    world.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
    world.run(22.0);
    let ask = asked(&world, "a")[0].0;
    assert!((20.4..20.9).contains(&ask), "not with the next attempt of its own: {ask}");
}

#[test]
fn asks_that_are_lost_in_a_silence_are_sent_again_when_it_ends() {
    let mut world = World::new();
    for index in 0..30 {
        world.pod(&format!("web-{index:02}"), 30, 2);
    }
    world.round_trip = ms(20);
    // The first burst goes out and is lost.
    world.outages = vec![(at(0.045), at(10.0))];
    world.interrupt(120);
    world.run(60.0);
    for pod in world.pods.values() {
        assert!(pod.gone && !pod.pod.cut, "{}", pod.pod.id.name);
        assert!(after_start(pod.asks[0].0) < 11.2, "{:?}", pod.asks);
    }
}

#[test]
fn with_a_silent_api_server_pods_are_stopped_locally_when_their_time_comes_and_asked_when_it_is_back() {
    let mut world = World::new();
    world.hook(Phase::LocalDrain, "50-containers", ms(500));
    world.pod("a", 60, 2);
    world.pod("b", 30, 2);
    world.round_trip = ms(20);
    world.outages = vec![(at(0.025), at(70.0))];
    world.interrupt(120);
    world.run(120.0);
    let waves: Vec<(f64, Vec<String>)> = world
        .told
        .iter()
        .filter_map(|told| match told {
            super::world::Told::Hook(moment, order) => {
                Some((after_start(*moment), order.pods.iter().map(|pod| pod.name.clone()).collect()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(waves[0].1, ["a"], "{waves:?}");
    assert!((56.8..58.1).contains(&waves[0].0), "{waves:?}");
    let last = world.hook_runs().into_iter().find(|(_, name)| name.ends_with("end")).unwrap();
    assert!((70.0..71.5).contains(&last.0), "thawed when it is back and the pods are asked: {last:?}");
    assert!(!asked(&world, "a").is_empty() && !asked(&world, "b").is_empty());
}

#[test]
fn with_an_api_server_that_never_answered_everything_is_stopped_locally() {
    let mut world = World::new();
    world.hook(Phase::LocalDrain, "50-containers", ms(500));
    world.outages = vec![(at(0.0), at(1000.0))];
    world.interrupt(120);
    world.run(125.0);
    let runs = world.hook_runs();
    assert_eq!(runs.len(), 1);
    assert!(about(runs[0].0, 1.3), "as soon as it is known to be silent: {runs:?}");
}

#[test]
fn the_kubelet_goes_on_only_when_what_the_hooks_may_have_stopped_is_asked() {
    let mut world = World::with_settings(|settings| settings.drain.delay = s(110));
    world.hook(Phase::LocalDrain, "50-containers", s(200));
    world.pod("a", 60, 2);
    world.outages = vec![(at(0.0), at(54.0))];
    world.interrupt(120);
    world.run(120.0);
    let end = world.hook_runs().into_iter().find(|(_, name)| name.ends_with("end")).unwrap();
    let ask = asked(&world, "a")[0].0;
    assert!((57.0..58.5).contains(&ask), "asked at its last moment: {ask}");
    assert!(end.0 >= ask, "the hooks may have stopped it at 53 s, and the kubelet goes on at {end:?}");
}

#[test]
fn without_a_cluster_containers_are_stopped_at_the_start_of_the_drain_and_then_post_drain_follows() {
    let mut world = World::new();
    for (phase, name) in
        [(Phase::Notice, "n"), (Phase::PreDrain, "p"), (Phase::LocalDrain, "l"), (Phase::PostDrain, "q")]
    {
        world.hook(phase, name, s(1));
    }
    world.feed(Event::Standing(Standing::None("no kubeconfig".into())));
    world.notice(InstanceAction::Terminate, 120.0);
    world.run(20.0);
    let names: Vec<String> = world.hook_runs().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["notice/n", "pre-drain/p", "local-drain/l start", "post-drain/q"]);
    assert!(world.requests(|_| Some(())).is_empty());
    assert_eq!(world.guard.record().unwrap().outcome, Some(crate::record::ResponseOutcome::Complete));
}

#[test]
fn post_drain_starts_when_all_pods_are_gone_and_at_the_reserve_at_the_latest() {
    for (stops_in, expected) in [(5, 5.0), (110, 105.0)] {
        let mut world = World::new();
        world.hook(Phase::PostDrain, "logs", s(1));
        world.pod("a", 115, stops_in);
        world.interrupt(120);
        world.run(125.0);
        let runs = world.hook_runs();
        assert!(runs.len() == 1 && about(runs[0].0, expected), "{runs:?}");
    }
}

#[test]
fn post_drain_waits_for_the_volumes_of_the_pods_that_go_and_not_for_those_of_pods_that_stay() {
    let mut world = World::new();
    world.hook(Phase::PostDrain, "logs", s(1));
    world.pod("db", 30, 2).pod.claims = vec!["web/data".into()];
    let stays = world.pod("agent", 30, 2);
    stays.pod.claims = vec!["web/own".into()];
    stays.pod.daemon_set = true;
    world.node.volumes = vec!["vol-data".into(), "vol-own".into()];
    world.interrupt(120);
    world.run(30.0);
    assert!(world.hook_runs().is_empty());
    world.node.volumes = vec!["vol-own".into()];
    let number = world.told.iter().filter(|told| matches!(told, super::world::Told::Request(..))).count() as u64;
    world.feed(Event::NodeSeen { number, node: world.node.clone() });
    world.run(31.0);
    assert_eq!(world.hook_runs().len(), 1);
}

#[test]
fn beside_karpenter_post_drain_does_not_wait_for_the_end_of_the_drain() {
    let mut world = World::new();
    world.hook(Phase::PostDrain, "logs", s(1));
    world.pod("a", 60, 50);
    world.node.taints = vec![crate::objects::Taint {
        key: "karpenter.sh/disrupted".into(),
        value: String::new(),
        effect: "NoSchedule".into(),
    }];
    world.interrupt(120);
    world.run(10.0);
    assert!(about(world.hook_runs()[0].0, 0.0), "{:?}", world.hook_runs());
}

#[test]
fn karpenters_taint_may_come_after_the_cordon() {
    let mut world = World::new();
    world.hook(Phase::PostDrain, "logs", s(1));
    world.pod("a", 60, 50);
    world.interrupt(120);
    world.run(7.0);
    assert!(world.hook_runs().is_empty());
    let watches = world.told.iter().filter_map(|told| match told {
        super::world::Told::Request(_, Request::WatchNode, _) => Some(()),
        _ => None,
    });
    assert_eq!(watches.count(), 1, "the node is watched meanwhile");
    let key = "karpenter.sh/disrupted".to_owned();
    let taint = crate::objects::Taint { key, value: String::new(), effect: "NoSchedule".into() };
    let node = Node { taints: vec![taint], ..world.node.clone() };
    world.feed(Event::NodeSeen { number: 4, node });
    world.run(10.0);
    assert!(about(world.hook_runs()[0].0, 7.0), "{:?}", world.hook_runs());
}

#[test]
fn during_hooks_live_beside_the_response_and_are_stopped_at_its_end() {
    let mut world = World::new();
    world.hook(Phase::During, "beat", s(1000));
    world.pod("a", 30, 5);
    world.interrupt(120);
    world.run(20.0);
    let stops: Vec<f64> = world
        .told
        .iter()
        .filter_map(|told| match told {
            super::world::Told::StopHook(moment, _) => Some(after_start(*moment)),
            _ => None,
        })
        .collect();
    assert!(stops.len() == 1 && about(stops[0], 5.0), "{stops:?}");
    let record = world.guard.record().unwrap();
    assert!(record.hooks[0].stopped && !record.hooks[0].timed_out && record.errors.is_empty());
}

#[test]
fn a_hook_runs_once_its_start_is_recorded_or_after_200_ms_of_a_disk_that_does_not_answer() {
    for (disk_works, expected) in [(true, 0.005), (false, 0.2)] {
        let mut world = World::new();
        world.disk_works = disk_works;
        world.hook(Phase::PreDrain, "p", s(1));
        world.interrupt(120);
        world.run(5.0);
        let runs = world.hook_runs();
        assert!((runs[0].0 - expected).abs() < 0.004, "{runs:?}");
    }
}

#[test]
fn exit_75_asks_for_one_more_try_and_only_one() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "p", s(1));
    world.hook_exits.insert("p".into(), vec![75, 75, 0]);
    world.interrupt(120);
    world.run(10.0);
    assert_eq!(world.hook_runs().len(), 2);
    let record = world.guard.record().unwrap();
    assert_eq!(record.hooks[0].exit, Some(75));
    assert_eq!(record.errors.len(), 1, "{:?}", record.errors);
}

#[test]
fn a_hook_has_its_own_limit_and_never_more_than_its_phase() {
    let mut world = World::with_settings(|settings| {
        settings.hooks.timeouts.insert("long".into(), s(100));
    });
    world.hook(Phase::PreDrain, "long", s(90));
    world.hook(Phase::Notice, "usual", s(90));
    world.interrupt(120);
    world.run(60.0);
    let record = world.guard.record().unwrap();
    let seconds = |name: &str| record.hooks.iter().find(|hook| hook.name == name).unwrap().seconds.unwrap();
    assert!(about(seconds("long"), 30.0) && about(seconds("usual"), 30.0));
    assert!(record.hooks.iter().all(|hook| hook.timed_out));
}

#[test]
fn the_deadline_may_come_nearer_and_never_goes_further_away() {
    let mut world = World::new();
    world.pod("a", 300, 200);
    world.interrupt(100);
    world.run(1.0);
    let deadline = |world: &World| world.guard.record().unwrap().deadline;
    let first = deadline(&world);
    world.notice(InstanceAction::Terminate, 110.0);
    assert_eq!(deadline(&world), first);
    world.notice(InstanceAction::Terminate, 50.0);
    assert!(deadline(&world) < first);
    assert_eq!(world.guard.record().unwrap().earlier_notices.len(), 1);
    let nearer = deadline(&world);
    world.feed(Event::Polled(Kind::SpotInterruption));
    world.run(5.0);
    assert_eq!(deadline(&world), nearer, "a 404 ends nothing");
}

#[test]
fn hibernation_begins_at_once_and_waits_for_nothing() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "slow", s(20));
    world.pod("db", 30, 2).budget_opens = Some(at(1000.0));
    world.interrupt_with(InstanceAction::Hibernate, 120.0);
    world.run(10.0);
    let asks = asked(&world, "db");
    assert!(asks.len() == 1 && asks[0].1 == "delete" && asks[0].0 < 0.6, "{asks:?}");
}

#[test]
fn a_notice_whose_time_has_passed_asks_every_pod_at_once_with_its_own_grace() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "slow", s(20));
    world.pod("a", 60, 50);
    world.pod("db", 30, 2).budget_opens = Some(at(1000.0));
    world.interrupt_with(InstanceAction::Terminate, 0.0);
    world.run(100.0);
    assert!(asked(&world, "a")[0].0 < 0.1 && asked(&world, "a")[0].2.is_none());
    assert!(asked(&world, "db")[0].0 < 0.6);
    assert!(world.pods.values().all(|pod| pod.gone && !pod.pod.cut));
}

#[test]
fn budgets_that_are_not_respected_are_not_waited_for() {
    let mut world = World::with_settings(|settings| settings.drain.respect_budgets = false);
    world.pod("db", 30, 2).budget_opens = Some(at(1000.0));
    world.interrupt(120);
    world.run(10.0);
    assert!(asked(&world, "db")[0].1 == "delete" && asked(&world, "db")[0].0 < 0.6);
}

#[test]
fn a_grace_period_limit_is_named_in_the_ask() {
    let mut world = World::with_settings(|settings| settings.drain.grace_period_limit = Some(s(20)));
    world.pod("a", 60, 2);
    world.interrupt(120);
    world.run(10.0);
    assert_eq!(asked(&world, "a")[0].2, Some(s(20)));
}

#[test]
fn observing_tells_and_changes_nothing_and_cordoning_asks_no_pod() {
    for (reaction, patches) in [(Reaction::Observe, 0), (Reaction::Cordon, 1)] {
        let mut world = World::with_settings(|settings| settings.responses.spot_interruption.reaction = reaction);
        world.hook(Phase::Notice, "n", s(1));
        world.hook(Phase::PreDrain, "p", s(1));
        world.pod("a", 30, 2);
        world.interrupt(120);
        world.run(125.0);
        let seen = world.requests(|request| match request {
            Request::PatchNode(change) => Some(change.exclude),
            _ => None,
        });
        assert_eq!(seen.len(), patches);
        assert!(seen.iter().all(|(_, exclude)| !exclude));
        assert!(asked(&world, "a").is_empty());
        assert_eq!(world.hook_runs().len(), 1);
    }
}

#[test]
fn one_notice_is_one_response_and_a_new_one_counts_once_it_has_been_gone_for_five_minutes() {
    let mut world = World::new();
    world.interrupt(120);
    world.run(126.0);
    assert!(world.guard.record().is_none());
    world.notice(InstanceAction::Terminate, 60.0);
    assert!(world.guard.record().is_none(), "the notice that was responded to is still there");
    for second in 127..=428 {
        world.now = at(f64::from(second));
        world.feed(Event::Polled(Kind::SpotInterruption));
    }
    world.notice(InstanceAction::Terminate, 120.0);
    assert!(world.guard.record().is_some());
}

#[test]
fn told_to_end_without_a_response_it_ends_and_with_a_short_one_it_goes_on_to_its_end() {
    let mut world = World::new();
    world.feed(Event::Terminate { machine_stops: false });
    assert!(world.exited.is_some());

    let mut world = World::new();
    world.pod("a", 30, 10);
    world.interrupt(120);
    world.run(2.0);
    world.feed(Event::Terminate { machine_stops: false });
    assert!(world.exited.is_none());
    world.run(60.0);
    assert!(about(after_start(world.exited.unwrap()), 10.0), "{:?}", world.exited);

    let mut world = World::new();
    world.pod("a", 30, 10);
    world.interrupt(120);
    world.run(2.0);
    world.feed(Event::Terminate { machine_stops: false });
    world.feed(Event::Terminate { machine_stops: false });
    assert!(world.exited.is_some(), "a second one ends at once");
}

#[test]
fn requests_beyond_asking_each_pod_are_few() {
    let mut world = World::new();
    for index in 0..105 {
        world.pod(&format!("web-{index:03}"), 30, 20);
    }
    world.pod("late", 30, 5).appears = at(60.0);
    world.interrupt(120);
    world.run(125.0);
    let total = world.requests(|_| Some(())).len();
    assert_eq!(evictions(&world).len(), 106);
    assert!(total - 106 <= 15, "{}", total - 106);
}

#[test]
fn a_hook_for_which_no_time_is_left_is_named_as_failed() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "10-slow", s(60));
    world.hook(Phase::PreDrain, "20-next", s(1));
    world.interrupt(120);
    world.run(40.0);
    assert_eq!(world.hook_runs().len(), 1, "it was not run");
    let record = world.guard.record().unwrap();
    assert!(record.errors.iter().any(|error| error.contains("pre-drain/20-next")), "{:?}", record.errors);
    let told = world.requests(|request| match request {
        Request::CreateEvent(told) if told.reason == "HookFailed" => Some(told.message.clone()),
        _ => None,
    });
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn a_cordon_that_is_refused_for_good_is_not_told_as_one() {
    let mut world = World::new();
    world.patch_refusals = vec![403, 403, 403];
    world.interrupt(120);
    world.run(5.0);
    let told = world.requests(|request| match request {
        Request::CreateEvent(told) if told.reason == "Cordon" => Some(()),
        _ => None,
    });
    assert!(told.is_empty());
    assert!(world.guard.record().unwrap().errors.iter().any(|error| error.starts_with("cannot cordon")));
}

#[test]
fn a_pod_too_new_for_the_api_servers_admission_is_asked_again_and_not_forced() {
    let mut world = World::new();
    let pod = world.pod("late", 300, 5);
    pod.appears = at(10.0);
    pod.unknown_for = ms(400);
    world.interrupt(120);
    world.run(20.0);
    let asks = asked(&world, "late");
    assert!(asks.len() == 1 && asks[0].1 == "evict" && asks[0].0 < 10.8, "{asks:?}");
}

#[test]
fn the_last_words_of_a_watch_that_was_replaced_do_not_take_the_place_of_the_next() {
    let mut world = World::new();
    world.round_trip = ms(400);
    // Asked again and again, so that a silence is noticed and its end too.
    world.pod("db", 5, 1).budget_opens = Some(at(1000.0));
    world.pod("slow", 60, 20);
    world.outages = vec![(at(5.0), at(9.0))];
    world.interrupt(60);
    let (of_the_first, slow) = (2, world.pods["uid-slow"].pod.clone());
    let mut watches = 1;
    world.run_with(40.0, &mut |world| {
        let now = world.requests(|request| matches!(request, Request::WatchPods).then_some(())).len();
        if std::mem::replace(&mut watches, now) != now {
            world.feed(Event::Pods { number: of_the_first, news: PodNews::Seen(slow.clone()) });
        }
    });
    assert!(watches > 1, "the watch was replaced");
    let record = world.guard.record().unwrap();
    let slow = record.pods.iter().find(|pod| pod.name == "slow").unwrap();
    assert!(slow.gone_at.is_some(), "its going was seen");
}

#[test]
fn an_api_server_that_is_a_second_away_is_slow_and_not_silent() {
    let mut world = World::new();
    world.round_trip = ms(1050);
    for index in 0..39 {
        world.pod(&format!("web-{index:02}"), 8, 2);
    }
    // One whose force time is over before its eviction is answered.
    world.pod("queue", 600, 2);
    world.interrupt(34);
    world.run(30.0);
    assert!(world.pods.values().all(|pod| pod.gone && pod.asks.len() == 1), "{:#?}", world.said);
    let record = world.guard.record().unwrap();
    assert_eq!(record.outcome, Some(crate::record::ResponseOutcome::Complete), "{:#?}", world.said);
    let silences = world.said.iter().filter(|line| line.contains("silent")).count();
    assert!(silences <= 1, "once it has answered, its distance is known: {:#?}", world.said);
    assert_eq!(
        evictions(&world).iter().map(|(moment, _)| *moment as u64).max(),
        Some(1),
        "all as soon as they are known"
    );
}

#[test]
fn when_the_api_server_is_back_the_next_attempt_reads_node_and_pods_beside_each_other() {
    let mut world = World::new();
    world.round_trip = ms(400);
    world.pod("a", 30, 2);
    world.outages = vec![(at(0.0), at(20.0))];
    world.interrupt(120);
    world.run(40.0);
    let patched = world.requests(|request| matches!(request, Request::PatchNode(_)).then_some(()))[0].0;
    assert!(patched <= 21.5, "a second and a round trip: {patched}");
    assert!(evictions(&world)[0].0 <= 21.5, "{:?}", evictions(&world));
}
