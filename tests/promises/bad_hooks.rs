//! Whatever a hook does wrong: it is limited, it ends with all that it started, the rest runs, and the daemon stays as
//! it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};
use stand_ins::memory_group::MemoryGroup;

use crate::{PROGRAM, seconds};

/// What becomes of a hook `10-bad` with this script and of `20-after`.
fn respond_with(bad: &str) -> (Guard, Value) {
    let (guard, imds) = started(with(bad));
    let record = respond(&guard, &imds);
    (guard, record)
}

fn with(bad: &str) -> Setup {
    Setup::new(PROGRAM).hook("pre-drain", "10-bad", bad).hook("pre-drain", "20-after", "touch $OUT/after")
}

/// The same, with a limit of 3 s.
fn with_limited(bad: &str) -> Setup {
    with(bad).config("[hooks]\ntimeouts = { \"10-bad\" = \"3s\" }")
}

fn started(setup: Setup) -> (Guard, Imds) {
    let imds = Imds::on_loopback();
    let guard = setup.imds(&imds).without_kubernetes().start();
    guard.expect("IMDS is polled", seconds(10), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    (guard, imds)
}

fn respond(guard: &Guard, imds: &Imds) -> Value {
    let pid = guard.pid().as_raw();
    imds.interrupt("terminate", seconds(60));
    let record = guard.wait_done(seconds(40));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert!(guard.out().join("after").exists(), "the next one did not run: {record:#}");
    assert_eq!(guard.status().unwrap()["pid"], pid);
    record
}

fn bad(record: &Value) -> &Value {
    let hooks = record["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    hooks.iter().find(|hook| hook["name"] == "10-bad").unwrap_or_else(|| panic!("not in {record:#}"))
}

fn pid_in(guard: &Guard, name: &str) -> Pid {
    Pid::from_raw(fs::read_to_string(guard.out().join(name)).unwrap().trim().parse().unwrap())
}

fn wait_gone(guard: &Guard, pid: Pid) {
    guard.expect("what it started is gone", seconds(5), || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn one_that_leaves_a_process_with_its_output_open_holds_up_nobody_and_the_process_is_killed() {
    let (guard, record) = respond_with("sleep 300 & echo $! >$OUT/child");
    assert_eq!((&bad(&record)["exit"], &bad(&record)["timed_out"]), (&0.into(), &false.into()));
    wait_gone(&guard, pid_in(&guard, "child"));
}

#[test]
fn one_whose_child_leaves_the_group_with_its_output_open_holds_up_nobody() {
    let escape = "setsid sh -c 'echo $$ >$OUT/.child; mv $OUT/.child $OUT/child; exec sleep 300' &\n";
    let (guard, record) = respond_with(&format!("{escape}until [ -e $OUT/child ]; do sleep 0.05; done"));
    let took = bad(&record)["seconds"].as_f64().unwrap();
    // It is not the hook's any more; a unit of its own is what such a thing needs.
    let _ = kill(pid_in(&guard, "child"), Signal::SIGKILL);
    assert_eq!(bad(&record)["exit"], 0, "{record:#}");
    assert!(took < 5.0, "it held up the next one for {took} s");
}

#[test]
fn one_that_ignores_term_is_killed_with_its_group_when_its_time_is_over() {
    let stubborn = "trap '' TERM; sleep 300 & echo $! >$OUT/child; while :; do sleep 1; done";
    let (guard, imds) = started(with_limited(stubborn));
    let record = respond(&guard, &imds);
    assert_eq!((&bad(&record)["timed_out"], &bad(&record)["signal"]), (&true.into(), &9.into()), "{record:#}");
    // Its limit, then two seconds to think about it.
    let took = bad(&record)["seconds"].as_f64().unwrap();
    assert!((4.9..8.0).contains(&took), "it had {took} s");
    wait_gone(&guard, pid_in(&guard, "child"));
}

#[test]
fn one_that_prints_100_mb_is_cut_short_in_log_and_record_and_costs_no_memory() {
    let (guard, imds) = started(with("yes 123456789 | head -c 100000000; echo the end"));
    let before = guard.usage().resident;
    let record = respond(&guard, &imds);
    assert_eq!(bad(&record)["exit"], 0, "it was not held up: {record:#}");
    let tail = bad(&record)["output_tail"].as_str().unwrap();
    assert!(tail.len() <= 2048 && tail.ends_with("the end"), "{tail}");
    guard.wait_line("hook pre-drain/10-bad wrote too much", seconds(5));
    let logged: usize = guard.lines().iter().filter(|line| line.text.contains("123456789")).count();
    assert!((1..30_000).contains(&logged), "{logged} lines of it are in the log");
    let grown = guard.usage().peak.saturating_sub(before);
    assert!(grown < 4096, "it grew by {grown} KiB");
}

#[test]
fn one_that_eats_all_memory_is_ended_before_the_daemon_though_each_of_its_processes_is_smaller() {
    let Some(group) = MemoryGroup::of(64 << 20) else { return };
    // Each keeps 3 MB, as there is no line's end in it.
    let eat = "i=0; while [ $i -lt 40 ]; do { head -c 3000000 /dev/zero; sleep 60; } | tail >/dev/null & i=$((i+1)); done; wait";
    let (guard, imds) = started(with_limited(eat));
    group.take(guard.pid());
    let record = respond(&guard, &imds);
    assert!(group.kills() > 0, "memory did not run out");
    assert!(!bad(&record)["seconds"].is_null(), "{record:#}");
}

#[test]
fn one_that_kills_its_own_group_harms_nobody_else() {
    let (_guard, record) = respond_with("kill -KILL 0");
    assert_eq!((&bad(&record)["signal"], &bad(&record)["timed_out"]), (&9.into(), &false.into()), "{record:#}");
}

#[test]
fn those_that_may_not_run_are_named_and_the_rest_runs() {
    let setup = with("touch $OUT/writable");
    let folder = setup.folder().join("hooks/pre-drain.d");
    fs::set_permissions(folder.join("10-bad"), PermissionsExt::from_mode(0o757)).unwrap();
    fs::write(folder.join("11-not-executable"), "#!/bin/sh\n").unwrap();
    symlink("/nowhere", folder.join("12-dangling")).unwrap();
    fs::create_dir(folder.join("13-folder")).unwrap();
    fs::write(folder.join("14-no-interpreter"), "#!/nowhere\n").unwrap();
    fs::set_permissions(folder.join("14-no-interpreter"), PermissionsExt::from_mode(0o755)).unwrap();
    let (guard, imds) = started(setup);
    let began = Instant::now();
    let record = respond(&guard, &imds);
    assert!(began.elapsed() < Duration::from_secs(20), "they held up the response");
    for (name, why) in [
        ("10-bad", "is writable by others; chmod go-w"),
        ("11-not-executable", "is not executable; if it is a hook: chmod +x"),
        ("12-dangling", "is a link to /nowhere, which does not exist"),
        ("13-folder", "is not a file"),
        ("14-no-interpreter", "not started: cannot start"),
    ] {
        guard.expect(&format!("{name}: {why} is in the log"), Duration::from_secs(10), || {
            guard.lines().into_iter().find(|line| line.text.contains(name) && line.text.contains(why))
        });
    }
    assert!(guard.lines_with("after 0.0 s").is_empty(), "what was not started took no time\n{}", guard.log());
    assert!(!guard.out().join("writable").exists());
    let names: Vec<&Value> = record["hooks"].as_array().unwrap().iter().map(|hook| &hook["name"]).collect();
    assert_eq!(names, ["14-no-interpreter", "20-after"]);
}
