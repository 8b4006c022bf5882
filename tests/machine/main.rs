//! The real binary under a real systemd: Debian machines in systemd-nspawn, with the metadata service at its real
//! address. Where nothing else is said without a cluster, so that what is seen is the daemon, its unit and its hooks.
//!
//! Run by `make test`, as root; elsewhere each test says that it is skipped and why.
#![forbid(unsafe_code)]

mod bake;
mod boot;
mod check;
mod cloud;
mod containers;
mod crash;
mod install;
mod machine;
mod packages;
mod reboot;
mod second_channel;
mod spot_nodes;
mod stop;
#[path = "../cloudformation/template.rs"]
mod template;
mod units;
mod upload;
mod user_data;
mod write_a_hook;
