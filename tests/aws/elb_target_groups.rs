//! `elb-target-groups`.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::node::{LONG, Node, text};
use crate::stand_in::{assert_has, call, documented_policy, is_skipped, without};

const NAMED: &str = "ELB_WAIT=0\nELB_TARGET_GROUPS=";

/// A node that runs, in no target group.
fn node_with(policy: &Value) -> Node {
    let parameters = json!({"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1});
    let instance = call("ec2", "run_instances", &parameters)["Instances"][0]["InstanceId"].take();
    Node::new("elb-target-groups", instance.as_str().unwrap(), policy)
}

/// May change target groups whose names begin so.
fn new_node(groups: &str) -> Node {
    node_with(&policy(groups))
}

fn policy(groups: &str) -> Value {
    documented_policy("elb-target-groups", "NAME", &format!("{groups}*"))
}

/// A new target group of port 80; its ARN.
fn new_group(name: &str) -> String {
    let network = call("ec2", "describe_vpcs", &json!({}))["Vpcs"][0]["VpcId"].take();
    let parameters = json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": network});
    let group = call("elbv2", "create_target_group", &parameters)["TargetGroups"][0]["TargetGroupArn"].take();
    group.as_str().unwrap().to_owned()
}

fn register(group: &str, targets: &Value) {
    call("elbv2", "register_targets", &json!({"TargetGroupArn": group, "Targets": targets}));
}

fn new_group_with(name: &str, node: &Node) -> String {
    let group = new_group(name);
    register(&group, &json!([{"Id": node.instance}]));
    group
}

/// Target, port and state of each.
fn targets(group: &str) -> Vec<String> {
    let health = call("elbv2", "describe_target_health", &json!({"TargetGroupArn": group}));
    let one = |target: &Value| {
        let (id, port) = (target["Target"]["Id"].as_str().unwrap(), &target["Target"]["Port"]);
        format!("{id}:{port} {}", target["TargetHealth"]["State"].as_str().unwrap())
    };
    health["TargetHealthDescriptions"].as_array().unwrap().iter().map(one).collect()
}

fn state(group: &str, node: &Node) -> String {
    let targets = targets(group);
    let mine: Vec<&String> = targets.iter().filter(|target| target.starts_with(&node.instance)).collect();
    mine.first().map_or_else(String::new, |target| target.split(' ').nth(1).unwrap().to_owned())
}

#[test]
fn the_instance_leaves_its_groups_by_name_arn_and_tag_and_comes_back_with_its_ports() {
    if is_skipped() {
        return;
    }
    let node = new_node("way-");
    let (named, by_arn, tagged) = (new_group("way-a"), new_group("way-b"), new_group("way-c"));
    let (not_meant, not_in) = (new_group_with("way-d", &node), new_group("way-e"));
    register(&named, &json!([{"Id": node.instance, "Port": 8080}, {"Id": "10.0.0.7", "Port": 80}]));
    register(&by_arn, &json!([{"Id": node.instance}]));
    register(&tagged, &json!([{"Id": node.instance}]));
    let tag = |value| json!([{"Key": "leave", "Value": value}]);
    call("elbv2", "add_tags", &json!({"ResourceArns": [tagged], "Tags": tag("way")}));
    call("elbv2", "add_tags", &json!({"ResourceArns": [not_meant], "Tags": tag("never")}));
    let settings = format!("ELB_WAIT=0\nELB_TARGET_GROUPS='way-a {by_arn} way-e'\nELB_TARGET_GROUP_TAG=leave=way\n");
    let node = node.settings(&settings);

    let all = [&named, &by_arn, &tagged, &not_meant, &not_in];
    let before = all.map(|group| targets(group));
    node.start("pre-drain").assert_done("out of way-a way-b way-c; what is in flight has 0 s\n");
    assert_eq!(all.map(|group| state(group, &node)), ["draining", "draining", "draining", "healthy", ""]);
    assert!(targets(&named).contains(&"10.0.0.7:80 healthy".to_owned()));

    // A restarted daemon runs it again.
    node.start("pre-drain").assert_done("out of way-a way-b way-c; what is in flight has 0 s\n");

    node.start("uncordon").assert_done("registered again in way-a way-b way-c\n");
    let mut after = all.map(|group| targets(group));
    after[0].sort();
    let mut before = before;
    before[0].sort();
    assert_eq!(after, before);
    node.start("uncordon").assert_done("");
}

#[test]
fn what_somebody_else_took_out_stays_out() {
    if is_skipped() {
        return;
    }
    let node = new_node("else-").settings(&format!("{NAMED}'else-a else-b'\n"));
    let (ours, theirs) = (new_group_with("else-a", &node), new_group_with("else-b", &node));
    call("elbv2", "deregister_targets", &json!({"TargetGroupArn": theirs, "Targets": [{"Id": node.instance}]}));
    node.start("pre-drain").assert_done("out of else-a else-b; what is in flight has 0 s\n");
    node.start("uncordon").assert_done("registered again in else-a\n");
    assert_eq!((state(&ours, &node), state(&theirs, &node)), ("healthy".to_owned(), "draining".to_owned()));
}

#[test]
fn what_is_in_flight_has_the_longest_deregistration_delay_that_fits() {
    if is_skipped() {
        return;
    }
    let node = new_node("delay-").settings("ELB_TARGET_GROUPS='delay-a delay-b'\n");
    for (name, seconds) in [("delay-a", "3"), ("delay-b", "1")] {
        let group = new_group_with(name, &node);
        let delay = json!([{"Key": "deregistration_delay.timeout_seconds", "Value": seconds}]);
        call("elbv2", "modify_target_group_attributes", &json!({"TargetGroupArn": group, "Attributes": delay}));
    }
    let start = Instant::now();
    node.start("pre-drain").assert_done("out of delay-a delay-b; what is in flight has 3 s\n");
    assert!(start.elapsed() >= Duration::from_secs(3));

    // With a delay of 300 s, what the hook has is less.
    let node = node.settings("ELB_TARGET_GROUPS=delay-c\n").told("SPOT_GUARD_TIMEOUT", "12");
    new_group_with("delay-c", &node);
    let start = Instant::now();
    let output = node.start("pre-drain").end(LONG);
    let (took, said) = (start.elapsed(), text(&output.stdout).to_owned());
    assert_eq!(output.status.code(), Some(0));
    let waited: u64 = said.trim_end().rsplit(' ').nth(1).unwrap().parse().unwrap();
    assert!(waited <= 10 && Duration::from_secs(waited) <= took, "{said} in {took:?}");
}

#[test]
fn a_rehearsal_only_looks_whether_it_could() {
    if is_skipped() {
        return;
    }
    let node = new_node("rehearsed-").settings(&format!("{NAMED}rehearsed-a\n")).told("SPOT_GUARD_REHEARSAL", "1");
    let group = new_group_with("rehearsed-a", &node);
    node.start("pre-drain").assert_done("a rehearsal: stays registered in rehearsed-a\n");
    assert_eq!(state(&group, &node), "healthy");
    let node = node.settings(&format!("{NAMED}rehearsed-b\n"));
    node.start("pre-drain").assert_fails(75, &["target groups not found"]);
}

#[test]
fn each_action_of_its_policy_is_needed() {
    if is_skipped() {
        return;
    }
    let group = new_group("needed-a");
    call("elbv2", "add_tags", &json!({"ResourceArns": [group], "Tags": [{"Key": "needed", "Value": ""}]}));
    let by_arn = format!("ELB_TARGET_GROUPS={group}");
    let at_once = format!("ELB_WAIT=0\n{by_arn}");
    let tried = [
        ("DescribeTargetGroups", "ELB_WAIT=0\nELB_TARGET_GROUPS=needed-a"),
        ("GetResources", "ELB_WAIT=0\nELB_TARGET_GROUP_TAG=needed"),
        ("DescribeTargetHealth", &by_arn),
        ("DeregisterTargets", &at_once),
        ("DescribeTargetGroupAttributes", &by_arn),
    ];
    let actions: Vec<&str> = tried.iter().map(|(action, _)| *action).chain(["RegisterTargets"]).collect();
    assert_has(&policy("any"), &actions);
    for (action, settings) in tried {
        let node = node_with(&without(action, &policy("needed-"))).settings(settings).told("SPOT_GUARD_TIMEOUT", "0");
        register(&group, &json!([{"Id": node.instance}]));
        // moto says so in XML of many lines, of which the first names the action.
        node.start("pre-drain").assert_fails(1, &[action]);
    }
    let node = node_with(&without("RegisterTargets", &policy("needed-"))).settings(&at_once);
    register(&group, &json!([{"Id": node.instance}]));
    node.start("pre-drain").assert_done("out of needed-a; what is in flight has 0 s\n");
    node.start("uncordon").assert_fails(1, &["not authorized", "RegisterTargets"]);
}

#[test]
fn a_group_that_fails_keeps_nothing_from_the_others() {
    if is_skipped() {
        return;
    }
    let node = new_node("others-").settings(&format!("{NAMED}'others-gone not-ours others-a'\n"));
    let (group, not_ours) = (new_group_with("others-a", &node), new_group_with("not-ours", &node));
    let output = node.start("pre-drain").end(LONG);
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(75), 2), "{lines:?}");
    assert!(lines[0].contains("target groups not found") && lines[1].contains("not authorized"), "{lines:?}");
    assert_eq!((state(&group, &node), state(&not_ours, &node)), ("draining".to_owned(), "healthy".to_owned()));
}

#[test]
fn what_is_missing_is_told_in_one_line() {
    if is_skipped() {
        return;
    }
    let node = new_node("missing-");
    node.start("pre-drain").assert_fails(1, &["ELB_TARGET_GROUPS", "/etc/default/spot-guard-hooks"]);
    let node = node.settings("ELB_TARGET_GROUP_TAG=nobody-has-this\n");
    node.start("pre-drain").assert_fails(1, &["no target group has the tag nobody-has-this"]);
    let node = node.told("PATH", "/nowhere");
    node.start("pre-drain").assert_fails(1, &["needs the AWS CLI"]);
}

#[test]
fn an_aws_that_does_not_answer_is_not_waited_for() {
    if is_skipped() {
        return;
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let node = new_node("silent-").settings(&format!("{NAMED}silent-a\n")).told("AWS_ENDPOINT_URL", &endpoint);
    let node = node.rewritten("patience=60", "patience=5");
    node.start("pre-drain").assert_fails(75, &["aws elbv2 describe-target-groups: no answer within 5 s"]);
}
