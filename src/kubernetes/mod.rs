//! The API server, asked with the kubelet's own credentials.
//!
//! Knows kubeconfigs, TLS, requests and the shapes on the wire. Knows nothing of notices or of what is to be drained:
//! it carries out single requests and says what came back.

mod addresses;
#[cfg(test)]
mod against_a_server;
mod api;
mod certificate;
mod client;
mod credentials;
mod exec;
mod identify;
mod keeper;
mod kubeconfig;
mod link;
mod node;
mod pods;
mod proxy;
mod secret;
mod tls;
mod watch;
mod yaml;

pub use api::{Annotation, Api, Condition, NodeEvent, NodePatch, PodNews, WatchEnd};
use client::Client;
pub use keeper::Keeper;
