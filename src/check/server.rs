//! The API server: whether it answers.

use std::time::Duration;

use super::finding::Finding;
use crate::kubernetes::look::{Cluster, worded};
use crate::moment::Moment;
use crate::objects::{Answer, Refusal};

pub const NAME: &str = "API server";

/// Its version, and how long the answer took, over a new connection.
///
/// # Errors
/// What it answered instead.
pub fn ask(cluster: &Cluster) -> Result<(String, Duration), Answer> {
    let began = Moment::now();
    cluster.version().map(|version| (version, Moment::now().since(began)))
}

/// `server`: its URL.
pub fn verdict(answer: &Result<(String, Duration), Answer>, server: &str) -> Finding {
    match answer {
        Ok((version, took)) => Finding::ok(NAME, format!("{version} in {} ms", took.as_millis().max(1))),
        Err(Answer::Refused(Refusal { status: 401, .. })) => {
            Finding::failure(NAME, format!("{server} does not know these credentials (401)"))
                .advise("is this node's kubelet of the same cluster, and Ready?")
        }
        Err(answer) => Finding::failure(NAME, worded(answer.clone()))
            .advise(format!("from this machine: curl -k {server}/version; spot-guard.toml(5) tells of proxies")),
    }
}
