//! Which node is this machine's.
//!
//! Knows the ways to a node's name, and what speaks against a node.

use log::warn;
use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;

use super::api::node_path;
use super::client::{Client, Request};
use super::node::{WireNode, is_another_instances};
use crate::objects::{Answer, Refusal};

/// The own node, as the API server knows it.
pub struct Found {
    pub name: String,
    pub provider_id: Option<String>,
}

/// Why there is no node to work on.
pub enum Unusable {
    /// It may be better the next time.
    ForNow(String),
    /// The node is another instance's.
    Another(String),
}

/// Finds the own node's name (the configured one, else as the API server knows these credentials, else as the client
/// certificate says) and reads the node.
///
/// A node is refused only where it is known to be another instance's; k3s, RKE2 and kubeadm without a cloud
/// controller write no instance into it, and the kubelet's credentials can only touch their own node anyway.
pub fn find(client: &Client, configured: Option<&str>, instance_id: Option<&str>) -> Result<Found, Unusable> {
    let name = match configured {
        Some(name) => name.to_owned(),
        None => name_of_credentials(client)?,
    };
    let request = Request::get(node_path(&name));
    let node: WireNode = client.read(&request).map_err(|answer| match answer {
        Answer::Refused(Refusal { status: 404, .. }) => {
            Unusable::ForNow(format!("{} has no node {name} yet: is the kubelet running?", client.link.server))
        }
        answer => Unusable::ForNow(told(&format!("cannot read node {name}"), answer)),
    })?;
    let provider_id = node.provider_id().map(str::to_owned);
    match instance_id {
        Some(id) if is_another_instances(provider_id.as_deref(), id) => {
            Err(Unusable::Another(another(&name, provider_id.as_deref(), id)))
        }
        _ => {
            if !provider_id.as_deref().is_some_and(|id| id.starts_with("aws://")) {
                warn!("node {name} does not say which instance it is; taken for this one by its name");
            }
            Ok(Found { name, provider_id })
        }
    }
}

const ANOTHERS: &str = "is another instance's";

/// What is said of a node that is another instance's.
pub fn another(name: &str, provider_id: Option<&str>, instance_id: &str) -> String {
    format!("node {name} {ANOTHERS} ({}), this one is {instance_id}: it is left alone", provider_id.unwrap_or_default())
}

/// Whether that is why there is no cluster: all other reasons are that none is meant, or none was found.
pub fn is_of_another(why: &str) -> bool {
    why.contains(ANOTHERS)
}

#[derive(Deserialize)]
struct SelfSubjectReview {
    status: ReviewStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewStatus {
    user_info: UserInfo,
}

#[derive(Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: String,
}

/// The node whose kubelet these credentials are: the very name that the Node authorizer goes by.
fn name_of_credentials(client: &Client) -> Result<String, Unusable> {
    let api_version = "authentication.k8s.io/v1";
    let path = format!("/apis/{api_version}/selfsubjectreviews");
    let body = json!({ "apiVersion": api_version, "kind": "SelfSubjectReview" });
    let request = Request::with_body(Method::POST, path, "application/json", body);
    let user = match client.read::<SelfSubjectReview>(&request) {
        Ok(review) => review.status.user_info.username,
        // Before 1.28, or not allowed.
        Err(Answer::Refused(Refusal { status: 403..=405, .. })) => client.link.common_name().unwrap_or_default(),
        Err(answer) => return Err(Unusable::ForNow(told("cannot ask for the node's name", answer))),
    };
    match user.strip_prefix("system:node:") {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(Unusable::ForNow(format!(
            "the credentials are those of {user:?}, which is no node: set kubernetes.node-name"
        ))),
    }
}

fn told(tried: &str, answer: Answer) -> String {
    match answer {
        Answer::Refused(refusal) if refusal.status == 401 => {
            format!("{tried}: the API server does not know these credentials (401 {})", refusal.message)
        }
        Answer::Refused(refusal) => format!("{tried}: the API server answered {} {}", refusal.status, refusal.message),
        Answer::Nothing(why) => format!("{tried}: {why}"),
        Answer::Accepted => tried.to_owned(),
    }
}
