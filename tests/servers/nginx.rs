//! nginx.

use std::time::Duration;

use crate::machine::Plan;
use crate::{downloads, hook_of_the_response, installed, plan, property, seconds_served_on, shell, status};

const HOLD: &str = "/run/systemd/system/nginx.service.d/zz-spot-guard.conf";
const HEALTH: &str = "http://127.0.0.1/health";

fn linked(plan: Plan, settings: &str) -> Plan {
    let settings = format!("NGINX_HEALTH_FILE=/var/www/html/health\n{settings}\n");
    plan.link("/etc/spot-guard/hooks/pre-drain.d/50-nginx", &installed("nginx"))
        .link("/etc/spot-guard/hooks/uncordon.d/50-nginx", &installed("nginx"))
        .file("/etc/default/spot-guard-hooks", 0o644, &settings)
}

/// A unit that is to be restarted whenever it ends, and that another one wants to be up.
fn wanted(plan: Plan) -> Plan {
    let app = "[Unit]\nUpholds=nginx.service\n[Service]\nExecStart=sleep infinity\n";
    plan.file("/etc/systemd/system/app.service", 0o644, app).file(
        "/etc/systemd/system/nginx.service.d/override.conf",
        0o644,
        "[Service]\nRestart=always\nRestartSec=50ms\n",
    )
}

#[test]
fn a_hundred_downloads_end_whole_under_load_and_nothing_starts_nginx_meanwhile() {
    let Some(plan) = plan() else { return };
    let machine = wanted(linked(downloads::served(plan), "NGINX_LINGER=1")).boot();
    machine.run(&["systemctl", "start", "app"]);
    assert_eq!(status(&machine, HEALTH), "200");
    downloads::begin(&machine, 80);
    downloads::begin_load(&machine, 80);
    machine.interrupt(Duration::from_secs(120));
    machine.wait_for("the unit to be held", || shell(&machine, &format!("test -e {HOLD}")).0 == "0");
    // As somebody does who sees that nginx does not answer.
    machine.run(&["systemctl", "restart", "--no-block", "nginx"]);
    downloads::assert_intact(&machine);

    let (exit, said) = hook_of_the_response(&machine, "50-nginx");
    assert_eq!((exit, said.contains("nginx.service finished its requests and ended")), (0, true), "{said}");
    machine.wait_for("a start that is refused", || property(&machine, "nginx", "ConditionResult") == "no");
    assert_eq!(property(&machine, "nginx", "ActiveState"), "inactive");
    assert_eq!(property(&machine, "nginx", "NRestarts"), "0");
    assert_eq!(status(&machine, HEALTH), "000");
}

#[test]
fn nginx_serves_on_until_load_balancers_have_noticed_and_comes_back_with_the_node() {
    let Some(plan) = plan() else { return };
    // Connections come in at a socket of systemd's, which would start nginx at the next one.
    let unit = "[Service]\nType=exec\nPIDFile=\nExecStart=\nExecStart=nginx -g 'daemon off;'\nEnvironment=NGINX=3;\n";
    let machine = linked(downloads::served(plan), "NGINX_LINGER=6")
        .file("/etc/systemd/system/nginx.service.d/override.conf", 0o644, unit)
        .file("/etc/systemd/system/nginx.socket", 0o644, "[Socket]\nListenStream=127.0.0.1:80\n")
        .link("/etc/systemd/system/multi-user.target.wants/nginx.service", "/dev/null")
        .boot();
    machine.run(&["systemctl", "start", "nginx.socket"]);
    assert_eq!(status(&machine, HEALTH), "200");
    let restart = property(&machine, "nginx", "Restart");

    machine.run(&["spot-guard", "drain", "--no-wait", "--window", "120s"]);
    let seconds = seconds_served_on(&machine, HEALTH, "http://127.0.0.1/file");
    assert!(seconds > 2.5, "{seconds} s; the journal says:\n{}", machine.journal());
    let (exit, said) = hook_of_the_response(&machine, "50-nginx");
    assert_eq!(exit, 0, "{said}");
    assert_eq!(status(&machine, HEALTH), "000");
    assert_eq!(property(&machine, "nginx.socket", "ActiveState"), "inactive");

    machine.run(&["spot-guard", "uncordon"]);
    machine.wait_for("nginx", || status(&machine, HEALTH) == "200");
    assert_eq!(property(&machine, "nginx.socket", "ActiveState"), "active");
    assert_eq!(property(&machine, "nginx", "Restart"), restart);
    assert_eq!(property(&machine, "nginx", "NeedDaemonReload"), "no");
}

#[test]
fn without_a_unit_its_pid_file_names_the_nginx_that_finishes_its_requests() {
    let Some(plan) = plan() else { return };
    let settings = "NGINX_LINGER=0\nNGINX_PID_FILE=${PID_FILE-/run/nginx.pid}\nNGINX_UNIT=${UNIT-nginx}";
    let machine = linked(downloads::served(plan), settings).file("/var/tmp/another.pid", 0o644, "1\n").boot();
    machine.run(&["systemctl", "stop", "nginx"]);
    machine.run(&["nginx"]);
    downloads::begin(&machine, 80);
    let hook = installed("nginx");

    // What it could not do it says in one line, and touches nothing.
    for (with, because) in [
        ("PID_FILE=/var/tmp/another.pid", "is no master process of nginx"),
        ("PID_FILE= UNIT=nowhere", "there is no unit nowhere.service"),
    ] {
        let (exit, said) = shell(&machine, &format!("{with} SPOT_GUARD_REHEARSAL=1 {hook} pre-drain"));
        assert_eq!((exit.as_str(), said.lines().count(), said.contains(because)), ("1", 1, true), "{said}");
    }
    let (exit, said) = shell(&machine, &format!("SPOT_GUARD_REHEARSAL=1 {hook} pre-drain"));
    assert_eq!((exit.as_str(), said.contains("left alone")), ("0", true), "{said}");
    assert_eq!(status(&machine, HEALTH), "200");

    let (exit, said) = shell(&machine, &format!("SPOT_GUARD_TIMEOUT=60 {hook} pre-drain"));
    assert_eq!((exit.as_str(), said.contains("nginx finished its requests and ended")), ("0", true), "{said}");
    downloads::assert_intact(&machine);
    assert_eq!(status(&machine, HEALTH), "000");
    // Once more, as after a restart of the daemon.
    assert_eq!(shell(&machine, &format!("{hook} pre-drain")), ("0".to_owned(), "nginx does not run".to_owned()));
}
