//! Who drains the node: spot-guard, the limit, or a shell.

use std::time::Duration;

use stand_ins::cluster::AuditTail;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::SPOT;
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::wait;
use stand_ins::world::World;

use crate::OWN_BINARY;
use crate::limit::Limit;
use crate::process;
use crate::shell::Shell;

/// How long any of them may take to be ready for a notice.
const STARTUP: Duration = Duration::from_secs(60);

/// What has not asked for anything for so long has done all that it does at its start.
const QUIET: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    SpotGuard,
    Limit,
    Shell,
}

/// One that waits for its notice, or has got it.
pub enum Running {
    SpotGuard(Guard),
    Limit(Limit),
    Shell(Shell),
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Contender::SpotGuard => "spot-guard",
            Contender::Limit => "the limit",
            Contender::Shell => "curl and kubectl",
        }
    }

    /// Starts it; it reaches the API server at `server`, whose answers take so long. Ready and warm when this returns.
    pub fn start(self, world: &World, server: &str, answers_take: Duration) -> Running {
        let mut asked = world.cluster.audit_tail(&world.node);
        let running = match self {
            Contender::SpotGuard => Running::SpotGuard(spot_guard(world, server)),
            Contender::Limit => Running::Limit(Limit::start(world, server)),
            Contender::Shell => Running::Shell(Shell::start(world, server)),
        };
        wait::expect("IMDS is polled", STARTUP, || {
            world.imds.log().iter().find(|asked| asked.path == SPOT).map(|_| ())
        });
        if self == Contender::SpotGuard {
            wait::expect("spot-guard has read its node", STARTUP, || has_read_its_node(&mut asked));
        }
        let quiet = QUIET + answers_take * 2;
        wait::expect("it is quiet", STARTUP, || {
            std::thread::sleep(quiet);
            asked.read().is_empty().then_some(())
        });
        running
    }
}

fn has_read_its_node(asked: &mut AuditTail) -> Option<()> {
    asked.read().iter().find(|request| request.what() == "get nodes" && request.code == 200).map(|_| ())
}

/// spot-guard with the settings that it has by itself.
fn spot_guard(world: &World, server: &str) -> Guard {
    let setup = Setup::new(OWN_BINARY).imds(&world.imds);
    let kubeconfig = Kubeconfigs::new(&world.cluster, &world.node.name, setup.folder()).through(server).combined();
    setup.kubeconfig(&kubeconfig).start()
}

impl Running {
    /// Whether it has done all that it does about the notice.
    pub fn is_done(&mut self) -> bool {
        match self {
            Running::SpotGuard(guard) => guard.record().is_some_and(|record| !record["outcome"].is_null()),
            Running::Limit(limit) => limit.is_done(),
            Running::Shell(shell) => shell.is_done(),
        }
    }

    /// The most memory that its process ever had, in MiB, while it runs; the limit is none of its own.
    pub fn peak(&self) -> Option<f64> {
        let pid = match self {
            Running::SpotGuard(guard) => guard.pid().as_raw().cast_unsigned(),
            Running::Limit(_) => return None,
            Running::Shell(shell) => shell.pid()?,
        };
        Some(process::kibibytes_while_it_runs(pid, "VmHWM")? / 1024.0)
    }
}
