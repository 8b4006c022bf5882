//! What is written of all rounds: a table, and what follows from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use stand_ins::cluster::{Audited, Cluster};
use time::OffsetDateTime;

use crate::Way;
use crate::kubelets::STOPS_IN;
use crate::nodes::{Ends, Size};
use crate::server::{Load, Peak};

/// The whole may take so much longer than the API server's own limit.
const MOST: f64 = 1.2;

const COLUMNS: [&str; 14] = [
    "way",
    "last node cordoned, s",
    "first pod asked, s",
    "last pod asked, s",
    "last pod gone, s",
    "requests a pod",
    "median and longest ask, s",
    "answered 429",
    "refused: queue full, waited too long",
    "most waiting, executing",
    "wait on average, at most, s",
    "CPU of API server, etcd, s",
    "CPU of the daemons, s; most memory of one, MiB; took a slow API server for a silent one",
    "gave up",
];

/// One notice for one fleet.
pub struct Round {
    pub way: Way,
    pub asked: Asked,
    pub load: Load,
    pub peak: Peak,
    pub ends: Ends,
}

/// What the audit log says, in seconds after the notice was given.
pub struct Asked {
    cordoned: f64,
    first: f64,
    last: f64,
    gone: f64,
    /// From each accepted request's arrival to its answer, the shortest first.
    took: Vec<f64>,
    /// Of nodes, and an administrator's evictions.
    requests: usize,
    /// How many of each kind, with their status; a watch once it has ended.
    kinds: BTreeMap<String, usize>,
}

impl Asked {
    pub fn of(audit: &[Audited], given: OffsetDateTime) -> Asked {
        let by_node = |request: &Audited| request.user.starts_with("system:node:");
        let answered = |request: &Audited| (request.answered - given).as_seconds_f64();
        let last = |all: &dyn Fn(&&Audited) -> bool| audit.iter().filter(all).map(answered).fold(f64::NAN, f64::max);
        let asks = |request: &&Audited| match request.what().as_str() {
            "create pods/eviction" => request.code == 201,
            "delete pods" => request.code == 200 && by_node(request),
            _ => false,
        };
        let mut took: Vec<f64> =
            audit.iter().filter(asks).map(|request| (request.answered - request.at).as_seconds_f64()).collect();
        took.sort_by(f64::total_cmp);
        let mut kinds = BTreeMap::new();
        for request in audit.iter().filter(|request| by_node(request) || request.resource == "pods/eviction") {
            *kinds.entry(format!("{} {}", request.what(), request.code)).or_default() += 1;
        }
        Asked {
            cordoned: last(&|request| request.what() == "patch nodes" && request.code == 200 && by_node(request)),
            first: audit.iter().filter(asks).map(answered).fold(f64::NAN, f64::min),
            last: last(&asks),
            gone: last(&|request| request.what() == "delete pods" && request.code == 200 && !by_node(request)),
            took,
            requests: kinds.values().sum(),
            kinds,
        }
    }
}

impl Round {
    /// What was asked, the most frequent first.
    fn kinds(&self) -> String {
        let mut kinds: Vec<_> = self.asked.kinds.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        format!("- {:?} asked: {}\n", self.way, kinds.join(", "))
    }

    pub fn row(&self) -> String {
        let Round { asked, load, peak, ends, .. } = self;
        let seconds = |value: f64| if value.is_nan() { String::new() } else { format!("{value:.2}") };
        let (median, longest) = (asked.took.get(asked.took.len() / 2), asked.took.last());
        let took = |value: Option<&f64>| value.copied().map_or(String::new(), seconds);
        let of_daemons = match self.way {
            Way::SpotGuard => format!("{:.1}; {:.2}; {}", ends.cpu, ends.peak, ends.silent),
            Way::Limit | Way::Naive => String::new(),
        };
        let cells = [
            format!("{:?}", self.way),
            seconds(asked.cordoned),
            seconds(asked.first),
            seconds(asked.last),
            seconds(asked.gone),
            format!("{:.2}", asked.requests as f64 / asked.took.len().max(1) as f64),
            format!("{}, {}", took(median), took(longest)),
            format!("{}", load.too_many),
            format!("{}, {}", load.queue_full, load.waited_too_long),
            format!("{}, {}", peak.waiting, peak.executing),
            format!("{:.3}, {}", load.waited, load.waited_at_most),
            format!("{:.1}, {:.1}", load.api_server, load.etcd),
            of_daemons,
            format!("{}", ends.gave_up.len()),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

/// The machine on which this runs, and what else it does.
pub fn machine(cluster: &Cluster) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let of = |text: String, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let kernel = Command::new("uname").arg("-sr").output().expect("uname of coreutils").stdout;
    format!(
        "{} × {}, {} of memory, {}; API server {}, etcd without fsync; load averages {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        of(read("/proc/cpuinfo"), "model name"),
        of(read("/proc/meminfo"), "MemTotal"),
        String::from_utf8_lossy(&kernel).trim(),
        cluster.admin.get("/version").ok()["gitVersion"].as_str().unwrap_or_default(),
        read("/proc/loadavg").trim(),
    )
}

/// What stands above the rows.
pub fn head(size: Size) -> String {
    let Size { nodes, pods } = size;
    let what =
        format!("{nodes} nodes with {pods} pods each; a pod is gone {} s after it was asked", STOPS_IN.as_secs());
    format!("\n{what}\n\n| {} |\n|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()))
}

/// Writes the report; what it says beneath the table.
pub fn write(machine: &str, size: Size, rounds: &[Round]) -> String {
    let rows: String = rounds.iter().map(|round| round.row() + "\n").collect();
    let gave_up: String = rounds
        .iter()
        .flat_map(|round| round.ends.gave_up.iter().map(|line| format!("- {:?} gave up: {line}\n", round.way)))
        .collect();
    let kinds: String = rounds.iter().map(Round::kinds).collect();
    let verdict = format!(
        "{}{}{kinds}{gave_up}",
        against_the_limit("last pod asked", rounds, |asked| asked.last),
        against_the_limit("last pod gone", rounds, |asked| asked.gone),
    );
    let folder = PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())).join("bench");
    fs::create_dir_all(&folder).expect("a folder for the report");
    let text = format!("# A fleet at once\n\n{machine}\n{}\n{rows}\n{verdict}", head(size));
    fs::write(folder.join("fleet.md"), text).expect("write the report");
    verdict
}

/// A line for each way that is not the limit.
fn against_the_limit(what: &str, rounds: &[Round], of: fn(&Asked) -> f64) -> String {
    let middle = |way: Way| {
        let mut all: Vec<f64> = rounds.iter().filter(|round| round.way == way).map(|round| of(&round.asked)).collect();
        all.sort_by(f64::total_cmp);
        f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2])
    };
    let limit = middle(Way::Limit);
    let line = |way: Way| {
        let times = middle(way) / limit;
        let reached = if way == Way::SpotGuard && times > MOST { "  NOT REACHED" } else { "" };
        format!("- {way:?}, {what}: {times:.2} times the limit (medians){reached}\n")
    };
    line(Way::SpotGuard) + &line(Way::Naive)
}
