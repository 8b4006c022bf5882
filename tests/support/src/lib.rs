//! Stand-ins for the metadata service, the API server and a kubelet, and the harness that runs the real binary
//! beside them.
//!
//! Everything listens on loopback, on a port of its own, and ends with the value that started it. What a test asks of
//! the cluster goes through [`cluster::Cluster`], which speaks to the stand-in and to a real API server alike.
#![forbid(unsafe_code)]

pub mod api;
pub mod certificates;
pub mod client;
pub mod cluster;
pub mod control_group;
pub mod disk;
pub mod docs;
pub mod faults;
pub mod folder;
pub mod guard;
pub mod http;
pub mod imds;
pub mod kubeconfig;
pub mod kubelet;
pub mod local_drain;
pub mod memory_group;
pub mod metrics;
pub mod network;
pub mod node_state;
pub mod packages;
pub mod pods;
pub mod receiver;
pub mod record;
pub mod replicas;
pub mod sightings;
pub mod skip;
pub mod terminal;
pub mod wait;
pub mod wall_clock;
pub mod world;
