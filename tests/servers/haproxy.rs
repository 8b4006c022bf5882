//! haproxy, with nginx behind it.

use std::time::Duration;

use crate::machine::Plan;
use crate::{downloads, hook_of_the_response, installed, plan, property, seconds_served_on, shell, status};

const HEALTH: &str = "http://127.0.0.1:8404/";
const FILE: &str = "http://127.0.0.1:8000/file";

const CONFIGURATION: &str = "global
    stats socket /run/haproxy/admin.sock mode 660 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:8000
    default_backend app
frontend health
    bind 127.0.0.1:8404
    monitor-uri /
backend app
    server one 127.0.0.1:80
";

/// Debian's unit has Restart=always.
fn linked(plan: Plan, settings: &str) -> Plan {
    downloads::served(plan)
        .file("/etc/haproxy/haproxy.cfg", 0o644, CONFIGURATION)
        .link("/etc/spot-guard/hooks/pre-drain.d/50-haproxy", &installed("haproxy"))
        .link("/etc/spot-guard/hooks/uncordon.d/50-haproxy", &installed("haproxy"))
        .file("/etc/default/spot-guard-hooks", 0o644, &format!("{settings}\n"))
}

#[test]
fn a_hundred_downloads_end_whole_under_load_and_haproxy_is_not_restarted() {
    let Some(plan) = plan() else { return };
    let machine = linked(plan, "HAPROXY_FRONTENDS=health\nHAPROXY_LINGER=1").boot();
    assert_eq!(property(&machine, "haproxy", "Restart"), "always");
    assert_eq!(status(&machine, HEALTH), "200");
    downloads::begin(&machine, 8000);
    downloads::begin_load(&machine, 8000);
    machine.interrupt(Duration::from_secs(120));
    downloads::assert_intact(&machine);

    let (exit, said) = hook_of_the_response(&machine, "50-haproxy");
    assert_eq!((exit, said.contains("done: disable frontend health")), (0, true), "{said}");
    assert!(said.contains("haproxy.service has finished its requests"), "{said}");
    assert_eq!(property(&machine, "haproxy", "ActiveState"), "inactive");
    machine.run(&["systemctl", "start", "haproxy"]);
    assert_eq!(property(&machine, "haproxy", "ConditionResult"), "no");
    assert_eq!(property(&machine, "haproxy", "NRestarts"), "0");
    assert_eq!(status(&machine, FILE), "000");
}

#[test]
fn haproxy_serves_on_until_load_balancers_have_noticed_and_comes_back_with_the_node() {
    let Some(plan) = plan() else { return };
    let machine = linked(plan, "HAPROXY_FRONTENDS=health\nHAPROXY_LINGER=6").boot();
    assert_eq!(status(&machine, HEALTH), "200");
    machine.run(&["spot-guard", "drain", "--no-wait", "--window", "120s"]);
    let seconds = seconds_served_on(&machine, HEALTH, FILE);
    assert!(seconds > 2.5, "{seconds} s; the journal says:\n{}", machine.journal());
    let (exit, said) = hook_of_the_response(&machine, "50-haproxy");
    assert_eq!(exit, 0, "{said}");
    assert_eq!(status(&machine, FILE), "000");

    machine.run(&["spot-guard", "uncordon"]);
    machine.wait_for("haproxy", || status(&machine, HEALTH) == "200" && status(&machine, FILE) == "200");
    machine.wait_for("its unit as it was", || property(&machine, "haproxy", "Restart") == "always");
    assert_eq!(property(&machine, "haproxy", "NeedDaemonReload"), "no");
}

#[test]
fn servers_are_drained_and_made_ready_again_where_haproxy_is_not_to_stop() {
    let Some(plan) = plan() else { return };
    let settings =
        "HAPROXY_STOP=no\nHAPROXY_SERVERS=${SERVERS-app/one}\nHAPROXY_SOCKET=${SOCKET-/run/haproxy/admin.sock}";
    let machine = linked(plan, settings).boot();
    downloads::begin(&machine, 8000);
    let hook = installed("haproxy");

    // What it could not do it says in one line.
    for (with, because) in [("SERVERS=app/two", "no app/two"), ("SOCKET=/nowhere", "/nowhere does not answer")] {
        for rehearsal in ["", "1"] {
            let (exit, said) = shell(&machine, &format!("{with} SPOT_GUARD_REHEARSAL={rehearsal} {hook} pre-drain"));
            assert_eq!((exit.as_str(), said.contains(because)), ("1", true), "{said}");
        }
    }
    assert_eq!(shell(&machine, &format!("SPOT_GUARD_REHEARSAL=1 {hook} pre-drain")).0, "0");
    assert_eq!(status(&machine, FILE), "200");

    let (exit, said) = shell(&machine, &format!("SPOT_GUARD_TIMEOUT=60 {hook} pre-drain"));
    assert_eq!((exit.as_str(), said.contains("has finished its requests")), ("0", true), "{said}");
    let stat = shell(&machine, "echo 'show stat' | socat - UNIX-CONNECT:/run/haproxy/admin.sock").1;
    let sessions = stat.lines().find(|line| line.starts_with("app,one,")).and_then(|line| line.split(',').nth(4));
    assert_eq!(sessions, Some("0"), "{stat}");
    // It was the only one.
    assert_eq!(status(&machine, FILE), "503");
    downloads::assert_intact(&machine);
    assert_eq!(shell(&machine, &format!("{hook} uncordon")).0, "0");
    assert_eq!(status(&machine, FILE), "200");
}
