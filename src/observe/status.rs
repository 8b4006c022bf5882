//! The status file: what the daemon sees and is doing, for whoever looks.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::instance::Instance;
use crate::moment::Timestamp;
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
    pub instance: Instance,
    pub imds: Health,
    pub kubernetes: Kubernetes,
    /// Whether records can be written, and the newest could be read.
    pub record: Health,
    /// What is wrong with the settings; what is broken is left out as a whole.
    pub configuration_problems: Vec<String>,
    /// The running response as in its record.
    pub response: Option<Record>,
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
    pub node_name: Option<String>,
    pub why: Option<String>,
}

impl Kubernetes {
    pub fn of(standing: &Standing) -> Kubernetes {
        let (state, node_name, why) = match standing {
            Standing::Unknown => ("unknown", None, None),
            Standing::None(why) => ("none", None, Some(why.clone())),
            Standing::Unready(why) => ("unready", None, Some(why.clone())),
            Standing::Ready { node_name, doubt } => ("ready", Some(node_name.clone()), doubt.clone()),
        };
        Kubernetes { state: state.to_owned(), node_name, why }
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
