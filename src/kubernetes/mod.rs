//! The API server, asked with the kubelet's own credentials.
//!
//! Knows kubeconfigs, TLS, requests and the shapes on the wire. Knows nothing of notices or of what is to be drained:
//! it carries out single requests and says what came back.

mod addresses;
#[cfg(test)]
mod against_a_server;
mod api;
mod budgets;
mod certificate;
mod client;
mod credentials;
mod exec;
mod identify;
mod keeper;
mod kubeconfig;
mod link;
pub mod look;
mod node;
mod pods;
mod watch;
mod yaml;

pub use api::{Annotation, Api, Condition, NodeEvent, NodePatch, PodNews, WatchEnd};
pub use budgets::Budget;
pub use identify::is_of_another;
pub use keeper::Keeper;

/// What is read from outside, each sort from its bytes alone: for who has no API server and no node.
pub mod read {
    pub use super::budgets::WireBudgets as Budgets;
    pub use super::certificate::{common_name, not_after};
    pub use super::client::{understood as answer, worded as refusal};
    pub use super::exec::read as exec_credential;
    pub use super::kubeconfig::parse as kubeconfig;
    pub use super::node::WireNode;
    pub use super::watch::{Cuts, PodList, follow_node, follow_pods};
    pub use super::yaml::{Yaml, read as yaml};
    pub use crate::https::proxy::choose as proxy;
    pub use crate::https::tls::identity;
}
