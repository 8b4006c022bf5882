//! Hooks run in order and know what they need to know.

use std::fs;

use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};

use crate::{PROGRAM, seconds};

/// Runs hooks only; the record of a response with so many seconds.
fn respond(setup: Setup, imds: &Imds, window: u64) -> (Guard, Value) {
    let guard = setup.imds(imds).without_kubernetes().start();
    guard.expect("IMDS is polled", seconds(10), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    imds.interrupt("terminate", seconds(window));
    let record = guard.wait_done(seconds(window + 5));
    (guard, record)
}

fn hook<'a>(record: &'a Value, name: &str) -> &'a Value {
    let hooks = record["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    hooks.iter().find(|hook| hook["name"] == name).unwrap_or_else(|| panic!("no hook {name} in {record:#}"))
}

fn read(guard: &Guard, name: &str) -> String {
    fs::read_to_string(guard.out().join(name)).unwrap_or_default()
}

#[test]
fn hooks_run_by_name_and_equal_prefixes_beside_each_other() {
    let imds = Imds::on_loopback();
    let meet = |me: &str, other: &str| {
        format!("touch $OUT/{me}; while [ ! -e $OUT/{other} ]; do sleep 0.02; done; echo 20 >>$OUT/order")
    };
    let setup = Setup::new(PROGRAM)
        .hook("pre-drain", "30-last", "echo 30 >>$OUT/order")
        .hook("pre-drain", "20-a", &meet("a", "b"))
        .hook("pre-drain", "20-b", &meet("b", "a"))
        .hook("pre-drain", "10-first", "echo 10 >>$OUT/order");
    let (guard, record) = respond(setup, &imds, 20);
    assert_eq!(read(&guard, "order"), "10\n20\n20\n30\n", "{record:#}");
}

#[test]
fn a_hook_is_told_of_the_response_and_of_nothing_else() {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM).environment("SECRET", "must not be seen").hook(
        "pre-drain",
        "10-tell",
        "env >$OUT/environment; cat >$OUT/input; echo \"$@\" >$OUT/arguments",
    );
    let (guard, record) = respond(setup, &imds, 20);
    let environment = read(&guard, "environment");
    for expected in [
        "SPOT_GUARD_PHASE=pre-drain".to_owned(),
        "SPOT_GUARD_NOTICE=spot-interruption".to_owned(),
        "SPOT_GUARD_RESPONSE=drain".to_owned(),
        "SPOT_GUARD_ACTION=terminate".to_owned(),
        format!("SPOT_GUARD_RESPONSE_ID={}", record["id"].as_str().unwrap()),
        format!("SPOT_GUARD_INSTANCE_ID={}", imds.instance_id()),
        "SPOT_GUARD_INSTANCE_TYPE=m5.large".to_owned(),
        "SPOT_GUARD_AVAILABILITY_ZONE=eu-west-1a".to_owned(),
        "SPOT_GUARD_REGION=eu-west-1".to_owned(),
    ] {
        assert!(environment.lines().any(|line| line == expected), "{expected} in\n{environment}");
    }
    for name in ["SPOT_GUARD_DEADLINE=20", "SPOT_GUARD_SECONDS_LEFT=1", "SPOT_GUARD_TIMEOUT="] {
        assert!(environment.contains(name), "{name} in\n{environment}");
    }
    assert!(!environment.contains("SECRET"), "{environment}");
    let input: Value = serde_json::from_str(&read(&guard, "input")).expect("JSON on standard input");
    assert_eq!((&input["id"], &input["notice"]["action"]), (&record["id"], &"terminate".into()));
    assert_eq!(read(&guard, "arguments"), "pre-drain\n");
}

#[test]
fn a_hook_that_asks_for_another_try_gets_one_and_a_failing_one_stops_nobody() {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM)
        .hook("pre-drain", "10-again", "echo try >>$OUT/tries; exit 75")
        .hook("pre-drain", "20-fails", "echo this went wrong; exit 3")
        .hook("pre-drain", "30-after", "touch $OUT/after");
    let (guard, record) = respond(setup, &imds, 20);
    assert_eq!(read(&guard, "tries"), "try\ntry\n");
    assert!(guard.out().join("after").exists());
    let failed = hook(&record, "20-fails");
    assert_eq!(failed["exit"], 3, "{failed:#}");
    assert!(failed["output_tail"].as_str().unwrap().contains("this went wrong"));
    guard.wait_line("20-fails: this went wrong", seconds(10));
}

#[test]
fn hooks_beside_the_response_are_told_to_end_at_its_end() {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM)
        .hook(
            "during",
            "10-beat",
            "trap 'touch $OUT/ended; exit 0' TERM; touch $OUT/began; while :; do sleep 0.1; done",
        )
        .hook(
            "post-drain",
            "10-x",
            "while [ ! -e $OUT/began ]; do sleep 0.1; done; [ -e $OUT/ended ] || touch $OUT/beside",
        );
    let (guard, record) = respond(setup, &imds, 15);
    assert!(guard.out().join("beside").exists(), "{record:#}");
    guard.expect("it was told to end", seconds(5), || guard.out().join("ended").exists().then_some(()));
}
