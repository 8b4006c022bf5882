//! From the boot of the machine to the end of a response that nothing disturbs.

use std::time::Duration;

use serde_json::Value;

use crate::machine::plan;

#[test]
fn the_enabled_unit_is_up_after_the_boot_and_says_how_it_is() {
    let Some(plan) = plan() else { return };
    let machine = plan.boot();
    assert_eq!(machine.says(&["systemctl", "is-system-running"]).trim(), "running");
    assert_eq!(machine.unit("ActiveState"), "active");
    assert_eq!(machine.unit("UnitFileState"), "enabled");
    assert_eq!(machine.unit("NRestarts"), "0");
    machine.wait_for("a status in words", || !machine.unit("StatusText").is_empty());
    // Verified on the machine, because the unit's program must exist; it says nothing when all is well.
    let verify = "systemd-analyze verify spot-guard.service 2>&1 && echo clean";
    assert_eq!(machine.says(&["sh", "-c", verify]).trim(), "clean");
}

#[test]
fn a_notice_at_the_real_address_runs_the_hooks_in_order_with_their_environment() {
    let Some(plan) = plan() else { return };
    let tell = "echo $SPOT_GUARD_PHASE >>/var/tmp/order";
    let machine = plan
        .hook("notice.d/10-tell", "touch /var/tmp/noticed")
        .hook("pre-drain.d/10-tell", &format!("{tell}; env >/var/tmp/environment; cat >/var/tmp/input"))
        // A mount that a hook takes away must be gone from the machine, and not from a view of the unit's own.
        .hook("local-drain.d/10-tell", &format!("{tell}; umount /mnt"))
        .hook(
            "post-drain.d/10-tell",
            // It is set from outside, right after the start; what never comes leaves the hook waiting, and no file.
            &format!("{tell}; echo from the hook; until read -r adj </proc/$$/oom_score_adj && [ $adj = 500 ]; do :; done; echo $adj >/var/tmp/oom"),
        )
        .boot();
    machine.run(&["mount", "-t", "tmpfs", "data", "/mnt"]);
    machine.interrupt(Duration::from_secs(60));
    machine.wait_for("the end of the response", || {
        machine.records().first().is_some_and(|record| !record["outcome"].is_null())
    });

    assert_eq!(machine.read("/var/tmp/order"), "pre-drain\nlocal-drain\npost-drain\n");
    assert!(machine.path("/var/tmp/noticed").exists(), "notice.d did not run");
    assert!(
        !machine.says(&["cat", "/proc/mounts"]).contains("data /mnt"),
        "the hook's umount did not reach the machine"
    );
    assert_eq!(machine.read("/var/tmp/oom").trim(), "500");
    let journal = machine.journal();
    assert!(journal.lines().any(|line| line.contains("10-tell") && line.contains("from the hook")), "{journal}");

    let environment = machine.read("/var/tmp/environment");
    let id = machine.records()[0]["id"].as_str().unwrap().to_owned();
    for (name, value) in [
        ("SPOT_GUARD_NOTICE", "spot-interruption"),
        ("SPOT_GUARD_RESPONSE", "drain"),
        ("SPOT_GUARD_ACTION", "terminate"),
        ("SPOT_GUARD_RESPONSE_ID", &id),
    ] {
        assert!(environment.lines().any(|line| line == format!("{name}={value}")), "{name}={value}:\n{environment}");
    }
    for name in ["HOME", "PATH", "SPOT_GUARD_INSTANCE_ID", "SPOT_GUARD_DEADLINE"] {
        assert!(environment.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}:\n{environment}");
    }
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "INVOCATION_ID"] {
        assert!(!environment.contains(name), "{name} is systemd's word to the daemon:\n{environment}");
    }
    let input: Value = serde_json::from_str(&machine.read("/var/tmp/input")).unwrap();
    assert_eq!(input["id"], id.as_str());
    assert_eq!(machine.unit("ActiveState"), "active", "the daemon goes on after the response");
}
