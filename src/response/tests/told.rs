//! What a response tells in the made-up world: the journal, the Node's events and condition, the record's errors.

use super::world::{World, at, ms, s};
use crate::config::{Reaction, Selector};
use crate::hooks::Phase;
use crate::notice::InstanceAction;
use crate::objects::{Answer, Refusal, Standing, Taint};
use crate::record::ResponseOutcome;
use crate::response::{Answered, Event, Request, State};

fn told(world: &World) -> Vec<String> {
    let told = world.requests(|request| match request {
        Request::CreateEvent(told) => Some(format!("event {}: {}, {}", told.reason, told.message, told.warning)),
        Request::SetCondition(told) => Some(format!("condition {}: {}", told.reason, told.message)),
        _ => None,
    });
    told.into_iter().map(|(_, text)| text).collect()
}

/// Without what is for debugging.
fn said(world: &World) -> Vec<&str> {
    let debug = |line: &&str| !line.ends_with(" asked to stop") && !line.starts_with("cannot evict");
    world.said.iter().map(String::as_str).filter(debug).collect()
}

#[test]
fn the_story_of_a_response() {
    let mut world = World::with_settings(|settings| {
        settings.drain.skip = Some(Selector::parse("app=cache").unwrap());
    });
    world.hook(Phase::PostDrain, "logs", s(1));
    world.pod("a", 30, 5);
    world.pod("cut", 10, 20);
    world.pod("db", 60, 5).budget_opens = Some(at(1000.0));
    world.pod("ds-1", 30, 5).pod.daemon_set = true;
    world.pod("ds-2", 30, 5).pod.daemon_set = true;
    world.pod("etcd", 30, 5).pod.mirror = true;
    world.pod("cache", 30, 5).pod.labels.insert("app".into(), "cache".into());
    world.interrupt(120);
    world.run(126.0);
    let summary = "2 graceful (1 of them forced past a budget), 1 killed, 0 left";
    let count = "3 pods to stop, 4 stay (2 DaemonSet, 1 static, 1 skipped)";
    assert_eq!(
        said(&world),
        [
            "spot interruption (terminate), 120.0 s left: drain",
            "node cordoned, out of load balancers",
            count,
            "web/db is held, perhaps others too: the API server answered 429: answered 429; asked again and again",
            "web/db: its last moment has come, it is deleted past any budget; perhaps others too",
            "all pods that were to stop are gone",
            "hook post-drain/logs done in 1.0 s",
            &format!("{summary}; 56.2 s to spare"),
        ]
    );
    let notice = "EC2 is going to terminate this instance";
    assert_eq!(
        told(&world),
        [
            format!("condition SpotInterruption: {notice}; deadline 2026-11-22T20:35:43.000Z"),
            format!("event SpotInterruption: {notice}; 120.0 s left, true"),
            "event Cordon: cordoned by spot-guard: spot interruption (terminate), false".to_owned(),
            format!("event DrainStarted: {count}, false"),
            format!("event DrainFinished: {summary}, false"),
        ]
    );
}

#[test]
fn what_is_left_at_the_deadline_is_named_five_at_most() {
    let five = "web/p0, web/p1, web/p2, web/p3, web/p4";
    for (pods, left) in [(5, five.to_owned()), (7, format!("{five}, 2 more"))] {
        let mut world = World::new();
        for index in 0..pods {
            let pod = world.pod(&format!("p{index}"), 30, 2);
            (pod.budget_opens, pod.undeletable_until) = (Some(at(1000.0)), at(1000.0));
        }
        world.interrupt(60);
        world.run(64.0);
        assert_eq!(world.guard.record().unwrap().errors, [format!("not gone at the deadline: {left}")]);
        let count = format!("{pods} pods to stop, 0 stay");
        assert!(said(&world).contains(&count.as_str()), "{:?}", said(&world));
        let summary = format!("0 graceful, 0 killed, {pods} left; not gone at the deadline: {left}, true");
        assert_eq!(told(&world).last().unwrap(), &format!("event DrainIncomplete: {summary}"));
    }
}

#[test]
fn volumes_that_are_left_at_the_deadline_are_named() {
    let mut world = World::new();
    world.pod("db", 30, 2).pod.claims = vec!["web/data".into()];
    world.node.volumes = vec!["vol-data".into()];
    world.interrupt(60);
    world.run(64.0);
    let record = world.guard.record().unwrap();
    assert_eq!(record.errors, ["volumes not released at the deadline: vol-data"]);
    assert_eq!(record.outcome, Some(ResponseOutcome::Incomplete));
}

#[test]
fn volumes_are_not_said_to_be_left_where_a_restart_has_not_seen_the_pods_again() {
    let mut world = World::new();
    world.pod("db", 30, 2).pod.claims = vec!["web/data".into()];
    world.node.volumes = vec!["vol-data".into()];
    world.interrupt(60);
    world.run(10.0);
    world.outages = vec![(at(10.0), at(1000.0))];
    world.restart();
    world.run(64.0);
    assert_eq!(world.guard.record().unwrap().errors, [""; 0]);
}

#[test]
fn where_hooks_cannot_be_looked_for_pods_are_asked_and_no_volumes_are_missed() {
    let mut world = World::new();
    world.hooks_are_found = false;
    world.pod("a", 30, 2);
    world.interrupt(60);
    world.run(64.0);
    assert!(world.pods["uid-a"].gone);
    assert_eq!(world.guard.record().unwrap().errors, [""; 0]);
}

#[test]
fn where_the_pods_were_never_known_nothing_is_told_of_them() {
    let mut world = World::new();
    world.pods_are_refused = true;
    world.interrupt(60);
    world.run(64.0);
    assert_eq!(world.guard.record().unwrap().errors.len(), 1, "that they may not be listed");
    assert!(!told(&world).iter().any(|text| text.starts_with("event Drain")), "{:?}", told(&world));
    assert!(said(&world).contains(&"done; 0.0 s to spare"), "{:?}", said(&world));
}

#[test]
fn who_only_observes_tells_and_without_a_cluster_nobody_is_told() {
    for (standing, tells) in [
        (Standing::Ready { node_name: "n1".into(), doubt: None }, true),
        (Standing::None("no kubeconfig".into()), false),
    ] {
        let mut world =
            World::with_settings(|settings| settings.responses.spot_interruption.reaction = Reaction::Observe);
        world.feed(Event::Standing(standing));
        world.notice(InstanceAction::Terminate, 120.0);
        world.run(10.0);
        assert_eq!(!told(&world).is_empty(), tells, "{:?}", told(&world));
        assert_eq!(world.guard.state(), State::Watching, "there is nothing to wait for");
        assert_eq!(world.closed[0].outcome, Some(ResponseOutcome::Complete));
        let end = "done; 120.0 s to spare";
        assert!(said(&world).contains(&end), "{:?}", said(&world));
    }
}

#[test]
fn neither_events_nor_conditions_are_told_where_they_are_switched_off() {
    for (events, conditions) in [(false, false), (true, false), (false, true)] {
        let mut world = World::with_settings(|settings| {
            (settings.kubernetes.events, settings.kubernetes.conditions) = (events, conditions);
        });
        world.pod("a", 30, 5);
        world.interrupt(120);
        world.run(20.0);
        assert_eq!(told(&world).iter().any(|text| text.starts_with("event")), events);
        assert_eq!(told(&world).iter().any(|text| text.starts_with("condition")), conditions);
    }
}

#[test]
fn fifty_errors_are_kept_and_none_of_them_twice() {
    let mut world = World::new();
    world.round_trip = ms(1);
    for index in 0..60 {
        let name = format!("10-{index}");
        world.hook(Phase::PreDrain, &name, s(1));
        world.hook_exits.insert(name, vec![1]);
    }
    world.interrupt(120);
    world.run(5.0);
    assert_eq!(world.guard.record().unwrap().errors.len(), 50);
}

#[test]
fn of_hooks_that_fail_three_are_told_of_on_the_node() {
    let mut world = World::new();
    world.hook(Phase::PreDrain, "05-good", ms(1));
    for name in ["10-a", "20-b", "30-c", "40-d", "50-e"] {
        world.hook(Phase::PreDrain, name, ms(1));
        world.hook_exits.insert(name.into(), vec![1]);
    }
    world.interrupt(120);
    world.run(5.0);
    let events = world.events().into_iter().filter(|reason| *reason == "HookFailed").count();
    assert_eq!((events, world.guard.record().unwrap().errors.len()), (3, 5));
}

#[test]
fn taints_that_are_refused_are_told() {
    let taint = Taint { key: "spot".into(), value: String::new(), effect: "NoSchedule".into() };
    let mut world = World::with_settings(|settings| settings.kubernetes.taints = vec![taint.clone()]);
    world.interrupt(120);
    world.run(0.009);
    let number = world.number_of(|request| matches!(request, Request::AddTaints { .. }));
    let refusal = Refusal { status: 403, message: "no".into(), causes: Vec::new(), retry_after: None };
    world.feed(Event::Answered { number, uid: None, answered: Answered::Other(Answer::Refused(refusal)) });
    let errors = world.guard.record().unwrap().errors;
    assert_eq!(errors, ["cannot set the taints of kubernetes.taints: no; use credentials that may"]);
}
