//! The daemon is killed, or hangs, in the middle of a response.

use std::time::Duration;

use crate::machine::{Machine, Plan, plan};

#[test]
fn a_killed_daemon_is_back_within_two_seconds_and_takes_up_the_response() {
    killed_in("pre-drain");
}

#[test]
fn one_that_is_killed_while_it_stops_containers_is_back_as_soon_and_stops_them_again() {
    killed_in("local-drain");
}

fn killed_in(phase: &str) {
    let Some(plan) = plan() else { return };
    let machine = cut_in_its_second_hook(plan, phase).boot();
    let (id, deadline) = begun(&machine);
    let killed = machine.unit("MainPID");
    machine.run(&["kill", "-KILL", &killed]);
    machine.wait_at_most(Duration::from_secs(2), "another daemon", || {
        let pid = machine.unit("MainPID");
        pid != "0" && pid != killed && machine.unit("ActiveState") == "active"
    });
    taken_up(&machine, &id, &deadline);
}

#[test]
fn a_daemon_that_hangs_is_restarted_by_the_watchdog_and_takes_up_the_response() {
    let Some(plan) = plan() else { return };
    let machine = cut_in_its_second_hook(plan, "pre-drain").boot();
    let (id, deadline) = begun(&machine);
    let stopped = machine.unit("MainPID");
    machine.run(&["kill", "-STOP", &stopped]);
    machine.wait_at_most(Duration::from_secs(13), "another daemon", || {
        let pid = machine.unit("MainPID");
        pid != "0" && pid != stopped && machine.unit("ActiveState") == "active"
    });
    assert!(machine.journal().contains("Watchdog timeout"), "{}", machine.journal());
    taken_up(&machine, &id, &deadline);
}

#[test]
fn a_daemon_that_crashes_again_and_again_is_started_again_and_again() {
    let Some(plan) = plan() else { return };
    let machine = plan.boot();
    // systemd's own limit gives up for good after five starts in ten seconds.
    for crash in 1..=7 {
        let restarts = crash.to_string();
        machine.run(&["kill", "-KILL", &machine.unit("MainPID")]);
        machine.wait_for("another daemon", || {
            machine.unit("NRestarts") == restarts && machine.unit("ActiveState") == "active"
        });
    }
}

/// A machine on which the first hook ends at once and the second, of that phase, waits for `/var/tmp/go`.
fn cut_in_its_second_hook(plan: Plan, phase: &str) -> Plan {
    plan.hook("pre-drain.d/10-first", "echo ran >>/var/tmp/first")
        .hook(
            &format!("{phase}.d/20-second"),
            "sleep 1000 & echo $! >>/var/tmp/children
echo ran >>/var/tmp/second; until [ -e /var/tmp/go ]; do sleep 0.1; done; touch /var/tmp/second-ended",
        )
        .hook("post-drain.d/10-last", "touch /var/tmp/last")
}

/// Lets the response begin, until its second hook runs, and gives back its id and deadline.
fn begun(machine: &Machine) -> (String, String) {
    machine.interrupt(Duration::from_secs(110));
    machine.wait_for_file("/var/tmp/second");
    machine.wait_for("the record", || machine.records().first().is_some_and(|record| record["hooks"].is_array()));
    let record = machine.records().remove(0);
    (record["id"].as_str().unwrap().to_owned(), record["deadline"].as_str().unwrap().to_owned())
}

/// What must be seen of a response that was taken up and then let go on.
fn taken_up(machine: &Machine, id: &str, deadline: &str) {
    machine.wait_for("the second run of the cut hook", || machine.read("/var/tmp/second").lines().count() == 2);
    let left = "kill -0 $(head -n 1 /var/tmp/children) && echo it lives";
    assert_eq!(machine.says(&["sh", "-c", left]), "", "what the cut hook had started still runs");
    machine.touch("/var/tmp/go");
    machine.wait_for("the end of the response", || !machine.records()[0]["outcome"].is_null());
    let records = machine.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((records[0]["id"].as_str(), records[0]["deadline"].as_str()), (Some(id), Some(deadline)));
    assert_eq!(machine.read("/var/tmp/first"), "ran\n", "a hook that had ended ran again");
    assert!(machine.path("/var/tmp/last").exists(), "post-drain did not run");
}
