//! Keeps credentials and a connection to the API server warm, so that nothing is fetched or first tried after a notice.

use std::sync::Arc;

use super::Api;
use crate::config;

/// Finds the kubeconfig, keeps credentials and the connection warm, in a thread of its own that never gives up.
pub struct Keeper {}

/// How things stand with the cluster; told at the start and on each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no cluster for this machine, and why: mode off, mode auto with no kubeconfig anywhere, or the node is
    /// another instance's. May change later: a kubeconfig that appears is found.
    None(String),
    /// There is to be a cluster (a kubeconfig is there, or the mode is `required`), but no API server that answers, or
    /// it refuses the credentials. The text says what failed and what to do.
    Unready(String),
    /// The API server answered and the node is this machine's.
    Ready { node_name: String },
}

impl Keeper {
    /// Starts keeping. For `Mode::Off` no thread is started: [`Standing::None`] is told at once.
    ///
    /// `instance_id` gives the instance's id once the metadata service has told it. Until then the node is accepted by
    /// its name; it is checked again when the id is there. `tell` is called from the keeper's thread.
    pub fn start(
        _settings: &config::Kubernetes,
        _dry_run: bool,
        _instance_id: impl Fn() -> Option<String> + Send + 'static,
        tell: impl Fn(Standing) + Send + 'static,
    ) -> Keeper {
        tell(Standing::None("not there yet".to_owned()));
        Keeper {}
    }

    /// The API as it stands now, if [`Standing::Ready`] was reached at least once and the node was not found to be
    /// another instance's since. Take it anew for each use.
    pub fn api(&self) -> Option<Arc<Api>> {
        None
    }

    /// Tries again now instead of at the next tick (a response has begun and there is no API yet).
    pub fn hurry(&self) {}
}
