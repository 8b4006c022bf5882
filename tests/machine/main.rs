//! The real binary under a real systemd: Debian machines in systemd-nspawn, with the metadata service at its real
//! address. Where nothing else is said without a cluster, so that what is seen is the daemon, its unit and its hooks.
//!
//! Run by `make test`, as root; elsewhere each test says that it is skipped and why.
#![forbid(unsafe_code)]

mod bake;
mod boot;
mod check;
mod cloud;
mod crash;
mod install;
mod machine;
mod packages;
mod reboot;
mod stop;
mod user_data;
