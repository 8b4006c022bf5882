//! The second channel of `packaging/cloudformation/second-channel.yaml`, from an event as EC2 documents it to what the
//! command does on a machine. EventBridge and Systems Manager are not there: what they would put in place is.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use spot_guard::moment::Timestamp;
use stand_ins::skip::skip;

use crate::machine::{Machine, in_whole_seconds, plan};
use crate::template;

/// The values of parameters by name.
type Values = BTreeMap<String, String>;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The event of that kind, given so long ago.
fn event(detail_type: &str, ago: Duration) -> Value {
    json!({
        "version": "0", "id": "1e5527d7-bb36-4607-3370-4164db56a40e", "detail-type": detail_type, "source": "aws.ec2",
        "account": "123456789012", "time": in_whole_seconds(SystemTime::now() - ago), "region": "eu-west-1",
        "resources": ["arn:aws:ec2:eu-west-1b:instance/i-0b662ef9931388ba0"],
        "detail": {"instance-id": "i-0b662ef9931388ba0", "instance-action": "terminate"}
    })
}

/// What the rule for this event starts the automation with.
fn input(resources: &Value, event: &Value) -> Values {
    let is_of_it = |rule: &&Value| {
        let pattern = &rule["Properties"]["EventPattern"];
        rule["Type"] == "AWS::Events::Rule"
            && ["source", "detail-type"].iter().all(|field| pattern[field] == json!([event[field]]))
    };
    let rules: Vec<&Value> = resources.as_object().unwrap().values().filter(is_of_it).collect();
    assert_eq!(rules.len(), 1, "{rules:?}");
    let target = &rules[0]["Properties"]["Targets"][0];
    assert!(text(&target["Arn"]).ends_with(":automation-definition/${Drain}:$DEFAULT"), "{target}");
    let transformer = &target["InputTransformer"];
    let mut input = text(&transformer["InputTemplate"]).to_owned();
    for (name, path) in transformer["InputPathsMap"].as_object().unwrap() {
        let fields = text(path).strip_prefix("$.").unwrap().replace('.', "/");
        input = input.replace(&format!("<{name}>"), &event.pointer(&format!("/{fields}")).unwrap().to_string());
    }
    let input: Value = serde_json::from_str(&input).unwrap();
    let one = |value: &Value| match value.as_array().unwrap().as_slice() {
        [one] => text(one).to_owned(),
        other => panic!("{other:?}"),
    };
    input.as_object().unwrap().iter().map(|(name, value)| (name.clone(), one(value))).collect()
}

/// Whether `pattern` takes all of `value`: bash, because `^` and `$` are the ends of the text for it, and not of a line.
fn takes(pattern: &str, value: &str) -> bool {
    let matched = Command::new("bash").args(["-c", "[[ $1 =~ $2 ]]", "takes", value, pattern]).status().unwrap();
    matched.success()
}

/// The document's content, once its parameters take these values.
fn content<'a>(resources: &'a Value, document: &str, values: &Values) -> &'a Value {
    let content = &resources[document]["Properties"]["Content"];
    let parameters = content["parameters"].as_object().unwrap();
    assert_eq!(parameters.keys().collect::<Vec<_>>(), values.keys().collect::<Vec<_>>(), "{document}");
    for (name, value) in values {
        assert!(takes(text(&parameters[name]["allowedPattern"]), value), "{document}: {name} does not take {value}");
    }
    content
}

fn with(text: &str, values: &Values) -> String {
    let put = |text: String, (name, value): (&String, &String)| text.replace(&format!("{{{{ {name} }}}}"), value);
    values.iter().fold(text.to_owned(), put)
}

/// The script that the event has Systems Manager run on the instance.
fn script(event: &Value) -> String {
    let template = template::read("second-channel.yaml");
    let resources = &template["Resources"];
    let values = input(resources, event);
    let step = &content(resources, "Drain", &values)["mainSteps"][0]["inputs"];
    assert_eq!(step["DocumentName"], "DrainCommand");
    assert_eq!(with(text(&step["InstanceIds"][0]), &values), text(&event["detail"]["instance-id"]));
    let of_command = step["Parameters"].as_object().unwrap().iter();
    let of_command = of_command.map(|(name, value)| (name.clone(), with(text(value), &values))).collect();
    let command = &content(resources, "DrainCommand", &of_command)["mainSteps"][0]["inputs"]["runCommand"];
    let lines: Vec<String> = command.as_array().unwrap().iter().map(|line| with(text(line), &of_command)).collect();
    assert!(!lines.concat().contains("{{"), "{lines:?}");
    lines.join("\n")
}

fn interruption(ago: Duration) -> Value {
    event("EC2 Spot Instance Interruption Warning", ago)
}

/// What the script says on the machine, and its exit code.
fn runs(machine: &Machine, event: &Value) -> String {
    machine.says(&["sh", "-c", &format!("({}) 2>&1; echo exit $?", script(event))])
}

fn assert_runs(machine: &Machine, event: &Value, says: &str) {
    let said = runs(machine, event);
    assert!(said.contains(says) && said.ends_with("exit 0\n"), "{said}");
}

fn ends(machine: &Machine, responses: usize) -> Vec<Value> {
    machine.wait_for("the end of the response", || {
        let records = machine.records();
        records.len() >= responses && records.iter().all(|record| !record["outcome"].is_null())
    });
    machine.records()
}

const HOOKS: &str = "pre-drain\npost-drain\n";

/// Hooks tell what ran; the last ends when it may.
fn machine() -> Option<Machine> {
    let tell = "echo $SPOT_GUARD_PHASE >>/var/tmp/order";
    let hold = "until [ -e /var/tmp/go ]; do sleep 0.1; done";
    let plan = plan()?.hook("pre-drain.d/10-tell", tell).hook("post-drain.d/10-tell", &format!("{tell}; {hold}"));
    let machine = plan.boot();
    machine.wait_for("the daemon", || machine.says(&["spot-guard", "status"]).contains("watching"));
    Some(machine)
}

#[test]
fn what_only_eventbridge_tells_is_responded_to_and_what_the_metadata_service_tells_then_is_the_same() {
    let Some(machine) = machine() else { return };
    let event = interruption(Duration::from_secs(30));
    assert_runs(&machine, &event, "has begun; it ends by ");
    machine.wait_for("post-drain.d", || machine.read("/var/tmp/order") == HOOKS);
    // EventBridge may tell more than once, and so may the metadata service tell then.
    assert_runs(&machine, &event, "runs already and is joined");
    machine.interrupt(Duration::from_secs(95));
    machine.touch("/var/tmp/go");
    let records = ends(&machine, 1);
    assert_runs(&machine, &event, "runs already and is joined");

    assert_eq!((records.len(), machine.records().len()), (1, 1), "{records:#?}");
    assert_eq!(records[0]["notice"]["kind"], "spot-interruption");
    assert_eq!(records[0]["outcome"], "complete");
    let since = Timestamp::from_rfc3339(text(&event["time"])).unwrap();
    let deadline = Timestamp::from_rfc3339(text(&records[0]["deadline"])).unwrap();
    let window = deadline.later_than(since).unwrap();
    assert!((118.0..=121.0).contains(&window.as_secs_f64()), "{window:?}");
    assert_eq!(machine.read("/var/tmp/order"), HOOKS);
}

#[test]
fn what_the_metadata_service_has_told_is_not_begun_again() {
    let Some(machine) = machine() else { return };
    machine.interrupt(Duration::from_secs(100));
    machine.wait_for("post-drain.d", || machine.read("/var/tmp/order") == HOOKS);
    assert_runs(&machine, &interruption(Duration::from_secs(10)), "runs already and is joined");
    // A recommendation asks for less, and takes nothing over.
    let recommendation = event("EC2 Instance Rebalance Recommendation", Duration::from_secs(600));
    assert_runs(&machine, &recommendation, "runs already and is joined");
    machine.touch("/var/tmp/go");
    let records = ends(&machine, 1);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(
        (&records[0]["notice"]["kind"], &records[0]["outcome"]),
        (&json!("spot-interruption"), &json!("complete"))
    );
    assert_eq!(machine.read("/var/tmp/order"), HOOKS);
}

#[test]
fn a_recommendation_is_responded_to_as_its_settings_say_and_where_no_daemon_runs_the_command_fails() {
    let Some(machine) = machine() else { return };
    let recommendation = event("EC2 Instance Rebalance Recommendation", Duration::from_secs(1));
    assert_runs(&machine, &recommendation, "has begun");
    let records = ends(&machine, 1);
    assert_eq!(records[0]["notice"]["kind"], "rebalance-recommendation", "{records:#?}");
    assert_eq!(machine.read("/var/tmp/order"), "", "it is only observed");

    machine.run(&["systemctl", "stop", "spot-guard"]);
    let said = runs(&machine, &interruption(Duration::ZERO));
    assert!(said.contains("--no-wait needs a daemon") && said.ends_with("exit 2\n"), "{said}");
}

#[test]
fn nothing_but_a_kind_an_instance_and_a_time_goes_into_the_command() {
    if Command::new("bash").arg("--version").output().is_err() {
        return skip("there is no bash, which matches the patterns");
    }
    let template = template::read("second-channel.yaml");
    let good = input(&template["Resources"], &interruption(Duration::ZERO));
    for document in ["Drain", "DrainCommand"] {
        let parameters = template["Resources"][document]["Properties"]["Content"]["parameters"].as_object().unwrap();
        for (name, parameter) in parameters {
            let pattern = text(&parameter["allowedPattern"]);
            let good = &good[name];
            assert!(takes(pattern, good), "{document} {name}");
            for more in
                ["'", "\"", ";reboot", "$(reboot)", "`reboot`", " --window=1s", "\nreboot", "\n", "{{ Notice }}", "x"]
            {
                for evil in [format!("{good}{more}"), format!("{more}{good}")] {
                    assert!(!takes(pattern, &evil), "{document}: {name} takes {evil:?}");
                }
            }
            assert!(!takes(pattern, ""), "{document}: {name}");
        }
    }
}
