//! A drain by hand is a response like any other: asked of the daemon over its socket, or done without one.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use serde_json::{Value, json};
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::Imds;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::skip::skip;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code, and both outputs.
fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn assert_exit(output: &Output, code: i32, mentions: &str) {
    let (exit, said) = said(output);
    assert!(exit == Some(code) && said.contains(mentions), "exit {exit:?}\n{said}");
}

fn sock(folder: &Path) -> std::path::PathBuf {
    folder.join("run/control.sock")
}

/// A daemon that only runs hooks, once it listens.
fn listening(setup: Setup) -> Guard {
    let guard = setup.start();
    guard.expect("the socket", seconds(10), || UnixStream::connect(sock(guard.folder())).ok());
    guard
}

/// Says this on the socket and nothing more; what is answered.
fn ask(guard: &Guard, bytes: &[u8]) -> Value {
    let mut stream = UnixStream::connect(sock(guard.folder())).unwrap();
    stream.set_read_timeout(Some(seconds(20))).unwrap();
    // Whoever is told that it is too much need not take all of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{error}: {}", text(&answer)))
}

/// The record of a command that ran without a daemon.
fn only_record(setup: &Setup) -> Value {
    let files = fs::read_dir(setup.folder().join("state/responses")).unwrap().map(|entry| entry.unwrap().path());
    let records: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    assert_eq!(records.len(), 1, "{records:?}");
    serde_json::from_slice(&fs::read(&records[0]).unwrap()).unwrap()
}

fn alone(imds: &Imds) -> Setup {
    Setup::new(PROGRAM).imds(imds).without_kubernetes()
}

#[test]
fn the_daemon_drains_when_it_is_asked_to_and_the_command_waits_for_the_end() {
    let world = World::new("by-hand", &[PodSpec::new("web-0").grace(5), PodSpec::new("web-1").grace(5).stops_in(2.0)]);
    let guard = world.start(world.setup(PROGRAM));
    let drained = guard.output(&["drain", "--window", "40s", "--reason", "new\nkernel"]);
    assert_exit(&drained, 0, "2 graceful, 0 killed, 0 left");
    // What the daemon says may be a moment ahead of the disk.
    let record = guard.wait_done(seconds(5));
    assert_eq!(record["notice"]["kind"], "by-hand", "{record:#}");
    assert_eq!(record["outcome"], "complete");
    assert_eq!(record::count(&record, "graceful"), 2);
    let window = record::since_notice(&record, &record["deadline"]);
    assert!((39.0..=40.5).contains(&window), "{window}");
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
    guard.wait_line("drain by hand: new kernel", seconds(1));
    world.assert_only_allowed_requests();
}

#[test]
fn a_budget_that_stays_closed_is_not_passed_over_by_hand() {
    let world = World::new("by-hand-budget", &[PodSpec::new("db-0").grace(2).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(world.setup(PROGRAM));
    let drained = guard.output(&["drain", "--window", "12s"]);
    assert_exit(&drained, 1, "0 graceful, 0 killed, 1 left");
    let record = guard.wait_done(seconds(5));
    assert_eq!((&record["outcome"], &record["pods"][0]["forced"]), (&json!("incomplete"), &json!(false)), "{record:#}");
}

#[test]
fn without_a_wait_the_response_goes_on_when_the_command_has_ended() {
    let imds = Imds::on_loopback();
    let guard = listening(alone(&imds).hook("pre-drain", "10-slow", "sleep 2"));
    let asked = Instant::now();
    assert_exit(&guard.output(&["drain", "--no-wait", "--window", "30s"]), 0, "has begun");
    assert!(asked.elapsed() < seconds(2), "{:?}", asked.elapsed());
    assert_exit(&guard.output(&["drain", "--no-wait", "--window", "30s"]), 0, "is joined");
    assert_eq!(guard.wait_done(seconds(30))["outcome"], "complete");
}

#[test]
fn what_follows_can_end_and_the_drain_goes_on() {
    let imds = Imds::on_loopback();
    let guard = listening(alone(&imds).hook("pre-drain", "10-slow", "sleep 4"));
    let mut following = guard.spawn(&["drain", "--window", "30s"]);
    guard.expect("a response", seconds(10), || guard.record());
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(following.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    let ended = stand_ins::wait::expect("it ends", seconds(5), || following.try_wait().unwrap());
    assert_exit(&following.wait_with_output().unwrap(), 1, "goes on");
    assert_eq!(ended.code(), Some(1));
    assert_eq!(guard.wait_done(seconds(30))["outcome"], "complete");
}

#[test]
fn without_a_daemon_the_command_itself_drains() {
    let world = World::new("alone", &[PodSpec::new("web-0").grace(5)]);
    let setup = world.setup(PROGRAM).hook("post-drain", "10-x", "touch $OUT/ran");
    let drained = setup.output(&["drain", "--window", "40s"]);
    assert_exit(&drained, 0, "1 graceful, 0 killed, 0 left");
    assert!(setup.out().join("ran").exists());
    let record = only_record(&setup);
    assert_eq!((&record["notice"]["kind"], &record["outcome"]), (&json!("by-hand"), &json!("complete")), "{record:#}");
    world.assert_only_allowed_requests();
}

#[test]
fn a_notice_that_comes_in_the_middle_brings_the_deadline_nearer() {
    let imds = Imds::on_loopback();
    let setup = alone(&imds).hook("during", "10-x", "sleep 60").hook("pre-drain", "10-slow", "sleep 30");
    let mut draining = setup.spawn(&["drain", "--window", "5m"]);
    let polled = || imds.log().into_iter().find(|asked| asked.path == stand_ins::imds::SPOT);
    stand_ins::wait::expect("IMDS is polled", seconds(20), polled);
    imds.interrupt("terminate", seconds(10));
    let ended = stand_ins::wait::wait(seconds(25), || draining.try_wait().unwrap());
    let output = draining.wait_with_output();
    assert!(ended.is_some(), "{output:?}");
    let record = only_record(&setup);
    let window = record::since_notice(&record, &record["deadline"]);
    assert!(window < 30.0 && !record["outcome"].is_null(), "{window} {}\n{output:?}\n{record:#}", record["outcome"]);
}

#[test]
fn without_a_daemon_nobody_could_go_on_and_with_one_there_is_no_dry_run() {
    let imds = Imds::on_loopback();
    let setup = alone(&imds);
    assert_exit(&setup.output(&["drain", "--no-wait"]), 2, "--no-wait needs a daemon");
    assert_exit(&setup.output(&["drain", "--dry-run", "--window", "15s"]), 0, "has begun");
    let guard = listening(setup);
    assert_exit(&guard.output(&["drain", "--dry-run"]), 2, "--dry-run is for where no daemon runs");
    assert_exit(&guard.output(&["uncordon", "--dry-run"]), 2, "--dry-run is for where no daemon runs");
}

#[test]
fn times_that_make_no_sense_are_wrong_usage_and_a_notice_whose_time_has_passed_is_not() {
    let imds = Imds::on_loopback();
    let guard = listening(alone(&imds));
    let table: [(&[&str], &str); 7] = [
        (&["--since", "2026-01-01T00:00:00Z"], "the window was over at 2026-01-01T00:02:00.000Z"),
        (&["--until", "2026-01-01T00:00:00Z"], "give a longer --window, a later --until"),
        (&["--until", "2027-01-01T00:00:00Z", "--window", "5m"], "both say when the window ends"),
        (&["--window", "5"], "it needs a unit"),
        (&["--window", "25h"], "it must be from 1s to 24h"),
        (&["--notice", "spot"], "it must be one of spot-interruption, "),
        (&["--notice", "rebalance-recommendation", "--window", "5m"], "names no end"),
    ];
    for (options, mentions) in table {
        assert_exit(&guard.output(&[&["drain"], options].concat()), 2, mentions);
    }
    assert_eq!(guard.record(), None);
    let overdue = ["drain", "--notice", "spot-interruption", "--since", "2026-01-01T00:00:00Z"];
    assert_exit(&guard.output(&overdue), 0, "complete");
    // What the daemon says may be a moment ahead of the disk.
    let record = guard.wait_done(seconds(20));
    assert_eq!((&record["overdue"], &record["notice"]["kind"]), (&json!(true), &json!("spot-interruption")));
    assert_eq!(record["notice"]["action"], "terminate");
}

#[test]
fn an_uncordon_where_nothing_was_done_is_done() {
    let imds = Imds::on_loopback();
    let setup = alone(&imds);
    assert_exit(&setup.output(&["uncordon"]), 0, "nothing on it is spot-guard's");
    let guard = listening(setup);
    assert_exit(&guard.output(&["uncordon"]), 0, "nothing on it is spot-guard's");
    assert_eq!(guard.count_responses(), 0, "it is no response");
}

#[test]
fn an_uncordon_of_a_node_that_others_have_cordoned_says_that_nothing_is_undone() {
    let world = World::new("by-hand-others", &[]);
    world.cluster.patch_node(&world.node, &json!({"spec": {"unschedulable": true}}));
    let setup = world.setup(PROGRAM).hook("uncordon", "10-x", "touch $OUT/ran");
    assert_exit(&setup.output(&["uncordon"]), 0, "nothing on it is spot-guard's");
    let guard = world.start(setup);
    assert_exit(&guard.output(&["uncordon"]), 0, "nothing on it is spot-guard's");
    assert!(world.is_cordoned() && !guard.out().join("ran").exists());
    assert_eq!(guard.count_responses(), 0, "it is no response");
    assert_exit(&guard.output(&["drain", "--window", "20s"]), 0, "complete");
    assert_exit(&guard.output(&["uncordon"]), 0, "is undone");
    assert!(world.is_cordoned(), "its cordon is not ours");
}

#[test]
fn what_comes_over_the_socket_harms_nothing() {
    let imds = Imds::on_loopback();
    let guard = listening(alone(&imds));
    let long = [b"{\"request\":\"drain\",\"reason\":\"", "x".repeat(1 << 20).as_bytes(), b"\"}\n"].concat();
    let table: [(&[u8], &str); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n", "this is no request"),
        (b"\xff\xfe\0\n", "this is no request"),
        (b"{\"request\":\"drain\",\"window\":\"5m\"}\n", "unknown field"),
        (b"{\"request\":\"reboot\"}\n", "unknown variant"),
        (&"[".repeat(60_000).into_bytes(), "no whole line"),
        (&long, "65536 bytes at most"),
    ];
    for (bytes, mentions) in table {
        let answer = ask(&guard, bytes);
        assert_eq!(answer["answer"], "wrong", "{answer}");
        assert!(answer["why"].as_str().unwrap().contains(mentions), "{answer}");
    }
    assert_eq!(ask(&guard, b"{\"request\":\"status\"}\n")["state"], "watching");
    assert_eq!(guard.record(), None);
}

#[test]
fn clients_that_hang_hold_up_nobody() {
    let imds = Imds::on_loopback();
    let guard = listening(alone(&imds));
    let hanging: Vec<UnixStream> = (0..6)
        .map(|_| {
            let mut stream = UnixStream::connect(sock(guard.folder())).unwrap();
            stream.write_all(b"{\"request\":").unwrap();
            stream
        })
        .collect();
    let asked = Instant::now();
    assert_eq!(ask(&guard, b"{\"request\":\"status\"}\n")["state"], "watching");
    assert!(asked.elapsed() < seconds(2), "{:?}", asked.elapsed());
    // Too many of them hold up the next for some seconds, and never the daemon.
    let more: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(sock(guard.folder())).unwrap()).collect();
    imds.interrupt("terminate", seconds(20));
    assert_eq!(guard.wait_done(seconds(25))["outcome"], "complete");
    guard.expect("it is answered again", seconds(10), || {
        (ask(&guard, b"{\"request\":\"status\"}\n")["answer"] == "status").then_some(())
    });
    drop((hanging, more));
}

#[test]
fn only_root_and_the_daemons_own_user_may_ask() {
    let imds = Imds::on_loopback();
    let guard = listening(alone(&imds));
    let path = sock(guard.folder());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    if !geteuid().is_root() {
        return skip("only root can be another user");
    }
    // As if somebody had opened it to all: the kernel still says who asks.
    for folder in [guard.folder().to_owned(), guard.folder().join("run")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = guard.folder().join("spot-guard");
    fs::copy(std::env::var_os("SPOT_GUARD_TEST_BINARY").unwrap_or_else(|| PROGRAM.into()), &program).unwrap();
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
        command.args(["drain", "--runtime-dir"]).arg(guard.folder().join("run")).output().expect("setpriv")
    };
    assert_exit(&as_nobody(), 1, "only root may");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_exit(&as_nobody(), 1, "user 65534 may not ask");
    guard.wait_line("a request of user 65534 on the control socket was refused", seconds(5));
    assert_eq!(guard.record(), None);
}

#[test]
fn a_socket_that_is_left_or_removed_is_replaced() {
    let imds = Imds::on_loopback();
    let mut guard = listening(alone(&imds));
    guard.kill();
    assert!(UnixStream::connect(sock(guard.folder())).is_err() && sock(guard.folder()).exists());
    guard.start_again();
    guard.expect("the socket", seconds(10), || UnixStream::connect(sock(guard.folder())).ok());
    fs::remove_file(sock(guard.folder())).unwrap();
    guard.expect("the socket is back", Duration::from_secs(15), || UnixStream::connect(sock(guard.folder())).ok());
}

#[test]
fn without_its_runtime_folder_the_daemon_says_so_and_goes_on() {
    let imds = Imds::on_loopback();
    let setup = alone(&imds);
    fs::remove_dir(setup.folder().join("run")).unwrap();
    fs::write(setup.folder().join("run"), "").unwrap();
    let guard = setup.start();
    guard.wait_line("drain and uncordon cannot reach this daemon", seconds(10));
    imds.interrupt("terminate", seconds(12));
    assert_eq!(guard.wait_done(seconds(20))["outcome"], "complete");
    assert_eq!(guard.lines_with("drain and uncordon cannot reach this daemon").len(), 1);
}
