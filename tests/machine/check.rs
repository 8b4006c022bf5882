//! `spot-guard check` beside a real systemd: the last step of an image, and a machine that runs.

use crate::machine::{Machine, plan};

/// What it says, with the exit code as the last line.
fn check(machine: &Machine, options: &str) -> String {
    machine.says(&["sh", "-c", &format!("spot-guard check {options}; echo exit $?")])
}

fn assert_says(said: &str, name: &str, result: &str, words: &str, code: i32) {
    let from = said.lines().skip_while(|line| !line.starts_with(&format!("{name:<18}")));
    let mut lines = from.enumerate().take_while(|(number, line)| *number == 0 || line.starts_with(' '));
    let first = lines.next().unwrap_or_else(|| panic!("no {name}:\n{said}")).1;
    let rest: String = lines.map(|(_, line)| format!(" {}", line.trim())).collect();
    assert!(first.contains(result) && format!("{first}{rest}").contains(words), "{name} {result} {words}:\n{said}");
    assert!(said.ends_with(&format!("exit {code}\n")), "{said}");
}

#[test]
fn an_image_fails_where_the_unit_is_not_enabled_and_says_whom_it_stops_before() {
    let Some(plan) = plan() else { return };
    let kubelet = "[Service]\nExecStart=/bin/sleep infinity\n";
    let machine = plan
        .file("/etc/systemd/system/kubelet.service", 0o644, kubelet)
        .file("/var/lib/kubelet/config.yaml", 0o644, "shutdownGracePeriod: 2m30s\n")
        .boot();
    let said = check(&machine, "--image");
    assert_says(&said, "unit", "ok", "enabled, stops before kubelet", 0);
    assert_says(&said, "hooks", "ok", "1 in local-drain.d", 0);
    // Debian's logind allows 5 s.
    assert_says(&said, "shutdown", "warning", "the kubelet wants 2m30s, logind allows 5s", 0);

    machine.run(&["systemctl", "disable", "spot-guard"]);
    assert_says(&check(&machine, "--image"), "unit", "failure", "systemctl enable spot-guard", 1);
    machine.run(&["systemctl", "enable", "spot-guard"]);
    // An order cannot be taken back by a drop-in.
    let without =
        "grep -v ^After=.*kubelet /usr/lib/systemd/system/spot-guard.service >/etc/systemd/system/spot-guard.service";
    machine.run(&["sh", "-c", without]);
    machine.run(&["systemctl", "daemon-reload"]);
    assert_says(&check(&machine, "--image"), "unit", "warning", "not ordered after kubelet.service", 0);
}

#[test]
fn a_machine_without_a_cluster_is_ready_while_its_daemon_runs() {
    let Some(plan) = plan() else { return };
    let machine = plan.file("/etc/spot-guard/config.d/off.toml", 0o644, "[kubernetes]\nmode = \"off\"\n").boot();
    let said = check(&machine, "");
    assert_says(&said, "metadata service", "ok", "IMDSv2 at 169.254.169.254", 0);
    assert_says(&said, "unit", "ok", "enabled", 0);
    assert_says(&said, "daemon", "ok", "pid ", 0);
    assert_says(&said, "state folder", "ok", "/var/lib/spot-guard", 0);
    assert!(said.ends_with("0 failures, 0 warnings\nexit 0\n"), "{said}");
    machine.run(&["systemctl", "stop", "spot-guard"]);
    assert_says(&check(&machine, ""), "daemon", "failure", "none runs", 1);
}
