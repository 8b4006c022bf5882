//! A whole fleet gets the notice in the same second, on one real API server; `make bench-fleet` runs it.
//!
//! Three ways, in turn: the most that the API server can do (`limit`), a daemon a node, and the naive way (`naive`).
//! To be run alone: everything shares this machine, the API server too. A daemon that gives up ends the run as failed;
//! times are only told. The report is `target/bench/fleet.md`.
#![forbid(unsafe_code)]

mod kubelets;
mod limit;
mod naive;
mod nodes;
#[path = "../process.rs"]
mod process;
mod report;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use kubelets::Kubelets;
use nodes::{Daemons, Ends, Fleet, Size};
use report::{Asked, Round};
use server::{Counters, Queues};
use stand_ins::client::Client;
use stand_ins::cluster::Cluster;
use time::OffsetDateTime;

/// From the notice to the deadline.
const WINDOW: Duration = Duration::from_secs(120);

/// How the pods of a fleet are asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Limit,
    SpotGuard,
    Naive,
}

const WAYS: [Way; 3] = [Way::Limit, Way::SpotGuard, Way::Naive];

fn main() -> ExitCode {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let mut next = |default| numbers.next().unwrap_or(default);
    let size = Size { nodes: next(200), pods: next(30) };
    let runs = next(2);
    let cluster = Cluster::for_test();
    assert!(cluster.api().is_none(), "the stand-in says nothing of a real API server: run by tests/really");
    let machine = report::machine(&cluster);

    println!("{machine}\n{}", report::head(size));
    let mut rounds = Vec::new();
    for _ in 0..runs {
        for way in WAYS {
            let round = round(&cluster, way, size);
            println!("{}", round.row());
            rounds.push(round);
        }
    }
    println!("{}", report::write(&machine, size, &rounds));
    let mut daemons = rounds.iter().filter(|round| round.way == Way::SpotGuard);
    if daemons.all(|round| round.ends.gave_up.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One notice for a fleet of its own.
fn round(cluster: &Cluster, way: Way, size: Size) -> Round {
    let fleet = Fleet::make(cluster, size);
    let kubelets = Kubelets::start(cluster);
    let ready = Ready::of(way, &fleet);

    let mut audit = cluster.audit_tail_of_all();
    let queues = Queues::watch(cluster);
    let before = Counters::read(cluster);
    let served = OffsetDateTime::now_utc();
    let mut ends = ready.respond(&fleet, size);
    let gone = kubelets.wait_gone(size.all_pods(), WINDOW);
    let load = before.until(&Counters::read(cluster));
    let peak = queues.peak();
    let asked = Asked::of(&audit.read(), served);

    ready.end();
    fleet.remove();
    if gone < size.all_pods() {
        ends.gave_up.push(format!("{} pods were never gone", size.all_pods() - gone));
    }
    Round { way, asked, load, peak, ends }
}

/// What is there before the notice.
enum Ready {
    Limit,
    SpotGuard(Daemons),
    Naive(Vec<Client>),
}

impl Ready {
    fn of(way: Way, fleet: &Fleet) -> Ready {
        match way {
            Way::Limit => {
                limit::warm(&fleet.cluster.admin);
                Ready::Limit
            }
            Way::SpotGuard => Ready::SpotGuard(Daemons::start(fleet)),
            Way::Naive => Ready::Naive(naive::clients(fleet)),
        }
    }

    fn respond(&self, fleet: &Fleet, size: Size) -> Ends {
        match self {
            Ready::Limit => {
                limit::evict_all(fleet);
                Ends::default()
            }
            Ready::SpotGuard(daemons) => {
                let idle = daemons.cpu();
                fleet.interrupt(WINDOW);
                let ends = daemons.wait_done(size.pods, WINDOW * 2);
                Ends { cpu: ends.cpu - idle, ..ends }
            }
            Ready::Naive(clients) => naive::drain_all(fleet, clients, WINDOW),
        }
    }

    fn end(self) {
        if let Ready::SpotGuard(daemons) = self {
            daemons.stop();
        }
    }
}
