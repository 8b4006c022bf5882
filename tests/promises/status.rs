//! `spot-guard status` answers at a glance whether the machine is protected, and shows a response as it goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Fault, Imds};
use stand_ins::pods::PodSpec;
use stand_ins::skip::skip;
use stand_ins::terminal::Terminal;
use stand_ins::wait::wait;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it answers, and the last line of that.
fn answered(output: &Output) -> (String, String) {
    let text = text(&output.stdout);
    let last = text.lines().last().unwrap_or_default().to_owned();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns:\n{text}");
    assert!(!text.contains('\u{1b}'), "no terminal, and yet: {text:?}");
    (text, last)
}

/// Waits until the last line of what it answers begins so; all of it.
fn wait_last_line(guard: &Guard, begins: &str) -> String {
    let mut said = String::new();
    let seen = wait(seconds(20), || {
        let output = guard.output(&["status"]);
        let (text, last) = answered(&output);
        said.clone_from(&text);
        (output.status.code() == Some(0) && last.starts_with(begins)).then_some(text)
    });
    seen.unwrap_or_else(|| panic!("does not end in {begins:?}:\n{said}"))
}

fn listening(setup: Setup) -> Guard {
    let guard = setup.start();
    let socket = guard.folder().join("run/control.sock");
    guard.expect("the socket", seconds(20), || UnixStream::connect(&socket).ok());
    guard
}

#[test]
fn its_last_line_says_whether_the_machine_is_protected_and_else_why_not() {
    let world = World::new("status", &[]);
    let guard = world.start(world.setup(PROGRAM));
    let well = wait_last_line(&guard, "protected: a notice would be seen and the node drained");
    for line in
        ["metadata service  ok", "cluster           ok       node ", "records           ok", "m5.large in eu-west-1a"]
    {
        assert!(well.contains(line), "no {line:?} in\n{well}");
    }
    world.imds.recommend_rebalance();
    guard.expect("the recommendation is told", seconds(20), || {
        let (text, last) = answered(&guard.output(&["status"]));
        (text.contains("notice            rebalance recommendation, ") && last.starts_with("protected")).then_some(())
    });

    world.imds.fault(Fault::Status(503));
    guard.expect("it tells of the fault", seconds(20), || {
        let (text, last) = answered(&guard.output(&["status"]));
        let told = "NOT protected: the metadata service fails, a notice would not be seen";
        (text.contains("metadata service  failure  cannot read") && last == told).then_some(())
    });
}

#[test]
fn without_a_cluster_it_says_whether_none_is_meant() {
    let imds = Imds::on_loopback();
    let none = listening(Setup::new(PROGRAM).imds(&imds).without_kubernetes());
    wait_last_line(&none, "protected: a notice would be seen and the hooks run");
    let missing = Setup::new(PROGRAM).imds(&imds).argument("--kubeconfig").argument("/nowhere/kubeconfig");
    let missing = listening(missing);
    let told = wait_last_line(&missing, "NOT protected but by hooks: there is no cluster, no pod would be moved");
    assert!(told.contains("cluster           warning  none: there is no kubeconfig (/nowhere/kubeconfig)"), "{told}");
    let tried = listening(Setup::new(PROGRAM).imds(&imds).without_kubernetes().argument("--dry-run"));
    let output = tried.output(&["status"]);
    assert_eq!(answered(&output).1, "NOT protected: --dry-run changes nothing");
}

#[test]
fn for_programs_it_is_the_object_of_the_status_file() {
    let imds = Imds::on_loopback();
    let guard = listening(Setup::new(PROGRAM).imds(&imds).without_kubernetes());
    wait_last_line(&guard, "protected");
    let told: Value = serde_json::from_slice(&guard.output(&["status", "--json"]).stdout).unwrap();
    let mut written = guard.status().unwrap();
    written["at"] = told["at"].clone();
    assert_eq!(told, written);
}

#[test]
fn where_no_daemon_runs_it_says_so_with_what_the_last_one_said() {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
    let never = setup.output(&["status"]);
    assert_eq!((never.status.code(), text(&never.stdout).as_str()), (Some(1), ""));
    assert!(text(&never.stderr).starts_with("NOT protected: no daemon runs; nobody listens at "), "{never:?}");

    let mut guard = listening(setup);
    wait_last_line(&guard, "protected");
    assert!(guard.stop(seconds(20)).success());
    let left = guard.output(&["status"]);
    assert_eq!(left.status.code(), Some(1));
    assert!(text(&left.stdout).contains("metadata service  ok") && !text(&left.stdout).contains("protected"));
    let said = text(&left.stderr);
    assert!(said.starts_with("NOT protected: no daemon runs;") && said.trim_end().ends_with(" s ago"), "{said}");
    let json = guard.output(&["status", "--json"]);
    assert_eq!(json.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap(), guard.status().unwrap());
    for wanted in ["--metrics", "--watch"] {
        let output = guard.output(&["status", wanted]);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{wanted}");
        assert!(text(&output.stderr).starts_with("no spot-guard listens at "), "{wanted}: {output:?}");
    }
}

#[test]
fn it_shows_one_thing_at_a_time_and_to_root_alone() {
    let imds = Imds::on_loopback();
    let guard = listening(Setup::new(PROGRAM).imds(&imds).without_kubernetes());
    assert_eq!(guard.output(&["status", "--json", "--watch"]).status.code(), Some(2));
    if !geteuid().is_root() {
        return skip("only root can be another user");
    }
    for folder in [guard.folder().to_owned(), guard.folder().join("run")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = guard.folder().join("spot-guard");
    fs::copy(std::env::var_os("SPOT_GUARD_TEST_BINARY").unwrap_or_else(|| PROGRAM.into()), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
    let output = command.args(["status", "--runtime-dir"]).arg(guard.folder().join("run")).output().expect("setpriv");
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("only root may") && said.lines().count() == 1, "{said}");
}

/// Pods of which one takes a while, another is held by its budget, and the others go at once.
fn drained(purpose: &str) -> World {
    let pods = [
        PodSpec::new("web-0").grace(10).stops_in(0.5),
        PodSpec::new("slow-0").grace(20).stops_in(8.0),
        PodSpec::new("db-0").grace(3).stops_in(0.5),
    ];
    let world = World::new(purpose, &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    world
}

#[test]
fn on_a_terminal_a_response_is_redrawn_in_place_and_its_last_state_stays() {
    let world = drained("status-watch");
    let guard = world.start(world.setup(PROGRAM).hook("pre-drain", "10-x", "sleep 1"));
    let mut terminal = Terminal::run(guard.command(&["status", "--watch"]), 24, 80);
    let wait_seen = |terminal: &Terminal, what: &str| {
        let seen = || terminal.contents().contains(what).then_some(());
        wait(seconds(20), seen)
            .unwrap_or_else(|| panic!("no {what:?} is seen:\n{}\n{}", terminal.contents(), guard.log()));
    };
    wait_seen(&terminal, "protected: a notice would be seen");
    world.interrupt(&guard, 25);
    wait_seen(&terminal, "spot interruption (terminate)");
    wait_seen(&terminal, "/slow-0");
    wait_seen(&terminal, "█");
    wait_seen(&terminal, "of 3 s graceful, forced");
    wait_seen(&terminal, "3 of 3 gone; 0 stopping, 0 waiting; 0 killed, 0 left");
    wait_seen(&terminal, "all done");
    terminal.interrupt();
    assert!(terminal.wait_end(seconds(20)).success());
    let left = terminal.contents();
    assert!(left.trim_end().ends_with("all done"), "{left}");
    assert!(left.contains("hook              ok       pre-drain/10-x, 1."), "{left}");
    // Each line once, and nothing has scrolled away: so it was drawn over.
    assert_eq!((left.matches("response ").count(), terminal.scrolled()), (1, 0), "{left}");
    assert!(terminal.written().matches("spot interruption (terminate)").count() > 5, "{:?}", terminal.written());
    assert!(terminal.written().contains("\u{1b}[32mok\u{1b}[0m"));
}

#[test]
fn without_colours_and_without_a_terminal_it_is_plain_lines_of_what_changes() {
    let world = drained("status-plain");
    let guard = world.start(world.setup(PROGRAM));
    let mut piped = guard.spawn(&["status", "--watch"]);
    let mut plain = guard.command(&["status", "--watch"]);
    plain.env("NO_COLOR", "1");
    let mut plain = Terminal::run(plain, 24, 80);
    guard.expect("it watches", seconds(20), || plain.written().contains("protected").then_some(()));
    world.interrupt(&guard, 20);
    guard.wait_done(seconds(40));
    guard.expect("it is told", seconds(20), || plain.written().contains("all done").then_some(()));
    plain.interrupt();
    assert!(plain.wait_end(seconds(20)).success());
    kill(Pid::from_raw(i32::try_from(piped.id()).unwrap()), Signal::SIGINT).unwrap();
    assert!(piped.wait().unwrap().success());
    let piped = text(&piped.wait_with_output().unwrap().stdout);
    for lines in [piped, plain.written()] {
        assert!(!lines.contains('\u{1b}'), "{lines:?}");
        assert!(lines.starts_with("protected: a notice") && lines.contains("draining, 2 of 3 pods left"), "{lines}");
        // Not a line for each second.
        assert!(lines.lines().count() <= 10, "{lines}");
    }
}

#[test]
fn it_ends_when_nobody_reads_it_any_more() {
    let imds = Imds::on_loopback();
    let guard = listening(Setup::new(PROGRAM).imds(&imds).without_kubernetes().hook("pre-drain", "10-x", "sleep 3"));
    let mut watching = guard.command(&["status", "--watch"]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(watching.stdout.take());
    imds.interrupt("terminate", seconds(20));
    let ended = wait(seconds(30), || watching.try_wait().unwrap());
    assert_eq!(ended.and_then(|status| status.code()), Some(1));
}

#[test]
fn many_pods_stay_within_the_terminal() {
    let pods: Vec<PodSpec> = PodSpec::many("web", 60).into_iter().map(|pod| pod.grace(15).stops_in(6.0)).collect();
    let world = World::new("status-many", &pods);
    let guard = world.start(world.setup(PROGRAM));
    let terminal = Terminal::run(guard.command(&["status", "--watch"]), 20, 60);
    guard.expect("it watches", seconds(20), || terminal.contents().contains("protected").then_some(()));
    world.interrupt(&guard, 30);
    guard.expect("they stop", seconds(30), || {
        let seen = terminal.contents();
        (seen.contains("60 stopping") && seen.contains("more")).then_some(())
    });
    guard.wait_done(seconds(40));
    guard.expect("it is told", seconds(20), || terminal.contents().contains("all done").then_some(()));
    assert_eq!(terminal.scrolled(), 0, "{}", terminal.contents());
}
