//! Whether all is there that a response needs: looked at, asked for as dry runs, and changed in nothing.
//!
//! Each file is one subject: a probe that gathers facts, bounded in time, and a verdict that is a pure function of them.
//! Takes no lock and asks no daemon to do anything, so it runs beside one.

mod cluster;
mod daemon;
mod finding;
mod hooks;
mod kubeconfig;
mod metadata;
mod node;
mod others;
mod permissions;
mod pods;
mod probe;
mod server;
mod settings;
mod shutdown;
mod state;
mod unit;

use std::time::Duration;

use nix::unistd::geteuid;

pub use self::finding::{Detail, Finding, Verdict};
use self::probe::{Probe, begin};
use crate::config::{Loaded, Mode, Settings};
use crate::control::{self, Request};
use crate::moment::Moment;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A machine that is to respond to notices.
    Machine,
    /// An image that is being built: only what can be true in there.
    Image,
}

/// Every check by its name, in the order in which they are told.
pub const ALL: [&str; 14] = [
    settings::NAME,
    metadata::NAME,
    metadata::CLOCK,
    kubeconfig::NAME,
    server::NAME,
    node::NAME,
    permissions::NAME,
    hooks::NAME,
    unit::NAME,
    daemon::NAME,
    shutdown::NAME,
    state::NAME,
    others::NAME,
    pods::NAME,
];

/// By when everything is over, whatever hangs. The program itself needs a moment more.
const WHOLE: Duration = Duration::from_secs(19);

/// For the metadata service: its patience is a few times its timeout.
const METADATA: u64 = 6;

/// For what lies on this machine. A disk may hang.
const LOCAL: u64 = 6;

/// Makes all checks of this scope. Takes 19 s at most.
pub fn check(loaded: &Loaded, scope: Scope) -> Vec<Finding> {
    let by = Moment::now() + WHOLE;
    let local = Local::begin(&loaded.settings, scope);
    let textfile = loaded.settings.metrics.textfile.clone();
    let missing = begin(Duration::from_secs(LOCAL), move || textfile.as_deref().and_then(settings::missing_folder));
    let mut findings = Vec::new();
    if scope == Scope::Machine {
        let imds = loaded.settings.imds.clone();
        let metadata = begin(Duration::from_secs(METADATA), move || metadata::ask(&imds));
        findings.extend(cluster::look(&loaded.settings, metadata, by));
    }
    let missing = missing.end().flatten();
    findings.push(settings::verdict(&loaded.problems, &loaded.files, missing.as_deref()));
    findings.extend(local.end(loaded.settings.kubernetes.mode != Mode::Off, scope));
    ALL.iter().filter_map(|name| findings.iter().find(|finding| finding.check == *name).cloned()).collect()
}

/// The probes of what lies on this machine, all under way.
struct Local {
    hooks: Probe<crate::hooks::Found>,
    unit: Probe<unit::Facts>,
    daemon: Option<Probe<Result<control::Answer, control::Error>>>,
    shutdown: Option<Probe<shutdown::Facts>>,
    state: Probe<state::Facts>,
}

impl Local {
    fn begin(settings: &Settings, scope: Scope) -> Local {
        let limit = Duration::from_secs(LOCAL);
        let (folders, state) = (settings.folders.hooks.clone(), settings.folders.state.clone());
        let runtime = settings.folders.runtime.clone();
        let runs = scope == Scope::Machine;
        let has_cluster = settings.kubernetes.mode != Mode::Off;
        Local {
            hooks: begin(limit, move || crate::hooks::find(&folders)),
            unit: begin(limit, unit::look),
            daemon: runs.then(|| begin(limit, move || control::ask(&runtime, &Request::Status))),
            shutdown: has_cluster.then(|| begin(limit, shutdown::look)),
            state: begin(limit, move || state::look(&state)),
        }
    }

    fn end(self, has_cluster: bool, scope: Scope) -> Vec<Finding> {
        let late = |name| move || Finding::late(name, LOCAL);
        let is_root = geteuid().is_root();
        let daemon = self.daemon.map(|probe| daemon::verdict(probe.end().as_ref()));
        let shutdown =
            self.shutdown.map(|probe| probe.end().map_or_else(late(shutdown::NAME), |facts| shutdown::verdict(&facts)));
        let others = [
            self.hooks.end().map_or_else(late(hooks::NAME), |found| hooks::verdict(&found, has_cluster, scope)),
            self.unit.end().map_or_else(late(unit::NAME), |facts| unit::verdict(&facts, scope)),
            self.state.end().map_or_else(late(state::NAME), |facts| state::verdict(&facts, scope, is_root)),
        ];
        others.into_iter().chain(daemon).chain(shutdown).collect()
    }
}
