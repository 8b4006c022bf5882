use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::slice;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

fn shell(script: &str) -> Command {
    Command {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), PATH.into())],
        input: [].into(),
        folder: None,
    }
}

fn within(time: Duration) -> Limits {
    Limits { ends: Moment::now() + time, patience: Duration::from_millis(200), output: 256 * 1024 }
}

fn a_minute() -> Limits {
    within(Duration::from_secs(60))
}

/// Runs it and stops it when it says `ready`.
fn run_until_ready(command: &Command) -> (Ended, Vec<String>) {
    let (stop, mut seen) = (Stop::new(), Vec::new());
    let ended = run(command, &a_minute(), &stop, &mut |_| (), &mut |_, line| {
        if line == "ready" {
            stop.now();
        }
        seen.push(line.to_owned());
    });
    (ended, seen)
}

fn run_alone(command: &Command) -> (Ended, Vec<String>) {
    let mut seen = Vec::new();
    let ended = run(command, &a_minute(), &Stop::new(), &mut |_| (), &mut |_, line| seen.push(line.to_owned()));
    (ended, seen)
}

/// Whether it runs; a process that ended and that nobody has waited for does not.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_until_gone(pid: &str) {
    let patience_ends = Moment::now() + Duration::from_secs(10);
    while runs(pid) {
        assert!(Moment::now() < patience_ends, "process {pid} still runs");
        std::thread::yield_now();
    }
}

#[test]
fn a_process_gives_its_lines_its_exit_code_and_the_end_of_its_output() {
    let (ended, seen) = run_alone(&shell("echo one; echo two; exit 75"));
    assert_eq!(seen, ["one", "two"]);
    assert_eq!(ended, Ended { exit: Exit::Code(75), cut: None, dropped: 0, tail: "one\ntwo".into() });
}

#[test]
fn a_process_ends_with_its_first_one_and_its_group_is_killed() {
    let before = Moment::now();
    let (ended, seen) = run_alone(&shell("sleep 1000 & echo $!; exit 3"));
    assert_eq!(ended.exit, Exit::Code(3));
    wait_until_gone(&seen[0]);
    assert!(Moment::now().since(before) < Duration::from_secs(5));
}

#[test]
fn one_that_left_the_group_and_holds_the_output_open_keeps_nobody_waiting() {
    let before = Moment::now();
    let other = "setsid sh -c \"echo \\$\\$; echo > $fifo; exec sleep 1000\"";
    let script = format!("fifo=$(mktemp -u) && mkfifo $fifo; {other} & read go < $fifo; rm $fifo");
    let (ended, seen) = run_alone(&shell(&script));
    let _ = kill(Pid::from_raw(seen[0].parse().unwrap()), Signal::SIGKILL);
    assert_eq!(ended.exit, Exit::Code(0));
    assert!(Moment::now().since(before) < Duration::from_secs(5));
}

#[test]
fn a_stopped_process_gets_term_and_so_does_its_group() {
    let child = "sh -c 'trap \"echo child; exit\" TERM; echo ready; while :; do sleep 0.01; done'";
    let (ended, seen) = run_until_ready(&shell(&format!("trap 'wait; exit 4' TERM; {child} & wait")));
    assert_eq!((ended.exit, ended.cut), (Exit::Code(4), Some(Cut::Stopped)));
    assert!(seen.contains(&"child".to_owned()), "{seen:?}");
}

#[test]
fn a_process_that_ignores_term_is_killed_after_its_patience() {
    let (ended, _) = run_until_ready(&shell("trap '' TERM; echo ready; while :; do sleep 1; done"));
    assert_eq!((ended.exit, ended.cut), (Exit::Signal(9), Some(Cut::Stopped)));
}

#[test]
fn a_process_whose_time_is_over_gets_term() {
    let before = Moment::now();
    let time = Duration::from_millis(300);
    let ended = run(&shell("exec sleep 1000"), &within(time), &Stop::new(), &mut |_| (), &mut |_, _| ());
    assert_eq!(ended.exit, Exit::Signal(15));
    assert!(ended.timed_out());
    assert!(Moment::now().since(before) >= time);
}

#[test]
fn what_has_no_time_left_is_not_started() {
    let mut started = false;
    let ended = run(&shell("true"), &within(Duration::ZERO), &Stop::new(), &mut |_| started = true, &mut |_, _| ());
    assert!(matches!(ended.exit, Exit::NotStarted(_)), "{ended:?}");
    assert_eq!((ended.timed_out(), started), (true, false));
}

#[test]
fn a_process_that_prints_100_mb_is_not_held_up_and_costs_no_memory() {
    let (ended, seen) = run_alone(&shell("yes 123456789 | head -c 100000000; echo the end"));
    assert_eq!((ended.exit, ended.dropped), (Exit::Code(0), 100_000_008 - 256 * 1024));
    assert!(seen.iter().map(String::len).sum::<usize>() <= 256 * 1024);
    assert!(ended.tail.ends_with("123456789\nthe end") && ended.tail.len() <= 2048);
}

#[test]
fn a_process_that_kills_its_own_group_harms_nobody_else() {
    let (ended, _) = run_alone(&shell("kill -KILL 0"));
    assert_eq!((ended.exit, ended.cut), (Exit::Signal(9), None));
}

#[test]
fn a_file_that_is_no_program_is_not_started() {
    let ended = run_alone(&Command { program: "/etc/passwd".into(), ..shell("") }).0;
    let Exit::NotStarted(reason) = ended.exit else { panic!("{ended:?}") };
    assert!(reason.starts_with("cannot start /etc/passwd: "), "{reason}");
}

#[test]
fn a_process_that_reads_no_input_is_not_waited_for() {
    assert_eq!(run_alone(&shell("exit 5").reading(&"x".repeat(1_000_000))).0.exit, Exit::Code(5));
}

#[test]
fn input_and_output_flow_at_the_same_time() {
    let input = "0123456789\n".repeat(100_000);
    let limits = Limits { output: input.len(), ..a_minute() };
    let output = run_to_end(&shell("cat").reading(&input), &limits, Priority::Ordinary).unwrap();
    assert!(output.stdout == input.as_bytes());
}

#[test]
fn a_process_sees_the_environment_that_it_was_given_and_nothing_else() {
    let command = Command { program: "env".into(), arguments: Vec::new(), ..shell("") };
    assert_eq!(run_alone(&command).1, [format!("PATH={PATH}")]);
}

#[test]
fn a_process_is_ended_before_the_machines_own_when_memory_runs_out() {
    // It looks when it has read its input, which it gets after the score was set.
    let (_, seen) = run_alone(&shell("read go; cat /proc/$$/oom_score_adj").reading("go\n"));
    assert_eq!(seen, ["500"]);
}

#[test]
fn what_was_told_at_the_start_finds_the_process_again() {
    let mut killed = 0;
    let mut on_start = |started: &Started| killed = kill_it(started);
    let ended = run(&shell("exec sleep 1000"), &a_minute(), &Stop::new(), &mut on_start, &mut |_, _| ());
    assert_eq!((killed, ended.exit), (1, Exit::Signal(9)));
}

#[test]
fn what_a_dead_process_left_of_its_group_is_found_by_its_mark() {
    let (started, left) = leave_a_member_behind(Some(MARK));
    assert_eq!(kill_left_over(slice::from_ref(&started), "RESPONSE=another"), 0);
    assert!(runs(&left));
    assert_eq!(kill_it(&started), 1);
    wait_until_gone(&left);
    assert_eq!(kill_it(&started), 0);
}

#[test]
fn a_group_that_was_given_the_number_later_is_left_alone() {
    let (started, left) = leave_a_member_behind(None);
    assert_eq!(kill_it(&started), 0);
    let mut leader = reader();
    let its = Started::of_child(i32::try_from(leader.id()).unwrap());
    for start_time in [its.start_time - 1, its.start_time + 1] {
        assert_eq!(kill_it(&Started { start_time, ..its }), 0);
    }
    assert!(runs(&its.pid.to_string()) && runs(&left));
    assert_eq!(kill_it(&its), 1);
    assert!(!leader.wait().unwrap().success());
    kill(Pid::from_raw(left.parse().unwrap()), Signal::SIGKILL).unwrap();
}

const MARK: &str = "RESPONSE=this";

fn kill_it(started: &Started) -> usize {
    kill_left_over(slice::from_ref(started), MARK)
}

/// A process that waits for its input, which never comes, in a group of its own.
fn reader() -> std::process::Child {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "read until_the_end"]).stdin(Stdio::piped()).process_group(0).spawn().unwrap()
}

/// A process that has ended, and the number of one of its group that lives on, with `mark` in its environment.
fn leave_a_member_behind(mark: Option<&str>) -> (Started, String) {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "read go; sleep 1000 >/dev/null & echo $!"]).process_group(0);
    command.env_clear().env("PATH", PATH).envs(mark.and_then(|mark| mark.split_once('=')));
    let mut leader = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let started = Started::of_child(i32::try_from(leader.id()).unwrap());
    leader.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let left = std::io::read_to_string(leader.stdout.take().unwrap()).unwrap();
    assert!(leader.wait().unwrap().success());
    (started, left.trim().to_owned())
}

#[test]
fn the_output_of_a_failed_process_is_not_in_the_error() {
    let error = run_to_end(&shell("echo secret; echo 'no credentials' >&2; exit 2"), &a_minute(), Priority::Ordinary)
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "/bin/sh failed: exit code 2; it said: no credentials");
}

#[test]
fn more_output_than_the_limit_is_an_error() {
    let limits = Limits { output: 9, ..a_minute() };
    assert!(run_to_end(&shell("echo 12345678"), &limits, Priority::Ordinary).is_ok());
    let error = run_to_end(&shell("echo 123456789"), &limits, Priority::Ordinary).err().unwrap();
    assert_eq!(error, Error::TooMuch { program: "/bin/sh".into(), limit: 9 });
}

#[test]
fn a_process_of_low_priority_gives_way_to_others_and_so_does_what_it_starts() {
    let niceness = |priority| {
        // It is told before it is given its input.
        let command = shell("read go; nice; sh -c nice").reading("go\n");
        let output = run_to_end(&command, &a_minute(), priority).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().map(|line| line.parse().unwrap()).collect::<Vec<i32>>()
    };
    let ordinary = niceness(Priority::Ordinary);
    let low: Vec<i32> = ordinary.iter().map(|own| (own + 10).min(19)).collect();
    assert_eq!(niceness(Priority::Low), low);
}

impl Command {
    fn reading(self, input: &str) -> Command {
        Command { input: input.as_bytes().into(), ..self }
    }
}
