//! spot-guard beside the limit and beside what a shell can do, on a real API server, in one run; `make bench` runs it.
//!
//! Writes `target/bench/report.md`. To be run alone: a busy machine shows in every figure that is a time. So a goal
//! that is not reached is told there, and fails nothing.
#![forbid(unsafe_code)]

mod contender;
mod crates;
mod growth;
mod hooks;
mod idle;
mod limit;
mod machine;
#[path = "../process.rs"]
mod process;
mod race;
mod races;
mod report;
mod shell;
mod throttle;

use std::path::{Path, PathBuf};
use std::time::Duration;

use report::Report;

/// What `Setup::new` runs where `SPOT_GUARD_TEST_BINARY` names no other.
const OWN_BINARY: &str = env!("CARGO_BIN_EXE_spot-guard");

/// What is measured, and how long.
pub struct Plan {
    /// Pods on the node.
    sizes: Vec<usize>,
    /// Of each race that does not take long.
    runs: usize,
    /// How many polls are made at full speed.
    polls: usize,
    /// How long an idle daemon is left alone before its memory is looked at.
    warm: Duration,
    /// How long an idle daemon's processor time is counted.
    watched: Duration,
    /// The release with its symbols kept.
    unstripped: Option<PathBuf>,
}

/// The name by which a part is picked on the command line, and what measures it.
type Part = (&'static str, fn(&Plan, &mut Report));

const PARTS: [Part; 7] = [
    ("races", races::plain),
    ("idle", idle::measure),
    ("growth", growth::measure),
    ("hooks", hooks::measure),
    ("binary", crates::measure),
    ("throttled", races::throttled),
    ("delayed", races::delayed),
];

fn main() {
    // What begins with dashes is cargo's.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [first, endpoint, ..] = asked.as_slice()
        && first == growth::ONLY_POLL
    {
        growth::only_poll(endpoint);
    }
    let plan = Plan::of(&asked);
    let is_picked = |name: &str| asked.iter().any(|argument| argument == name);
    let all = !PARTS.iter().any(|(name, _)| is_picked(name));

    let mut report = Report::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/report.md"));
    report.line(&machine::describe());
    report.line("The API server and etcd share the processors with what is measured.\n");
    for (name, measure) in PARTS {
        if all || is_picked(name) {
            measure(&plan, &mut report);
            report.write();
        }
    }
}

impl Plan {
    /// From `sizes=10,110 runs=3 polls=10000 seconds=60 unstripped=PATH`.
    fn of(asked: &[String]) -> Plan {
        let set = |name: &str| asked.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        let seconds = set("seconds").map_or(60, number) as u64;
        Plan {
            sizes: set("sizes").unwrap_or("10,110").split(',').map(number).collect(),
            runs: set("runs").map_or(3, number),
            polls: set("polls").map_or(10_000, number),
            // The keeper's first round comes after 60 s: an idle daemon's memory is that after it.
            warm: Duration::from_secs(seconds + 5),
            watched: Duration::from_secs(seconds),
            unstripped: set("unstripped").map(PathBuf::from),
        }
    }
}

fn number(text: &str) -> usize {
    text.trim().parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// The program that is measured.
fn binary() -> PathBuf {
    std::env::var_os("SPOT_GUARD_TEST_BINARY").map_or_else(|| PathBuf::from(OWN_BINARY), PathBuf::from)
}
