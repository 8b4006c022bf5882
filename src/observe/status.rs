//! The status file: what the daemon sees and is doing, for whoever looks.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::config::Mode;
use crate::instance::Instance;
use crate::moment::Timestamp;
use crate::notice::{InstanceAction, Kind};
use crate::objects::Standing;
use crate::record::Record;

/// `/run/spot-guard/status.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: u32,
    /// When this was written.
    pub at: Timestamp,
    pub pid: u32,
    /// `watching`, `responding` or `done` (the response has ended, its deadline may still be to come).
    pub state: String,
    /// The same in words, with more to it.
    pub words: String,
    /// Nothing is changed by this daemon.
    pub dry_run: bool,
    pub instance: Instance,
    /// Those that stand, answered or not.
    pub notices: Vec<Notice>,
    pub imds: Health,
    pub kubernetes: Kubernetes,
    /// Whether records can be written, and the newest could be read.
    pub record: Health,
    /// What is wrong with the settings; what is broken is left out as a whole.
    pub configuration_problems: Vec<String>,
    /// The running response as in its record.
    pub response: Option<Record>,
}

/// A notice that stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: Kind,
    pub action: InstanceAction,
    /// Only maintenance events have one.
    pub event_id: Option<String>,
    /// As the notice said it.
    pub time: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    pub ok: bool,
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kubernetes {
    /// `unknown`, `none` (hooks only), `unready` or `ready`.
    pub state: String,
    /// `auto`, `required` or `off`, as in the settings.
    pub mode: String,
    pub node_name: Option<String>,
    pub why: Option<String>,
}

impl Kubernetes {
    pub fn of(standing: &Standing, mode: Mode) -> Kubernetes {
        let (state, node_name, why) = match standing {
            Standing::Unknown => ("unknown", None, None),
            Standing::None(why) => ("none", None, Some(why.clone())),
            Standing::Unready(why) => ("unready", None, Some(why.clone())),
            Standing::Ready { node_name, doubt } => ("ready", Some(node_name.clone()), doubt.clone()),
        };
        Kubernetes { state: state.to_owned(), mode: mode.name().to_owned(), node_name, why }
    }

    /// Whether there may be a cluster: only `off` says that none is meant.
    pub fn is_wanted(&self) -> bool {
        self.mode != Mode::Off.name()
    }
}

/// How much would be done about a notice that came now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// All that is meant to be done.
    Whole,
    /// The hooks run, but no cluster was found: on the node of one, its pods would be lost.
    HooksOnly,
    /// It would not be seen, or the node not drained.
    None,
}

impl Status {
    pub fn protection(&self) -> Protection {
        match self.kubernetes.state.as_str() {
            _ if !self.imds.ok || self.dry_run => Protection::None,
            "ready" => Protection::Whole,
            "none" if !self.kubernetes.is_wanted() => Protection::Whole,
            "none" => Protection::HooksOnly,
            _ => Protection::None,
        }
    }
}

/// Writes the status into the runtime folder, as a whole. It does not wait for a disk: after a power cut nobody wants
/// it.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write(runtime: &Path, status: &Status) -> io::Result<()> {
    fs::create_dir_all(runtime)?;
    let temporary = runtime.join("status.json.new");
    fs::write(&temporary, serde_json::to_vec(status)?)?;
    fs::rename(temporary, runtime.join("status.json"))
}
