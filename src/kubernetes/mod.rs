//! The API server, asked with the kubelet's own credentials.
//!
//! Knows kubeconfigs, TLS, requests and the shapes on the wire. Knows nothing of notices or of what is to be drained:
//! it carries out single requests and says what came back.

mod api;
mod keeper;

pub use api::{Annotation, Api, Condition, NodeEvent, NodePatch, PodNews, WatchEnd};
pub use keeper::{Keeper, Standing};
