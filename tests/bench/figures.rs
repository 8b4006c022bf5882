//! The figures that spot-guard is to reach, measured on the release against a real API server; `make figures` runs it.
//!
//! Takes five minutes, most of which is watching it do nothing. To be run alone: a busy machine shows in every figure
//! that is a time or an amount of memory. So such a goal that is not reached is only told; those that are the same in
//! every run end the run as failed.
#![forbid(unsafe_code)]

mod process;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use stand_ins::cluster::Audited;
use stand_ins::guard::{Guard, Setup};
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;
use time::OffsetDateTime;

/// What `Setup::new` runs where `SPOT_GUARD_TEST_BINARY` names no other.
const OWN_BINARY: &str = env!("CARGO_BIN_EXE_spot-guard");

/// How long an idle daemon is left alone before its memory is looked at: longer than the keeper's 60 s.
const WARM: Duration = Duration::from_secs(65);
/// How long an idle daemon's processor time is counted.
const WATCHED: Duration = Duration::from_secs(120);
/// From the notice to the deadline, in seconds.
const WINDOW: u64 = 120;
/// How often the race from the notice to the last pod asked is run.
const RACES: usize = 5;

/// The name by which a group of figures is picked on the command line, and what measures it.
type Group = (&'static str, fn() -> Vec<Figure>);

const GROUPS: [Group; 4] = [("binary", the_binary), ("idle", idle), ("peak", peak), ("races", races)];

const MIB: f64 = 1024.0 * 1024.0;

/// One line of the table.
struct Figure {
    what: String,
    unit: &'static str,
    measured: f64,
    /// The most that it may be.
    most: f64,
    /// The worst of several, where `measured` is their median.
    worst: Option<f64>,
    /// It is the same in every run, whatever else the machine does.
    exact: bool,
}

fn main() -> ExitCode {
    // What begins with dashes is cargo's.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    println!("{:<44} {:>10} {:>10} {:>10}", "", "measured", "worst", "at most");
    let mut as_it_must_be = true;
    for (name, measure) in GROUPS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            for figure in measure() {
                let reached = figure.show();
                as_it_must_be &= reached || !figure.exact;
            }
        }
    }
    if as_it_must_be { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Figure {
    fn new(what: &str, unit: &'static str, measured: f64, most: f64) -> Figure {
        Figure { what: what.to_owned(), unit, measured, most, worst: None, exact: false }
    }

    /// One that is the same in every run.
    fn exact(what: &str, unit: &'static str, measured: f64, most: f64) -> Figure {
        Figure { exact: true, ..Figure::new(what, unit, measured, most) }
    }

    /// Of several runs; their median counts.
    fn of_runs(what: &str, unit: &'static str, mut runs: Vec<f64>, most: f64) -> Figure {
        runs.sort_by(f64::total_cmp);
        let worst = runs.last().copied();
        Figure { worst, ..Figure::new(what, unit, runs[runs.len() / 2], most) }
    }

    /// Prints the line; whether the figure is reached.
    fn show(&self) -> bool {
        let number = |value: f64| if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.3}") };
        let worst = self.worst.map(number).unwrap_or_default();
        let (measured, most) = (number(self.measured), number(self.most));
        let reached = self.measured <= self.most;
        let verdict = if reached { "" } else { "  NOT REACHED" };
        println!("{:<38} {:>5} {measured:>10} {worst:>10} {most:>10}{verdict}", self.what, self.unit);
        reached
    }
}

/// What lies on the disk.
fn the_binary() -> Vec<Figure> {
    let binary = std::env::var_os("SPOT_GUARD_TEST_BINARY").map_or_else(|| PathBuf::from(OWN_BINARY), PathBuf::from);
    let size = std::fs::metadata(&binary).expect("the binary is built").len();
    let dynamic = Command::new("readelf").arg("-d").arg(&binary).output().expect("readelf of binutils");
    let needed = String::from_utf8_lossy(&dynamic.stdout).lines().filter(|line| line.contains("(NEEDED)")).count();
    vec![
        Figure::exact("binary", "MiB", size as f64 / MIB, 2.5),
        Figure::exact("shared libraries that it needs", "", needed as f64, 0.0),
    ]
}

/// spot-guard with the settings that it has by itself, on a world's node, without the proxy for faults between.
fn start(world: &World) -> Guard {
    let setup = Setup::new(OWN_BINARY).imds(&world.imds);
    let kubeconfig = Kubeconfigs::new(&world.cluster, &world.node.name, setup.folder()).combined();
    world.start(setup.kubeconfig(&kubeconfig))
}

fn pid(guard: &Guard) -> u32 {
    guard.pid().as_raw().cast_unsigned()
}

/// Pods that take a while to stop, so that the kubelet's stand-in does not compete for the machine while pods are asked.
fn pods(count: usize) -> Vec<PodSpec> {
    PodSpec::many("web", count).into_iter().map(|pod| pod.stops_in(5.0)).collect()
}

/// What it uses while nothing happens.
fn idle() -> Vec<Figure> {
    let world = World::new("idle", &PodSpec::many("web", 105));
    let guard = start(&world);
    std::thread::sleep(WARM);
    let memory = process::kibibytes(pid(&guard), "VmRSS") / 1024.0;
    let (began, used) = (Instant::now(), process::processor_time(pid(&guard)));
    std::thread::sleep(WATCHED);
    let used = process::processor_time(pid(&guard)) - used;
    let share = used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    vec![
        Figure::new("idle memory, connection warm", "MiB", memory, 2.0),
        Figure::new("idle processor time, poll of 1 s", "%", share, 0.03),
    ]
}

/// What it uses at the most while it drains.
fn peak() -> Vec<Figure> {
    let world = World::new("peak", &pods(110));
    let guard = start(&world);
    world.interrupt(&guard, WINDOW);
    guard.wait_done(Duration::from_secs(WINDOW));
    let peak = process::kibibytes(pid(&guard), "VmHWM") / 1024.0;
    vec![Figure::new("peak memory, 110 pods drained over TLS", "MiB", peak, 4.0)]
}

/// How fast it is, and what that costs the API server.
fn races() -> Vec<Figure> {
    let races: Vec<Race> = (0..RACES).map(|_| race()).collect();
    let all = |of: fn(&Race) -> f64| races.iter().map(of).collect();
    vec![
        Figure::of_runs("notice served to node cordoned", "ms", all(|race| race.cordoned), 50.0),
        Figure::of_runs("notice served to 105 pods asked", "ms", all(|race| race.asked), 1000.0),
        Figure::of_runs("requests to ask 105 pods", "", all(|race| race.asks), 105.0),
        Figure::of_runs("other requests in the response", "", all(|race| race.others), 15.0),
    ]
}

/// One response: milliseconds from the notice's being served, and requests until its end.
struct Race {
    cordoned: f64,
    asked: f64,
    asks: f64,
    others: f64,
}

fn race() -> Race {
    let mut pods = pods(105);
    pods.extend(PodSpec::many("agent", 5).into_iter().map(PodSpec::daemon_set));
    pods.push(PodSpec::new("static-0").mirror());
    let world = World::new("race", &pods);
    let guard = start(&world);
    let served = world.interrupt(&guard, WINDOW);
    let served = OffsetDateTime::now_utc() - served.elapsed();
    guard.wait_done(Duration::from_secs(WINDOW));

    let asks = world.asks();
    assert!(asks.len() >= 105, "{} pods were asked\n{}", asks.len(), guard.log());
    let response: Vec<Audited> = world.audit().into_iter().filter(|request| request.at >= served).collect();
    let cordon = response.iter().find(|request| request.what() == "patch nodes" && request.code == 200);
    let since = |time: OffsetDateTime| (time - served).as_seconds_f64() * 1000.0;
    Race {
        cordoned: cordon.map_or(f64::INFINITY, |request| since(request.answered)),
        asked: asks.iter().map(|request| since(request.answered)).fold(0.0, f64::max),
        asks: asks.len() as f64,
        others: (response.len() - asks.len()) as f64,
    }
}
