//! `asg-detach`.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::node::Node;
use crate::stand_in::{assert_has, call, documented_policy, is_skipped, without};

fn policy(group: &str) -> Value {
    documented_policy("asg-detach", "NAME", group)
}

/// One of two instances of a new Auto Scaling group, at a Spot interruption.
fn node_with(group: &str, policy: &Value) -> Node {
    let parameters = json!({
        "AutoScalingGroupName": group, "LaunchConfigurationName": "node", "MinSize": 1, "MaxSize": 2, "DesiredCapacity": 2,
        "AvailabilityZones": ["eu-west-1a"],
    });
    call("autoscaling", "create_auto_scaling_group", &parameters);
    let instance = instances(group).swap_remove(0);
    Node::new("asg-detach", &instance, policy).told("SPOT_GUARD_NOTICE", "spot-interruption")
}

fn new_node(group: &str) -> Node {
    node_with(group, &policy(group))
}

fn describe(group: &str) -> Value {
    call("autoscaling", "describe_auto_scaling_groups", &json!({"AutoScalingGroupNames": [group]}))["AutoScalingGroups"]
        [0]
    .take()
}

fn instances(group: &str) -> Vec<String> {
    let group = describe(group);
    let instances = group["Instances"].as_array().unwrap().iter();
    instances.map(|instance| instance["InstanceId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn another_instance_starts_at_once_in_place_of_the_one_that_goes() {
    if is_skipped() {
        return;
    }
    let node = new_node("detach replaced");
    let before = instances("detach replaced");
    node.start("pre-drain").assert_done("detached from group detach replaced, which starts another\n");
    let after = instances("detach replaced");
    assert!(!after.contains(&node.instance), "{after:?}");
    assert_eq!(after.iter().filter(|instance| !before.contains(instance)).count(), 1, "{before:?} {after:?}");
    assert_eq!(describe("detach replaced")["DesiredCapacity"], 2);

    // A restarted daemon runs it again.
    let said = format!("{} belongs to no Auto Scaling group\n", node.instance);
    node.start("pre-drain").assert_done(&said);
    assert_eq!(instances("detach replaced"), after);
}

#[test]
fn it_acts_on_the_notices_of_its_settings_and_never_where_the_group_ends_the_instance() {
    if is_skipped() {
        return;
    }
    let mut node =
        new_node("detach other notices").settings("ASG_DETACH_NOTICES='maintenance autoscaling-termination'\n");
    for (notice, said) in [
        ("spot-interruption", ""),
        ("rebalance-recommendation", ""),
        ("by-hand", ""),
        ("autoscaling-termination", "the group itself ends and replaces this instance\n"),
    ] {
        node = node.told("SPOT_GUARD_NOTICE", notice);
        node.start("pre-drain").assert_done(said);
        assert!(instances("detach other notices").contains(&node.instance), "{notice}");
    }
    node = node.told("SPOT_GUARD_NOTICE", "maintenance");
    node.start("pre-drain").assert_done("detached from group detach other notices, which starts another\n");
}

#[test]
fn it_refuses_beside_asg_lifecycle() {
    if is_skipped() {
        return;
    }
    let node = new_node("detach beside");
    let folder = node.path("/etc/spot-guard/hooks/during.d");
    fs::create_dir_all(&folder).unwrap();
    let hook = node.path("/etc/spot-guard/asg-lifecycle");
    fs::write(&hook, "").unwrap();
    symlink(&hook, folder.join("50-alive")).unwrap();
    node.start("pre-drain").assert_fails(1, &["not together with asg-lifecycle", "during.d/50-alive"]);
    assert!(instances("detach beside").contains(&node.instance));
}

#[test]
fn a_rehearsal_only_looks_whether_it_could() {
    if is_skipped() {
        return;
    }
    let node = new_node("detach rehearsed").told("SPOT_GUARD_REHEARSAL", "1");
    node.start("pre-drain").assert_done("a rehearsal: stays in group detach rehearsed\n");
    assert!(instances("detach rehearsed").contains(&node.instance));

    let node = node.told("SPOT_GUARD_INSTANCE_ID", "i-00000000000000000");
    node.start("pre-drain").assert_fails(1, &["i-00000000000000000 belongs to no Auto Scaling group"]);
}

#[test]
fn each_action_of_its_policy_is_needed() {
    if is_skipped() {
        return;
    }
    let actions = ["DescribeAutoScalingInstances", "DetachInstances"];
    assert_has(&policy("any"), &actions);
    for action in actions {
        let group = format!("detach without {action}");
        let node = node_with(&group, &without(action, &policy(&group)));
        node.start("pre-drain").assert_fails(1, &["not authorized", action]);
        assert!(instances(&group).contains(&node.instance));
    }
    // Of its own group only.
    let node = node_with("another", &policy("some"));
    node.start("pre-drain").assert_fails(1, &["not authorized", "DetachInstances"]);
}
