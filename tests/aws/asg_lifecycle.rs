//! `asg-lifecycle`. moto does not know the two calls that matter most, so the stand-in adds them.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stand_ins::wait::expect;

use crate::node::{LONG, Node, text};
use crate::stand_in::{ask, assert_has, documented_policy, is_skipped, without};

/// An instance of a new Auto Scaling group whose termination waits. `lifecycle_hooks`: each with its heartbeat timeout in
/// seconds. So many calls are refused, as if none waited yet.
fn node_with(group: &str, lifecycle_hooks: &Value, policy: &Value, refuses: u32) -> Node {
    let instance = ask(&json!({"group": {"name": group, "hooks": lifecycle_hooks, "refuses": refuses}}));
    let node = Node::new("asg-lifecycle", instance.as_str().unwrap(), policy);
    node.told("SPOT_GUARD_NOTICE", "autoscaling-termination")
}

/// With the policy of the documentation and one lifecycle hook that waits.
fn new_node(group: &str) -> Node {
    node_with(group, &json!({"drain": 330}), &policy(group), 0)
}

fn policy(group: &str) -> Value {
    documented_policy("asg-lifecycle", "NAME", group)
}

/// What was done to its lifecycle actions: seconds, what, the lifecycle hook, the result.
fn calls(node: &Node) -> Vec<(f64, String)> {
    let calls = ask(&json!({"lifecycle": node.instance}));
    let one = |call: &Value| {
        let words = call.as_array().unwrap()[1..].iter().filter_map(Value::as_str);
        (call[0].as_f64().unwrap(), words.collect::<Vec<_>>().join(" "))
    };
    calls.as_array().unwrap().iter().map(one).collect()
}

fn done(node: &Node) -> Vec<String> {
    calls(node).into_iter().map(|(_, call)| call).collect()
}

#[test]
fn a_termination_is_kept_alive_until_term_and_completed_at_the_end() {
    if is_skipped() {
        return;
    }
    let node = new_node("kept alive").settings("ASG_HEARTBEAT=1\n");
    let during = node.start("during");
    expect("three heartbeats", LONG, || (calls(&node).len() >= 3).then_some(()));
    assert_eq!(during.said("stdout"), "a heartbeat every 1 s for drain of group kept alive\n");

    during.signal(Signal::SIGTERM);
    let said = during.end(Duration::from_secs(1));
    assert_eq!(text(&said.stderr), "");
    let calls = calls(&node);
    assert!(calls.iter().all(|(_, call)| call == "heartbeat drain"), "{calls:?}");
    assert!(calls.windows(2).all(|two| two[1].0 - two[0].0 >= 1.0), "{calls:?}");

    node.start("post-drain").assert_done("completed drain of group kept alive\n");
    let after = done(&node);
    assert_eq!(&after[calls.len()..], ["complete drain CONTINUE"]);
}

#[test]
fn all_lifecycle_hooks_for_terminations_are_meant_or_the_one_that_is_named() {
    if is_skipped() {
        return;
    }
    let timeouts = json!({"drain": 330, "backup": 48});
    let node = node_with("two hooks", &timeouts, &policy("two hooks"), 0);
    let during = node.start("during");
    let line = expect("heartbeats", LONG, || during.said("stdout").lines().next().map(str::to_owned));
    assert_eq!(line, "a heartbeat every 24 s for backup drain of group two hooks");
    drop(during);
    assert_eq!(done(&node), ["heartbeat backup", "heartbeat drain"]);

    let node = node.settings("ASG_LIFECYCLE_HOOK=drain\n");
    node.start("post-drain").assert_done("completed drain of group two hooks\n");
    assert_eq!(done(&node)[2..], ["complete drain CONTINUE"]);

    // That one of them is over keeps nothing from the other.
    let node = node.settings("ASG_LIFECYCLE_HOOK=\n");
    let said = node.start("post-drain").end(LONG);
    assert_eq!((said.status.code(), text(&said.stdout)), (Some(0), "completed backup of group two hooks\n"));
    assert_eq!(done(&node)[3..], ["complete backup CONTINUE"]);
}

#[test]
fn other_notices_are_none_of_its_business() {
    if is_skipped() {
        return;
    }
    // Without the AWS CLI it would fail if it wanted to do anything.
    let mut node = new_node("other notices").told("PATH", "/nowhere");
    for notice in ["spot-interruption", "maintenance", "rebalance-recommendation", "by-hand"] {
        node = node.told("SPOT_GUARD_NOTICE", notice);
        node.start("during").assert_done("");
        node.start("post-drain").assert_done("");
    }
    assert_eq!(done(&node), Vec::<String>::new());
}

#[test]
fn a_rehearsal_only_looks_whether_it_could() {
    if is_skipped() {
        return;
    }
    let node = new_node("rehearsed").told("SPOT_GUARD_REHEARSAL", "1");
    for phase in ["during", "post-drain"] {
        node.start(phase).assert_done("a rehearsal: nothing is asked of drain of group rehearsed\n");
    }
    assert_eq!(done(&node), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_told_in_one_line() {
    if is_skipped() {
        return;
    }
    let node = new_node("no CLI").told("PATH", "/nowhere");
    node.start("during").assert_fails(1, &["needs the AWS CLI", "/nowhere"]);
    node.start("post-drain").assert_fails(1, &["needs the AWS CLI"]);

    // Each action of the policy is needed: without one of them it fails, and says which.
    let tried = [
        ("during", "DescribeAutoScalingInstances"),
        ("during", "DescribeLifecycleHooks"),
        ("during", "RecordLifecycleActionHeartbeat"),
        ("post-drain", "CompleteLifecycleAction"),
    ];
    assert_has(&policy("any"), &tried.map(|(_, action)| action));
    for (phase, action) in tried {
        let name = format!("no {action}");
        let node = node_with(&name, &json!({"drain": 330}), &without(action, &policy(&name)), 0);
        node.start(phase).assert_fails(1, &["not authorized", &format!("autoscaling:{action}")]);
        assert_eq!(done(&node), Vec::<String>::new());
    }

    let node = new_node("no keys").told("AWS_ACCESS_KEY_ID", "").told("AWS_EC2_METADATA_DISABLED", "true");
    node.start("during").assert_fails(1, &["credentials"]);
    let node = node_with("no hooks", &json!({}), &policy("no hooks"), 0);
    node.start("during").assert_fails(1, &["group no hooks has no lifecycle hook for terminations"]);
    let node = node.told("SPOT_GUARD_INSTANCE_ID", "i-00000000000000000");
    node.start("post-drain").assert_fails(1, &["i-00000000000000000 belongs to no Auto Scaling group"]);
}

#[test]
fn what_may_go_well_the_next_time_is_tried_again() {
    if is_skipped() {
        return;
    }
    let node = node_with("later", &json!({"drain": 330}), &policy("later"), 2);
    // spot-guard runs a hook again that ends with 75.
    node.start("post-drain").assert_fails(75, &["No active Lifecycle Action"]);
    let during = node.start("during");
    expect("a heartbeat", LONG, || (done(&node) == ["heartbeat drain"]).then_some(()));
    assert!(during.said("stderr").contains("No active Lifecycle Action"), "{}", during.said("stderr"));
}

#[test]
fn while_pods_stop_the_action_is_completed_just_before_the_deadline_and_not_earlier() {
    if !is_skipped() {
        assert_completed_just_before_the_deadline("pods left", "2");
    }
}

#[test]
fn where_pods_were_never_listed_the_action_is_completed_just_before_the_deadline_and_not_earlier() {
    if !is_skipped() {
        assert_completed_just_before_the_deadline("pods unknown", "");
    }
}

fn assert_completed_just_before_the_deadline(group: &str, pods_left: &str) {
    let node = new_node(group).told("SPOT_GUARD_NODE_NAME", "n1").told("SPOT_GUARD_PODS_LEFT", pods_left);
    let node = node.told("SPOT_GUARD_SECONDS_LEFT", "12");
    let start = Instant::now();
    let hook = node.start("post-drain");
    let completed = expect("completion", LONG, || (!calls(&node).is_empty()).then(|| start.elapsed()));
    // The seconds that are told are whole ones.
    assert!(completed >= Duration::from_secs(8), "after {completed:?}");
    hook.assert_done(&format!("completed drain of group {group}\n"));
}
