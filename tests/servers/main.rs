//! The hooks `nginx` and `haproxy` with the real servers of Debian, each under its own unit on a machine with a real systemd.
//!
//! Run by `make test`, as root; elsewhere each test says that it is skipped and why.
#![forbid(unsafe_code)]

mod downloads;
mod haproxy;
#[path = "../machine/machine.rs"]
mod machine;
mod nginx;

use machine::{Machine, Plan};

/// The plan of a machine with nginx and haproxy, of which neither is configured yet.
fn plan() -> Option<Plan> {
    machine::plan_on("SPOT_GUARD_TEST_SERVERS")
}

/// A hook as it is installed.
fn installed(hook: &str) -> String {
    format!("/usr/lib/spot-guard/hooks-available/{hook}")
}

/// A property of a unit of the machine.
fn property(machine: &Machine, unit: &str, name: &str) -> String {
    machine.says(&["systemctl", "show", "--value", "--property", name, unit]).trim().to_owned()
}

/// The status that is answered at an address of the machine; 000 where nothing listens.
fn status(machine: &Machine, url: &str) -> String {
    machine.says(&["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", url])
}

/// Waits for the end of the one response, and gives back what the hook of this name ended with, and said.
fn hook_of_the_response(machine: &Machine, name: &str) -> (i64, String) {
    machine.wait_for("the end of the response", || {
        machine.records().first().is_some_and(|record| !record["outcome"].is_null())
    });
    let records = machine.records();
    let hooks = records[0]["hooks"].as_array().unwrap();
    let hook = hooks.iter().find(|hook| hook["name"] == name).unwrap_or_else(|| panic!("no {name}: {hooks:?}"));
    (hook["exit"].as_i64().unwrap(), hook["output_tail"].as_str().unwrap().to_owned())
}

/// For how many seconds `file` is still served when the health check no longer succeeds, as seen on the machine.
fn seconds_served_on(machine: &Machine, health: &str, file: &str) -> f64 {
    let watch = "status() { curl --silent --output /dev/null --write-out '%{http_code}' \"$1\"; }
while [ \"$(status \"$1\")\" = 200 ]; do sleep 0.1; done
read -r from _ </proc/uptime
while [ \"$(status \"$2\")\" = 200 ]; do sleep 0.1; done
read -r to _ </proc/uptime
echo \"$from $to\"";
    let said = machine.says(&["timeout", "100", "sh", "-c", watch, "watch", health, file]);
    let times: Vec<f64> = said.split_whitespace().map(|time| time.parse().unwrap()).collect();
    assert_eq!(times.len(), 2, "health check and file are served for ever: {}", machine.journal());
    times[1] - times[0]
}

/// Runs a shell command on the machine; what it exits with, and both of its outputs.
fn shell(machine: &Machine, command: &str) -> (String, String) {
    let said = machine.says(&["sh", "-c", &format!("exec 2>&1; ({command}); echo $?")]);
    let (output, status) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
    (status.to_owned(), output.to_owned())
}
