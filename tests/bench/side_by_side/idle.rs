//! What spot-guard uses while nothing happens, and how soon after its start it polls.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stand_ins::faults::Faults;
use stand_ins::folder::Folder;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::pods::PodSpec;
use stand_ins::wait;
use stand_ins::world::World;

use crate::report::{Goal, Report, number, spread};
use crate::{OWN_BINARY, Plan, process};

/// How long system calls are counted: the counting slows it down, so nothing else is measured meanwhile.
const TRACED: Duration = Duration::from_secs(10);
const STARTS: usize = 10;

pub fn measure(plan: &Plan, report: &mut Report) {
    report.heading(
        "Idle",
        "With the settings that it has by itself and 105 pods on the node, its connection to the API server warm: a \
         poll each second.",
    );
    let world = World::new("idle", &PodSpec::many("web", 105));
    let between = Faults::before(&world.imds.address().to_string());
    let guard = start(&world, &between.server().replace("https", "http"));
    thread::sleep(plan.warm);
    let pid = guard.pid().as_raw().cast_unsigned();
    let memory = process::kibibytes(pid, "VmRSS") / 1024.0;

    let (began, used, wakes) = (Instant::now(), process::processor_time(pid), wakes(pid));
    let (polls, bytes) = (polls(&world.imds), between.passed());
    thread::sleep(plan.watched);
    let seconds = began.elapsed().as_secs_f64();
    let share = (process::processor_time(pid) - used).as_secs_f64() / seconds;
    let polls = (self::polls(&world.imds) - polls) as f64;
    let mut rows = vec![
        row("resident memory (VmRSS), MiB", memory),
        row("of it its own share (PSS), MiB", proportional(pid)),
        row("of it not of the file (RssAnon), MiB", process::kibibytes(pid, "RssAnon") / 1024.0),
        row("processor time a day, s", share * 86400.0),
        row("bytes to and from IMDS a poll", (between.passed() - bytes) as f64 / polls),
        row("wake-ups a minute", (self::wakes(pid) - wakes) / seconds * 60.0),
    ];
    rows.extend(system_calls_a_poll(pid, &world.imds).map(|calls| row("system calls a poll", calls)));
    rows.push(vec![format!("from exec to the first poll, ms, of {STARTS} starts"), spread(starts(&world))]);
    report.table(&["", "measured"], &rows);
    report.goals(&[
        Goal::new("idle memory", "MiB", memory, 2.0),
        Goal::new("idle processor time", "%", share * 100.0, 0.03),
    ]);
}

fn row(what: &str, value: f64) -> Vec<String> {
    vec![what.to_owned(), number(value)]
}

fn start(world: &World, imds: &str) -> Guard {
    let setup = Setup::new(OWN_BINARY).argument("--imds-endpoint").argument(imds);
    let kubeconfig = Kubeconfigs::new(&world.cluster, &world.node.name, setup.folder()).combined();
    setup.kubeconfig(&kubeconfig).start()
}

fn polls(imds: &Imds) -> usize {
    imds.log().iter().filter(|asked| asked.path == SPOT).count()
}

/// Memory that others use too counts in part.
fn proportional(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().map_or(f64::NAN, |kibibytes: f64| kibibytes / 1024.0)
}

/// How often its threads have gone to sleep by themselves, each of which is a wake-up later.
fn wakes(pid: u32) -> f64 {
    let mut all = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("the daemon runs").flatten() {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all += line.and_then(|count| count.trim().parse::<f64>().ok()).unwrap_or(0.0);
    }
    all
}

/// Of all its threads, whatever for; `None` where there is no strace.
fn system_calls_a_poll(pid: u32, imds: &Imds) -> Option<f64> {
    let folder = Folder::new("strace");
    let summary = folder.path().join("summary");
    let before = polls(imds);
    let mut strace = Command::new("timeout");
    strace.args(["-s", "INT", &TRACED.as_secs().to_string(), "strace", "-c", "-f", "-p", &pid.to_string(), "-o"]);
    strace.arg(&summary).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let polls = (polls(imds) - before) as f64;
    let summary = fs::read_to_string(summary).ok()?;
    let total = summary.lines().find(|line| line.ends_with(" total"))?;
    let calls: f64 = total.split_whitespace().nth(3)?.parse().ok()?;
    Some(calls / polls)
}

/// Milliseconds.
fn starts(world: &World) -> Vec<f64> {
    let start_once = || {
        let began = Instant::now();
        let _guard = start(world, &world.imds.endpoint());
        let first = wait::expect("IMDS is polled", Duration::from_secs(20), || {
            world.imds.log().into_iter().find(|asked| asked.path == SPOT && asked.at >= began)
        });
        (first.at - began).as_secs_f64() * 1000.0
    };
    (0..STARTS).map(|_| start_once()).collect()
}
