//! The service is stopped, or the whole machine, with and without a response under way.

use std::time::Duration;

use crate::machine::{Machine, Plan, plan};

#[test]
fn stopping_the_service_without_a_notice_changes_nothing() {
    let Some(plan) = plan() else { return };
    let machine = ["notice", "pre-drain", "local-drain", "post-drain"]
        .iter()
        .fold(plan, |plan, phase| plan.hook(&format!("{phase}.d/10-tell"), "touch /var/tmp/ran"))
        .boot();
    machine.run(&["systemctl", "stop", "--no-block", "spot-guard"]);
    machine
        .wait_at_most(Duration::from_secs(3), "the end of the service", || machine.unit("ActiveState") == "inactive");
    assert_eq!(machine.unit("Result"), "success");
    assert_eq!(machine.unit("ExecMainStatus"), "0");
    assert!(!machine.path("/var/tmp/ran").exists(), "a hook ran");
    assert!(machine.records().is_empty(), "{:?}", machine.records());
}

#[test]
fn a_stop_in_the_middle_of_a_response_finishes_it_however_short_the_units_limit_is() {
    let Some(plan) = plan() else { return };
    let machine = held_in_its_pre_drain_hook(plan).boot();
    machine.interrupt(Duration::from_secs(100));
    machine.wait_for_file("/var/tmp/held");
    machine.run(&["systemctl", "stop", "--no-block", "spot-guard"]);
    machine.wait_for_file("/var/tmp/past-the-limit");
    assert_eq!(machine.unit("ActiveState"), "deactivating");
    machine.touch("/var/tmp/go");
    machine.wait_for("the end of the service", || machine.unit("ActiveState") == "inactive");
    assert_eq!(machine.unit("Result"), "success");
    response_was_finished(&machine);
}

#[test]
fn a_poweroff_in_the_middle_of_a_response_finishes_it_first() {
    let Some(plan) = plan() else { return };
    let machine = held_in_its_pre_drain_hook(plan).boot();
    machine.interrupt(Duration::from_secs(100));
    machine.wait_for_file("/var/tmp/held");
    machine.run(&["systemctl", "poweroff"]);
    machine.wait_for_file("/var/tmp/past-the-limit");
    assert!(!machine.is_off(), "the machine went off in the middle of the response");
    machine.touch("/var/tmp/go");
    machine.wait_for("the machine's end", || machine.is_off());
    response_was_finished(&machine);
}

/// A machine whose unit must be stopped within 2 s and whose pre-drain hook waits for `/var/tmp/go`. Once the unit is
/// to stop, a helper of the hook's waits until that limit is well over and says so.
fn held_in_its_pre_drain_hook(plan: Plan) -> Plan {
    let script = "touch /var/tmp/held
until systemctl is-active spot-guard | grep -q deactivating; do sleep 0.1; done
sleep 4; touch /var/tmp/past-the-limit
until [ -e /var/tmp/go ]; do sleep 0.1; done; touch /var/tmp/held-to-the-end";
    plan.drop_in("TimeoutStopSec=2s")
        .hook("pre-drain.d/10-hold", script)
        .hook("local-drain.d/10-tell", "touch /var/tmp/drained")
        .hook("post-drain.d/10-tell", "touch /var/tmp/post-processed")
}

fn response_was_finished(machine: &Machine) {
    let journal = machine.journal();
    for file in ["held-to-the-end", "drained", "post-processed"] {
        assert!(machine.path(&format!("/var/tmp/{file}")).exists(), "no {file}:\n{journal}");
    }
    let records = machine.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(!records[0]["outcome"].is_null(), "{records:?}");
    let hooks = records[0]["hooks"].as_array().unwrap();
    // The three, and 50-containers, which finds no containers here.
    assert!(hooks.len() == 4 && hooks.iter().all(|hook| hook["exit"] == 0), "{hooks:?}");
    assert!(!journal.contains("timed out"), "{journal}");
}
