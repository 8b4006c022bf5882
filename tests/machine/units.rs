//! The shipped hook that stops units of systemd, such as CI runners: in order, each as long as its limit says.

use std::time::Duration;

use serde_json::Value;
use stand_ins::docs;

use crate::machine::{Machine, Plan, plan};

/// What a unit runs: a shell that writes down when it is started and told to stop, and then finishes its job, which lasts
/// until there is a file of its name.
const WORK: &str = r#"#!/bin/sh
say() { read -r now _ </proc/uptime; echo "$1 $name $now" >>/var/tmp/story; }
name=$1
trap 'say told; until [ -e "/var/tmp/$name" ]; do sleep 0.1; done; say finished; exit 0' TERM
[ "$name" != stubborn ] && [ "$name" != cut ] || trap 'say told' TERM
say started
while :; do sleep 1000 & wait $!; done
"#;

/// A machine with units of these names; what can be set of a service follows a name.
fn with_units(plan: Plan, units: &[(&str, &str)]) -> Plan {
    units.iter().fold(plan.file("/usr/local/bin/work", 0o755, WORK), |plan, (name, settings)| {
        let unit = format!("[Service]\nExecStart=/usr/local/bin/work %p%i\nRestart=always\n{settings}\n");
        plan.file(&format!("/etc/systemd/system/{name}.service"), 0o644, &unit)
    })
}

/// Links the hook into these phases as the page says, and has it stop these units.
fn link(machine: &Machine, units: &str, phases: &[&str]) {
    machine.write("/etc/default/spot-guard-hooks", &format!("SYSTEMD_UNITS=\"{units}\"\n"));
    for phase in phases {
        let line = docs::line("shipped-hooks.md", &format!("/etc/spot-guard/hooks/{phase}.d/40-systemd-units"));
        machine.run(&["sh", "-c", line.strip_prefix("sudo ").unwrap()]);
    }
}

/// What units have written down: step, name and seconds since the machine was booted.
fn story(machine: &Machine) -> Vec<(String, String, f64)> {
    let story = machine.read("/var/tmp/story");
    let words = story.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.map(|words| (words[0].to_owned(), words[1].to_owned(), words[2].parse().unwrap())).collect()
}

/// The names that have done this step, in order.
fn who(machine: &Machine, step: &str) -> Vec<String> {
    story(machine).into_iter().filter(|(done, ..)| done == step).map(|(_, name, _)| name).collect()
}

fn when(machine: &Machine, step: &str, name: &str) -> f64 {
    story(machine).into_iter().find(|(done, who, _)| done == step && who == name).unwrap().2
}

fn start(machine: &Machine, units: &[&str]) {
    machine.run(&[&["systemctl", "start"], units].concat());
    machine.wait_for("the units", || who(machine, "started").len() == units.len());
}

/// What the record says of the hook, once the response is over.
fn hook(machine: &Machine) -> Value {
    let over = || machine.records().first().is_some_and(|record| !record["outcome"].is_null());
    machine.wait_for("the end of the response", over);
    let record = machine.records().remove(0);
    let mut hooks = record["hooks"].as_array().unwrap().iter();
    hooks.find(|hook| hook["name"] == "40-systemd-units").expect("the hook").clone()
}

fn is(machine: &Machine, unit: &str, state: &str) -> bool {
    machine.says(&["systemctl", "is-active", unit]).trim() == state
}

#[test]
fn units_finish_their_jobs_in_order_and_one_that_does_not_stop_holds_nobody_up() {
    let Some(plan) = plan() else { return };
    let units = [("runner@", ""), ("stubborn", ""), ("web", ""), ("idle", ""), ("cut", "TimeoutStopSec=1")];
    let socket = "[Socket]\nListenStream=/run/web\n";
    let machine = with_units(plan, &units).file("/etc/systemd/system/web.socket", 0o644, socket).boot();
    link(&machine, "runner@*=60 stubborn.service=4 web idle cut", &["local-drain", "uncordon"]);
    machine.run(&["systemctl", "start", "web.socket"]);
    start(&machine, &["runner@1", "runner@2", "stubborn", "web", "cut"]);
    machine.touch("/var/tmp/web");

    let rehearsed = machine.says(&["spot-guard", "rehearse", "--run-hooks", "--json"]);
    assert!(rehearsed.contains("as runner@* would stop: runner@1.service runner@2.service"), "{rehearsed}");
    assert!(rehearsed.contains("as idle would stop: nothing, none runs"), "{rehearsed}");
    assert_eq!(who(&machine, "told"), [""; 0], "in a rehearsal");

    machine.interrupt(Duration::from_secs(110));
    machine.wait_for("the runners", || who(&machine, "told").len() >= 2);
    // The first alone does not let the hook go on.
    machine.touch("/var/tmp/runner1");
    machine.wait_for("the first runner's end", || who(&machine, "finished") == ["runner1"]);
    assert!(is(&machine, "runner@2", "deactivating") && is(&machine, "web", "active"));
    machine.touch("/var/tmp/runner2");
    let hook = hook(&machine);

    let told = who(&machine, "told");
    assert_eq!(told[2..], ["stubborn", "web", "cut"], "{told:?}");
    assert_eq!(who(&machine, "finished"), ["runner1", "runner2", "web"]);
    let waited = when(&machine, "told", "web") - when(&machine, "told", "stubborn");
    assert!((2.0..15.0).contains(&waited), "{waited} s");
    assert!(is(&machine, "stubborn", "deactivating") && is(&machine, "web.socket", "inactive"));
    assert_eq!(who(&machine, "started").len(), 5, "something was started again");
    let said = hook["output_tail"].as_str().unwrap();
    assert_eq!(hook["exit"], 1, "{said}");
    for line in ["not stopped in 4 s, systemd goes on: stubborn.service", "TimeoutStopSec= was over: cut.service"] {
        assert!(said.contains(line), "{line}: {said}");
    }

    machine.run(&["spot-guard", "uncordon"]);
    let back = || ["runner@1", "runner@2", "web.socket", "web", "cut"].iter().all(|unit| is(&machine, unit, "active"));
    machine.wait_for("what was stopped", back);
    assert!(is(&machine, "idle", "inactive"));
}

#[test]
fn before_the_pods_of_a_node_all_units_are_told_however_little_time_there_is() {
    let Some(plan) = plan() else { return };
    let limit = "[hooks.timeouts]\n\"40-systemd-units\" = \"8s\"\n";
    let plan = plan
        .file("/etc/spot-guard/config.d/limit.toml", 0o644, limit)
        .hook("local-drain.d/10-tell", "cp /var/tmp/story /var/tmp/told-before");
    let machine = with_units(plan, &[("stubborn", ""), ("worker@", ""), ("last", "")]).boot();
    link(&machine, "nobody", &["pre-drain"]);
    let rehearsed = machine.says(&["spot-guard", "rehearse", "--run-hooks", "--json"]);
    assert!(rehearsed.contains("there is no unit nobody"), "{rehearsed}");

    link(&machine, "stubborn=100 worker@* last", &[]);
    start(&machine, &["stubborn", "worker@1", "worker@2", "last"]);
    machine.interrupt(Duration::from_secs(100));
    let hook = hook(&machine);
    assert_eq!((&hook["exit"], &hook["timed_out"]), (&1.into(), &false.into()), "{hook}");
    let told = machine.read("/var/tmp/told-before");
    for name in ["stubborn", "worker1", "worker2", "last"] {
        assert!(told.contains(&format!("told {name} ")), "{name}: {told}");
    }
}
