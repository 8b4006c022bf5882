//! Beside others who cordon, drain or take the same node, nothing is fought over, nothing is done twice, and nothing is
//! undone that was not spot-guard's.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::client::STRATEGIC;
use stand_ins::guard::Guard;
use stand_ins::imds::SPOT;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::sightings::Sightings;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};

/// How long after a pod was first seen to stop an ask for it may still come that was sent before.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// As `kubectl cordon` and AWS Node Termination Handler do it (kubernetes/kubernetes
/// `staging/src/k8s.io/kubectl/pkg/drain/cordon.go`).
fn others_cordon(world: &World, cordon: bool) {
    patch_node(world, &json!({"spec": {"unschedulable": cordon}}));
}

fn patch_node(world: &World, patch: &Value) {
    world.cluster.admin.patch(&format!("/api/v1/nodes/{}", world.node.name), STRATEGIC, patch).ok();
}

/// As AWS Node Termination Handler marks a node that is going to reboot, and one that is interrupted
/// (aws-node-termination-handler `pkg/node/node.go`).
fn others_mark(world: &World) {
    let labels = json!({"aws-node-termination-handler/action": "UncordonAfterReboot",
                        "aws-node-termination-handler/event-id": "spot-itn-0123456789abcdef"});
    let taint = json!({"key": "aws-node-termination-handler/spot-itn", "value": "spot-itn-0123456789abcdef",
                       "effect": "NoSchedule"});
    patch_node(world, &json!({"metadata": {"labels": labels}, "spec": {"taints": [taint]}}));
}

/// Evicts that pod as `kubectl drain` does without a grace period of its own; the status of the answer.
fn others_evict(world: &World, name: &str) -> u16 {
    let path = format!("/api/v1/namespaces/{}/pods/{name}/eviction", world.node.namespace);
    let metadata = json!({"name": name, "namespace": world.node.namespace});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": {}});
    world.cluster.admin.post(&path, &eviction).status
}

/// A few pods that need some seconds to stop.
fn slow_pods(count: usize) -> Vec<PodSpec> {
    PodSpec::many("web", count).into_iter().map(|pod| pod.grace(15).stops_in(5.0)).collect()
}

fn is_stopping(world: &World, name: &str) -> bool {
    world.cluster.pod(&world.node, name).is_none_or(|pod| pod["metadata"]["deletionTimestamp"].is_string())
}

#[test]
fn pods_that_others_have_evicted_before_are_waited_for_and_not_asked_again() {
    let world = World::new("evicted", &slow_pods(6));
    let guard = world.start(world.setup(PROGRAM));
    others_cordon(&world, true);
    others_mark(&world);
    for name in ["web-0", "web-1", "web-2", "web-3"] {
        assert_eq!(others_evict(&world, name), 201);
    }
    world.interrupt(&guard, 25);
    let record = guard.wait_done(seconds(35));
    assert_eq!((&record["outcome"], record::count(&record, "graceful")), (&"complete".into(), 6), "{record:#}");
    let mut asked: Vec<String> = world.asks().into_iter().map(|ask| ask.name).collect();
    asked.sort();
    assert_eq!(asked, ["web-4", "web-5"]);
    let node = &record["node"];
    assert_eq!((&node["cordoned_by_us"], &node["labelled_by_us"]), (&false.into(), &true.into()), "{record:#}");
    world.assert_only_allowed_requests();
}

#[test]
fn others_who_evict_the_same_pods_at_the_same_time_are_no_trouble() {
    let pods: Vec<PodSpec> = PodSpec::many("web", 20).into_iter().map(|pod| pod.grace(15).stops_in(8.0)).collect();
    let world = World::new("together", &pods);
    world.cluster.make_pod(&world.node, &PodSpec::new("db-0").grace(3).stops_in(0.5));
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let sightings = Sightings::of(&world.cluster, &world.node);
    let guard =
        world.start(world.setup(PROGRAM).hook("pre-drain", "10-hold", "until [ -e $OUT/go ]; do sleep 0.1; done"));
    world.interrupt(&guard, 40);
    world.wait_cordoned(&guard);
    others_cordon(&world, true);
    others_mark(&world);
    // The others are the first for half of the pods; then all ask for all.
    let names: Vec<String> = world.cluster.pods(&world.node).iter().map(name).collect();
    assert!(names[..10].iter().all(|name| matches!(others_evict(&world, name), 201 | 429)));
    world.wait_polls(&guard, SPOT, 3, seconds(20));
    let over = AtomicBool::new(false);
    let record = thread::scope(|scope| {
        scope.spawn(|| evict_until_gone(&world, names.clone(), &over));
        fs::write(guard.out().join("go"), "").unwrap();
        let record = guard.wait_done(seconds(50));
        over.store(true, Ordering::SeqCst);
        record
    });
    assert_eq!((&record["outcome"], record::count(&record, "graceful")), (&"complete".into(), 21), "{record:#}");
    assert_no_stopping_pod_is_asked(&world, &sightings);
    assert!(record["errors"].as_array().is_some_and(Vec::is_empty), "{record:#}");
    let left = record::before_deadline(&record, &record::pod(&record, "db-0")["asked_at"]);
    assert!((left - 5.0).abs() < 0.9, "db-0 was forced {left} s before the deadline");
    assert_eq!(world.count_accepted("patch nodes"), 1);
    world.assert_only_allowed_requests();
}

fn name(pod: &Value) -> String {
    pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Each pod again and again, as the drain of `kubectl` tries.
fn evict_until_gone(world: &World, mut names: Vec<String>, over: &AtomicBool) {
    while !names.is_empty() && !over.load(Ordering::SeqCst) {
        names.retain(|name| others_evict(world, name) != 404);
    }
}

/// Each pod was asked once at the most, and not after it was seen to stop.
fn assert_no_stopping_pod_is_asked(world: &World, sightings: &Sightings) {
    let accepted: Vec<_> = world.asks().into_iter().filter(|ask| ask.code < 300).collect();
    for ask in &accepted {
        let count = accepted.iter().filter(|other| other.name == ask.name).count();
        assert_eq!(count, 1, "{} was asked again", ask.name);
        let stopping = sightings.asked(&ask.name).expect("it was seen to stop");
        let since = OffsetDateTime::now_utc() - stopping.at.elapsed();
        assert!(ask.at < since + UNDER_WAY, "{} was asked {} after it was stopping", ask.name, ask.at - since);
    }
}

#[test]
fn an_administrator_who_uncordons_in_the_middle_is_not_fought() {
    let world = World::new("uncordoned", &[PodSpec::new("web-0").grace(15).stops_in(8.0)]);
    let mut guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 30);
    world.wait_cordoned(&guard);
    guard.wait_record("the cordon is recorded", seconds(10), |record| !record["node"]["settled_at"].is_null());
    others_cordon(&world, false);
    // Neither now nor by the next start.
    guard.kill();
    guard.start_again();
    let record = guard.wait_done(seconds(40));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert!(!world.is_cordoned());
    assert_eq!(world.count_accepted("patch nodes"), 1);
}

#[test]
fn an_administrators_cordon_over_ours_changes_nothing_and_who_takes_the_annotation_keeps_the_node() {
    for keeps in [true, false] {
        let world = World::new("cordoned-after", &[]);
        let guard = world.start(world.setup(PROGRAM));
        world.imds.set_lifecycle_state("Terminated");
        guard.wait_done(seconds(30));
        world.wait_event(&guard, "DrainFinished", "");
        others_cordon(&world, true);
        if keeps {
            patch_node(&world, &json!({"metadata": {"annotations": {"spot-guard/response": null}}}));
        }
        world.imds.set_lifecycle_state("InService");
        world.wait_back(&guard);
        assert_eq!((world.is_cordoned(), world.is_labelled()), (keeps, keeps));
    }
}

#[test]
fn the_way_back_undoes_nothing_that_others_have_put_on_the_node() {
    let world = World::new("marked", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM));
    others_cordon(&world, true);
    others_mark(&world);
    world.imds.set_lifecycle_state("Terminated");
    guard.wait_done(seconds(30));
    assert!(world.is_labelled());
    world.imds.set_lifecycle_state("InService");
    world.wait_back(&guard);
    assert!(world.is_cordoned() && !world.is_labelled() && world.annotation().is_none());
    assert_eq!(world.taints(), ["aws-node-termination-handler/spot-itn"]);
    let labels = &world.cluster.node(&world.node)["metadata"]["labels"];
    assert_eq!(labels["aws-node-termination-handler/action"], "UncordonAfterReboot");
}

/// The pods that were left when post-drain began, and how long after the drain it did. `late`: taints that come once the
/// pod is stopping.
fn post_drain_begins(purpose: &str, taints: &Value, late: Option<&Value>) -> (Vec<String>, f64) {
    let world = World::new(purpose, &[PodSpec::new("web-0").grace(15).stops_in(4.0)]);
    patch_node(&world, &json!({"spec": {"taints": taints}}));
    let setup = world.setup(PROGRAM).hook("post-drain", "10-tell", "echo $SPOT_GUARD_PODS_LEFT >>$OUT/left");
    let guard: Guard = world.start(setup);
    world.interrupt(&guard, 40);
    if let Some(late) = late {
        guard.wait_record("the pod was asked", seconds(20), |record| !record["pods"][0]["asked_at"].is_null());
        patch_node(&world, &json!({"spec": {"taints": late}}));
    }
    let record = guard.wait_done(seconds(45));
    assert_eq!((&record["outcome"], record::count(&record, "graceful")), (&"complete".into(), 1), "{record:#}");
    assert!(is_stopping(&world, "web-0"));
    let began = |name: &str| {
        let phases = record["phases"].as_array().into_iter().flatten();
        let phase = phases.into_iter().find(|phase| phase["name"] == name).expect("the phase began");
        record::since_notice(&record, &phase["started_at"])
    };
    (guard.told("left"), began("post-drain") - began("drain"))
}

#[test]
fn beside_karpenter_post_drain_begins_with_the_drain_and_else_after_it() {
    let disrupted = json!([{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]);
    let (left, after) = post_drain_begins("karpenter", &disrupted, None);
    assert!(left == ["1"] && after < 1.5, "{left:?} left, {after} s after the drain began");
    let (left, after) = post_drain_begins("late-karpenter", &json!([]), Some(&disrupted));
    assert!(left == ["1"] && after < 3.5, "{left:?} left, {after} s after the drain began");
    let (left, after) = post_drain_begins("no-karpenter", &json!([]), None);
    assert!(left == ["0"] && after > 3.5, "{left:?} left, {after} s after the drain began");
}
