//! A hundred downloads of seven seconds by curl, and a load of short requests beside them.

use std::fs;

use crate::machine::{Machine, Plan};
use crate::property;

const COUNT: usize = 100;

/// What nginx sends 100,000 bytes of in a second.
const SIZE: usize = 700_000;

const CONFIGURATION: &str = "server {
    listen 127.0.0.1:80;
    root /var/www/html;
    location = /download { alias /var/www/html/file; limit_rate 100k; }
}
";

/// nginx with a file to download that takes seven seconds, and one that health checks ask for.
pub fn served(plan: Plan) -> Plan {
    let file: String = (0..SIZE).map(|_| fastrand::alphanumeric()).collect();
    plan.file("/etc/nginx/sites-available/default", 0o644, CONFIGURATION).file("/var/www/html/file", 0o644, &file).file(
        "/var/www/html/health",
        0o644,
        "well\n",
    )
}

/// Begins them, and waits until all are under way at this port.
pub fn begin(machine: &Machine, port: u16) {
    machine.run(&["mkdir", "/var/tmp/downloads"]);
    let url = format!("http://127.0.0.1:{port}/download?[1-{COUNT}]");
    curl(machine, "downloads", &["--parallel-max", "100", "--output", "/var/tmp/downloads/#1", &url]);
    let connections = format!("ss -Htn state established 'sport = :{port}' | wc -l");
    machine.wait_for("downloads under way", || {
        machine.says(&["sh", "-c", &connections]).trim().parse().is_ok_and(|count: usize| count >= COUNT)
    });
}

/// Begins a load of short requests at this port, which ends at the first that fails.
pub fn begin_load(machine: &Machine, port: u16) {
    let url = format!("http://127.0.0.1:{port}/health?[1-1000000]");
    curl(machine, "load", &["--parallel-max", "4", "--fail-early", "--output", "/dev/null", &url]);
}

/// Runs curl as a unit of this name.
fn curl(machine: &Machine, unit: &str, arguments: &[&str]) {
    let unit = format!("--unit={unit}");
    let run = ["systemd-run", "--quiet", "--remain-after-exit", &unit];
    let curl = ["curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-immediate"];
    machine.run(&[&run[..], &curl, arguments].concat());
}

/// Waits for the end of the downloads, and sees that each is there, as it was sent.
pub fn assert_intact(machine: &Machine) {
    machine.wait_for("the end of the downloads", || {
        ["exited", "failed"].contains(&property(machine, "downloads", "SubState").as_str())
    });
    assert_eq!(
        property(machine, "downloads", "ExecMainStatus"),
        "0",
        "{}",
        machine.says(&["journalctl", "-u", "downloads"])
    );
    let sent = fs::read(machine.path("/var/www/html/file")).unwrap();
    for number in 1..=COUNT {
        let download = fs::read(machine.path(&format!("/var/tmp/downloads/{number}"))).unwrap();
        assert_eq!(download.len(), SIZE, "download {number}");
        assert!(download == sent, "download {number} has other bytes");
    }
}
