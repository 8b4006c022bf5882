//! What one poll costs: the difference between two runs, of which one polls more often, or a look at each poll.
//!
//! The program runs beside the metadata service's stand-in, without a cluster, at its fastest beat. A few polls after its
//! start it asks for nothing but a Spot interruption, until 5 s have passed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stand_ins::guard::Setup;
use stand_ins::imds::{Fault, Imds, SPOT};
use stand_ins::wait;

const BEAT: Duration = Duration::from_millis(200);
/// By then all that is asked for at the start has been answered.
const FEW: usize = 6;
/// Before anything else is asked for again.
const MANY: usize = 15;
const PATIENCE: Duration = Duration::from_secs(60);

/// How many system calls strace sees in a poll.
pub fn system_calls(program: &Path) -> f64 {
    most_common(traced(program, |poll| Some(poll.len()))) as f64
}

/// How many bytes are sent in a poll.
pub fn request_bytes(program: &Path) -> f64 {
    most_common(traced(program, |poll| poll.iter().find_map(|line| sent(line)))) as f64
}

/// What `read` finds in each poll that strace sees.
fn traced(program: &Path, read: impl Fn(&[&str]) -> Option<usize>) -> Vec<usize> {
    let setup = setup(program);
    let trace = setup.folder().join("trace");
    let options = ["-D", "-f", "-e", "trace=!futex", "-o", trace.to_str().expect("a path in UTF-8")];
    run(&setup, MANY, "strace", &options);
    // strace is a process of its own here, which ends after the one that it looks at.
    let trace = wait::expect("strace has ended", PATIENCE, || {
        let trace = fs::read_to_string(&trace).ok()?;
        trace.lines().last()?.contains("+++ exited with").then_some(trace)
    });
    polls_in(&trace).iter().filter_map(|poll| read(poll)).collect()
}

/// The calls of each poll: from one connection to the next, where that one asks for a Spot interruption.
fn polls_in(trace: &str) -> Vec<Vec<&str>> {
    let mut connections: Vec<Vec<&str>> = Vec::new();
    // What has been interrupted by another thread stands there twice.
    for line in trace.lines().filter(|line| !line.contains(" resumed>")) {
        if line.contains(" socket(AF_INET") {
            connections.push(Vec::new());
        }
        if let Some(connection) = connections.last_mut() {
            connection.push(line);
        }
    }
    // Until the next connection there may be the end of the program.
    connections.pop();
    connections.retain(|calls| calls.iter().any(|line| line.contains("\"GET /latest/meta-data/spot/")));
    connections
}

/// How many bytes of a request were sent.
fn sent(line: &str) -> Option<usize> {
    line.contains(" sendto(").then(|| line.rsplit(" = ").next()?.parse().ok())?
}

fn most_common(numbers: Vec<usize>) -> usize {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    numbers.into_iter().for_each(|number| *counts.entry(number).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).expect("there are polls").0
}

/// What a tool of valgrind's counts in a poll; the number stands after `what` in the tool's last words.
pub fn counted(program: &Path, tool: &[&str], what: &str) -> f64 {
    let count = |polls: usize| {
        let ran = run(&setup(program), polls, "valgrind", tool);
        (number_after(what, &ran.said), ran.polls as f64)
    };
    let (few, many) = thread::scope(|scope| {
        let few = scope.spawn(|| count(FEW));
        (few.join().expect("count few"), count(MANY))
    });
    (many.0 - few.0) / (many.1 - few.1)
}

/// `I   refs:      2,362,111` and `Total: 211,943 bytes in 1,917 blocks`.
fn number_after(what: &str, words: &str) -> f64 {
    let number = words.lines().find_map(|line| line.split_once(what)?.1.split_whitespace().next());
    let number = number.and_then(|number| number.replace(',', "").parse().ok());
    number.unwrap_or_else(|| panic!("no number after {what:?} in\n{words}"))
}

fn setup(program: &Path) -> Setup {
    let settings = format!("[imds]\npoll-interval = \"{}ms\"\ntimeout = \"5s\"", BEAT.as_millis());
    Setup::new("").program(program.to_str().expect("a path in UTF-8")).config(&settings).without_kubernetes()
}

struct Ran {
    /// How many polls were answered.
    polls: usize,
    /// What the program and the tool have said.
    said: String,
}

/// Runs the program under a tool for so many polls or a few more, and ends it while it waits for the answer to the next.
fn run(setup: &Setup, polls: usize, tool: &str, options: &[&str]) -> Ran {
    let imds = Imds::on_loopback();
    let program = setup.command(&["run"]);
    let mut command = Command::new(tool);
    command.args(options).arg(program.get_program()).args(program.get_args());
    command.args(["--imds-endpoint", &imds.endpoint()]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{tool}: {error}"));
    let answered = || imds.log().iter().filter(|asked| asked.path == SPOT && asked.status != 0).count();
    let enough = wait::wait(PATIENCE, || (answered() >= polls).then_some(()));
    imds.fault_at(SPOT, Fault::Hang);
    let hangs = wait::wait(PATIENCE, || imds.log().last().filter(|asked| asked.status == 0).map(drop));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    if wait::wait(PATIENCE, || child.try_wait().expect("look after it")).is_none() {
        child.kill().expect("end it");
    }
    let said = child.wait_with_output().expect("read what it says").stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(enough.is_some() && hangs.is_some(), "it has polled {} times only\n{said}", answered());
    Ran { polls: answered(), said }
}
