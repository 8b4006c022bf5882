//! On the way back what was spot-guard's is undone and nothing else, whatever happens in the middle of it.

use std::fs;
use std::time::Duration;

use serde_json::json;
use stand_ins::client::STRATEGIC;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::LIFECYCLE_STATE;
use stand_ins::node_state::{ANNOTATION, EXCLUDED};
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Says that it runs, then waits for `$OUT/go`.
const HOLD: &str = "echo $$ >>$OUT/held; until [ -e $OUT/go ]; do sleep 0.1; done; echo >>$OUT/uncordon";

const TELL: &str = "echo >>$OUT/uncordon";

/// A world whose node is drained for a termination by its group.
fn drained(purpose: &str, before: impl Fn(&World), setup: impl Fn(&World) -> Setup) -> (World, Guard) {
    let world = World::new(purpose, &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    before(&world);
    let guard = setup(&world).start();
    guard.wait_line("is ready", seconds(20));
    world.imds.set_lifecycle_state("Terminated");
    guard.wait_done(seconds(40));
    world.wait_event(&guard, "DrainFinished", "");
    assert!(world.is_cordoned() && world.is_labelled());
    (world, guard)
}

fn wait_held(guard: &Guard, times: usize) {
    guard.expect("the hook holds", seconds(40), || (guard.told("held").len() == times).then_some(()));
}

fn let_go(guard: &Guard) {
    fs::write(guard.out().join("go"), "").unwrap();
}

fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until the node is on its way back, and spot-guard says so.
fn wait_returning(guard: &Guard) {
    guard.expect("it is returning", seconds(30), || guard.status().filter(|status| status["state"] == "returning"));
}

#[test]
fn what_an_administrator_had_cordoned_and_labelled_before_stays_so() {
    let patch = json!({"spec": {"unschedulable": true}, "metadata": {"labels": {EXCLUDED: "true"}}});
    let before = |world: &World| world.cluster.patch_node(&world.node, &patch);
    let (world, guard) = drained("not-ours", before, |world| world.setup(PROGRAM).hook("uncordon", "10-tell", TELL));
    world.imds.set_lifecycle_state("InService");
    world.wait_back(&guard);
    assert!(world.is_cordoned() && world.is_labelled(), "what was not ours was undone");
    assert_eq!((world.annotation(), guard.told("uncordon").len()), (None, 1));
    world.assert_only_allowed_requests();
}

#[test]
fn the_label_alone_is_taken_away_where_the_cordon_was_there_before() {
    let before = |world: &World| world.cluster.patch_node(&world.node, &json!({"spec": {"unschedulable": true}}));
    let (world, guard) = drained("label-ours", before, |world| world.setup(PROGRAM));
    world.imds.set_lifecycle_state("InService");
    world.wait_back(&guard);
    assert!(world.is_cordoned() && !world.is_labelled() && world.annotation().is_none());
}

#[test]
fn who_takes_the_annotation_away_takes_the_node_over() {
    let (world, guard) = drained("taken", |_| (), |world| world.setup(PROGRAM).hook("uncordon", "10-tell", TELL));
    world.cluster.patch_node(&world.node, &json!({"metadata": {"annotations": {ANNOTATION: null}}}));
    let patches = world.count_accepted("patch nodes");
    world.imds.set_lifecycle_state("InService");
    world.wait_back(&guard);
    assert!(world.is_cordoned() && world.is_labelled());
    assert_eq!(world.count_accepted("patch nodes"), patches);
    assert_eq!((world.count_events("Uncordon"), guard.told("uncordon").len()), (0, 1));
}

#[test]
fn a_crash_in_a_hook_of_the_way_back_runs_that_hook_again_and_undoes_nothing_twice() {
    let (world, mut guard) =
        drained("hook-cut", |_| (), |world| world.setup(PROGRAM).hook("uncordon", "10-hold", HOLD));
    world.imds.set_lifecycle_state("InService");
    wait_held(&guard, 1);
    guard.wait_record("the hook's process", seconds(20), |record| {
        let hooks = record["hooks"].as_array().into_iter().flatten();
        hooks.into_iter().any(|hook| hook["name"] == "10-hold" && !hook["process"].is_null())
    });
    world.wait_event(&guard, "Uncordon", "");
    let patches = world.count_accepted("patch nodes");
    guard.kill();
    // Now it is cordoned by somebody else, which is not for the next daemon to undo.
    world.cluster.patch_node(&world.node, &json!({"spec": {"unschedulable": true}}));
    guard.start_again();
    wait_held(&guard, 2);
    assert!(!lives(&guard.told("held")[0]), "the cut hook still runs");
    let_go(&guard);
    world.wait_back(&guard);
    assert_eq!(guard.told("uncordon").len(), 1);
    assert!(world.is_cordoned(), "somebody else's cordon was undone");
    assert_eq!((world.count_accepted("patch nodes"), world.count_events("Uncordon")), (patches, 1));
}

#[test]
fn a_crash_before_the_node_is_back_goes_on_with_it() {
    let (world, mut guard) = drained("cut", |_| (), |world| world.setup(PROGRAM).hook("uncordon", "10-tell", TELL));
    world.faults.hang();
    world.imds.set_lifecycle_state("InService");
    wait_returning(&guard);
    guard.wait_record("the way back is on disk", seconds(10), |record| {
        record["phases"].as_array().into_iter().flatten().any(|phase| phase["name"] == "uncordon")
    });
    guard.kill();
    assert!(world.is_cordoned());
    guard.start_again();
    // It need not be told once more that the node may come back.
    world.imds.leave_group();
    world.faults.heal();
    world.wait_back_within(&guard, seconds(40));
    world.wait_event(&guard, "Uncordon", "");
    world.assert_back();
    assert_eq!(guard.told("uncordon").len(), 1);
}

#[test]
fn a_crash_while_the_answer_is_under_way_leaves_nothing_behind() {
    let (world, mut guard) =
        drained("answer-cut", |_| (), |world| world.setup(PROGRAM).hook("uncordon", "10-tell", TELL));
    world.faults.delay(Duration::from_millis(900));
    world.imds.set_lifecycle_state("InService");
    guard.expect("the API server has uncordoned the node", seconds(40), || (!world.is_cordoned()).then_some(()));
    guard.kill();
    assert_eq!(guard.told("uncordon").len(), 0, "the answer was held back");
    world.faults.reset();
    world.faults.heal();
    guard.start_again();
    world.wait_back_within(&guard, seconds(40));
    assert!(!world.is_cordoned() && !world.is_labelled() && world.annotation().is_none());
    assert_eq!(guard.told("uncordon").len(), 1);
    guard.expect("the condition is no more", seconds(10), || {
        world.condition().filter(|condition| condition.0 == "False")
    });
}

#[test]
fn taints_of_ours_are_taken_away_and_those_of_others_stay() {
    let others = json!([{"key": "example.com/team", "value": "a", "effect": "NoSchedule"}]);
    let before = |world: &World| {
        let path = format!("/api/v1/nodes/{}", world.node.name);
        world.cluster.admin.patch(&path, STRATEGIC, &json!({"spec": {"taints": others}})).ok();
    };
    let taints = "[kubernetes]\ntaints = [\"example.com/going=soon:NoSchedule\", \"example.com/team=a:NoSchedule\"]";
    let (world, guard) = drained("taints-back", before, |world| {
        let setup = world.setup(PROGRAM).config(taints).argument("--node-name").argument(&world.node.name);
        let administrator =
            world.cluster.authority().client("administrator", "system:masters", Duration::from_secs(3600));
        world.kubeconfigs(&setup).rotate(&administrator);
        setup
    });
    let mut there = world.taints();
    there.sort();
    assert_eq!(there, ["example.com/going", "example.com/team"]);
    world.imds.set_lifecycle_state("InService");
    world.wait_back(&guard);
    world.wait_event(&guard, "Uncordon", "");
    assert_eq!(world.taints(), ["example.com/team"]);
    world.assert_back();
}

#[test]
fn while_the_api_server_is_away_it_is_asked_until_the_node_is_back_and_hooks_do_not_wait_for_it() {
    let (world, guard) = drained("away", |_| (), |world| world.setup(PROGRAM).hook("uncordon", "10-tell", TELL));
    world.faults.refuse();
    world.imds.set_lifecycle_state("InService");
    wait_returning(&guard);
    guard.expect("the hooks run", seconds(30), || (guard.told("uncordon").len() == 1).then_some(()));
    assert!(world.is_cordoned());
    world.wait_polls(&guard, LIFECYCLE_STATE, 1, seconds(20));
    world.faults.heal();
    let record = world.wait_back_within(&guard, seconds(40));
    world.wait_event(&guard, "Uncordon", "");
    world.assert_back();
    assert_eq!((&record["outcome"], guard.told("uncordon").len()), (&"complete".into(), 1), "{record:#}");
}

#[test]
fn of_a_notice_that_is_taken_back_hooks_have_their_ends_and_pods_that_stay_are_not_lost() {
    let world = World::new("taken-back", &[PodSpec::new("db-0").grace(30).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let beat = "trap 'echo ends; exit 0' TERM; while :; do sleep 0.1; done";
    let guard = world.start(world.setup(PROGRAM).hook("during", "10-beat", beat));
    world.imds.set_lifecycle_state("Terminated");
    guard.wait_record("its budget holds the pod", seconds(40), |record| !record["pods"][0]["refused_at"].is_null());
    world.imds.set_lifecycle_state("InService");
    let record = world.wait_back(&guard);
    let (pod, hook) = (&record["pods"][0], &record["hooks"][0]);
    assert_eq!((&record["outcome"], &pod["outcome"]), (&"withdrawn".into(), &json!(null)), "{record:#}");
    assert!(hook["stopped"] == true && hook["output_tail"].as_str().unwrap().contains("ends"), "{record:#}");
    assert!(hook["seconds"].is_f64() && hook["process"].is_null(), "{record:#}");
    let metrics = String::from_utf8(guard.output(&["status", "--metrics"]).stdout).unwrap();
    for outcome in ["pending", "graceful", "killed", "left"] {
        assert!(metrics.contains(&format!("spot_guard_pods{{outcome=\"{outcome}\"}} 0")), "{outcome}\n{metrics}");
    }
}

#[test]
fn a_notice_in_the_middle_of_it_breaks_it_off() {
    let (world, guard) = drained("broken-off", |_| (), |world| world.setup(PROGRAM).hook("uncordon", "10-hold", HOLD));
    let first = guard.record().unwrap();
    world.imds.set_lifecycle_state("InService");
    wait_held(&guard, 1);
    world.cluster.make_pod(&world.node, &PodSpec::new("web-1").grace(5).stops_in(0.5));
    world.interrupt(&guard, 20);
    let record = guard.wait_record("another response has ended", seconds(40), |record| {
        record["id"] != first["id"] && !record["outcome"].is_null()
    });
    assert_eq!((&record["notice"]["kind"], &record["outcome"]), (&"spot-interruption".into(), &"complete".into()));
    assert!(world.is_cordoned() && world.is_labelled());
    assert_eq!(record["node"]["cordoned_by_us"], true, "{record:#}");
    let held = guard.told("held").remove(0);
    guard.expect("the hook is ended", seconds(10), || (!lives(&held)).then_some(()));
}
