//! The templates of packaging/cloudformation: clean, and true to what the documentation says. What the second channel
//! runs on an instance is run by `tests/machine/second_channel.rs`.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use spot_guard::config;
use stand_ins::skip::skip;

mod template;

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// The resources of this type, by their name.
fn resources(template: &Value, sort: &str) -> BTreeMap<String, Value> {
    let all = template["Resources"].as_object().unwrap().iter();
    all.filter(|(_, one)| one["Type"] == sort).map(|(name, one)| (name.clone(), one["Properties"].clone())).collect()
}

#[test]
fn the_templates_are_clean() {
    let Some(programs) = std::env::var_os("SPOT_GUARD_TEST_AWS") else {
        return skip("SPOT_GUARD_TEST_AWS names no folder made by tests/aws/programs");
    };
    let lint = Command::new(Path::new(&programs).join("bin/cfn-lint"))
        .args(["--include-checks", "I", "--"])
        .args(["spot-nodes.yaml", "second-channel.yaml"].map(template::path))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&lint.stdout) + String::from_utf8_lossy(&lint.stderr);
    assert!(lint.status.success() && said.trim().is_empty(), "{}\n{said}", lint.status);
}

#[test]
fn the_number_of_pools_is_that_of_zones_times_types() {
    let template = template::read("spot-nodes.yaml");
    let outputs = |name: &str| text(&template["Outputs"][name]["Value"]).parse::<usize>().unwrap();
    let mut all = 0;
    for (name, group) in resources(&template, "AWS::AutoScaling::AutoScalingGroup") {
        let policy = &group["MixedInstancesPolicy"];
        if policy.is_null() {
            continue;
        }
        assert_eq!(policy["InstancesDistribution"]["SpotAllocationStrategy"], "capacity-optimized", "{name}");
        let mut types: Vec<&str> =
            list(&policy["LaunchTemplate"]["Overrides"]).iter().map(|one| text(&one["InstanceType"])).collect();
        types.dedup();
        let sizes = types.iter().filter(|one| one.split('.').next_back() == types[0].split('.').next_back());
        assert_eq!(sizes.count(), types.len(), "{name} has types of more than one size: {types:?}");
        let pools = types.len() * list(&group["VPCZoneIdentifier"]).len();
        assert_eq!(outputs("PoolsOfEachGroup"), pools, "{name}");
        all += pools;
    }
    assert_eq!(outputs("Pools"), all);
}

#[test]
fn every_group_has_the_lifecycle_hook_and_the_tags_that_the_docs_ask_for() {
    let template = template::read("spot-nodes.yaml");
    let window = config::built_in().responses.autoscaling_termination.window + Duration::from_secs(30);
    let groups = resources(&template, "AWS::AutoScaling::AutoScalingGroup");
    assert_eq!(groups.len(), 3);
    for (name, group) in groups {
        let [hook] = list(&group["LifecycleHookSpecificationList"]) else { panic!("{name}") };
        assert_eq!(hook["LifecycleTransition"], "autoscaling:EC2_INSTANCE_TERMINATING", "{name}");
        assert_eq!(text(&hook["HeartbeatTimeout"]), window.as_secs().to_string(), "{name}");
        let tag = |key: &str| list(&group["Tags"]).iter().find(|tag| tag["Key"] == key).cloned().unwrap_or_default();
        let of_second_channel = tag("spot-guard");
        assert_eq!(
            (&of_second_channel["Value"], &of_second_channel["PropagateAtLaunch"]),
            (&Value::from("enabled"), &Value::from("true")),
            "{name}"
        );
        assert_eq!(tag("k8s.io/cluster-autoscaler/enabled")["Value"], "true", "{name}");
    }
    let condition = &template::read("second-channel.yaml")["Resources"]["DrainRole"]["Properties"]["Policies"];
    assert!(condition.to_string().contains(r#""ssm:resourceTag/spot-guard":"enabled""#), "{condition}");
}

#[test]
fn nodes_start_alike_but_for_their_label_with_imdsv2_only_and_spot_guard_not_waited_for() {
    let template = template::read("spot-nodes.yaml");
    let mut data = Vec::new();
    for (name, label) in [("SpotTemplate", "spot"), ("OnDemandTemplate", "on-demand")] {
        let mut node = template["Resources"][name]["Properties"]["LaunchTemplateData"].clone();
        assert_eq!(node["MetadataOptions"]["HttpTokens"], "required", "{name}");
        assert_eq!(node["MetadataOptions"]["HttpPutResponseHopLimit"], "1", "{name}");
        let user_data = text(&node["UserData"]["Fn::Base64"][0]).to_owned();
        assert!(user_data.contains("\n#!/bin/sh\n${Links}\n"), "{name}: {user_data}");
        assert!(user_data.contains("\nsystemctl enable --now --no-block spot-guard\n"), "{name}: {user_data}");
        let label = format!("--node-labels=node.kubernetes.io/lifecycle={label}\n");
        assert!(user_data.contains(&label), "{name}: {user_data}");
        node["UserData"]["Fn::Base64"][0] = user_data.replace(&label, "").into();
        node.as_object_mut().unwrap().remove("InstanceType");
        data.push(node);
    }
    assert_eq!(data[0], data[1]);
}

#[test]
fn hooks_are_linked_as_their_documentation_says() {
    let template = template::read("spot-nodes.yaml");
    let hooks = template["Mappings"]["Links"].as_object().unwrap();
    assert_eq!(hooks.keys().collect::<Vec<_>>(), ["asg-detach", "asg-lifecycle"]);
    let page = page("shipped-hooks.md");
    for (hook, commands) in hooks {
        let documented: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("sudo ln -s "))
            .filter(|line| line.contains(&format!("/{hook} ")))
            .collect();
        let commands = text(&commands["Commands"]).lines().map(|line| line.strip_prefix("ln -sf ").unwrap());
        assert_eq!(commands.collect::<Vec<_>>(), documented, "{hook}");
    }
}

#[test]
fn the_docs_name_all_parameters_and_deploy_with_those_that_have_no_default() {
    let page = page("aws.md");
    for (name, heading) in [("spot-nodes.yaml", "Nodes on Spot"), ("second-channel.yaml", "A second channel")] {
        let parameters = template::read(name)["Parameters"].as_object().unwrap().clone();
        let known: BTreeSet<&str> = parameters.keys().map(String::as_str).collect();
        let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();

        let (_, table) = section.split_once("| parameter | value |\n|---|---|\n").unwrap();
        let rows = table.lines().take_while(|line| line.starts_with('|')).map(|row| row.split(" | ").next().unwrap());
        let documented: BTreeSet<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        assert_eq!(documented, known, "{name}");

        let blocks = section.split("\n```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap());
        let file = format!("--template-file packaging/cloudformation/{name} ");
        let [deploy] = blocks.filter(|block| block.contains(&file)).collect::<Vec<_>>()[..] else { panic!("{name}") };
        let (_, overrides) = deploy.split_once("--parameter-overrides").unwrap();
        let given: BTreeSet<&str> =
            overrides.split_whitespace().filter_map(|word| Some(word.split_once('=')?.0)).collect();
        assert!(given.is_subset(&known), "{name}: {given:?}");
        let needed = parameters.iter().filter(|(_, one)| one["Default"].is_null()).map(|(name, _)| name.as_str());
        assert!(needed.clone().all(|one| given.contains(one)), "{name}: {:?}", needed.collect::<Vec<_>>());
    }
}

/// What each action is allowed for.
fn allowed(value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(statement) if statement.contains_key("Action") => {
            assert_eq!(statement["Effect"], "Allow", "{value}");
            let actions = &statement["Action"];
            for action in actions.as_array().unwrap_or(&vec![actions.clone()]) {
                into.insert(text(action).to_owned(), as_documented(text(&statement["Resource"])));
            }
        }
        Value::Object(map) => map.values().for_each(|value| allowed(value, into)),
        Value::Array(values) => values.iter().for_each(|value| allowed(value, into)),
        _ => {}
    }
}

/// A resource of the template as the documentation writes it, which leaves names to the reader.
fn as_documented(resource: &str) -> String {
    let words = [
        ("${AWS::Partition}", "aws"),
        ("${AWS::Region}", "*"),
        ("${AWS::AccountId}", "*"),
        ("${AWS::StackName}-*", "NAME"),
        ("${UploadBucket}", "BUCKET"),
    ];
    match resource {
        "TargetGroups" => "arn:aws:elasticloadbalancing:*:*:targetgroup/NAME/*".to_owned(),
        _ => words.iter().fold(resource.to_owned(), |text, (from, to)| text.replace(from, to)),
    }
}

/// The tests in `tests/aws` run each hook with its documented policy and no other right, and without each of its actions.
#[test]
fn the_role_of_the_nodes_may_do_what_the_hooks_need_and_nothing_more() {
    let mut documented = BTreeMap::new();
    for policy in page("shipped-hooks.md").split("```json\n").skip(1) {
        allowed(&serde_json::from_str(policy.split("```").next().unwrap()).unwrap(), &mut documented);
    }
    let template = template::read("spot-nodes.yaml");
    let mut granted = BTreeMap::new();
    allowed(&template["Resources"]["HooksPolicy"]["Properties"]["PolicyDocument"], &mut granted);
    assert_eq!(granted, documented);

    let inline = &template["Resources"]["NodeRole"]["Properties"]["Policies"];
    assert!(inline.is_null(), "the role has rights beside those of HooksPolicy: {inline}");
    for (name, group) in resources(&template, "AWS::AutoScaling::AutoScalingGroup") {
        assert!(text(&group["AutoScalingGroupName"]).starts_with("${AWS::StackName}-"), "{name}");
    }
}
