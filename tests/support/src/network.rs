//! A network that nobody else is in.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

/// Puts this thread, and all threads and processes that it starts from now on, into a network of their own that has
/// nothing but loopback. It goes with the last of them. Needs root.
///
/// # Panics
/// Where that cannot be had.
pub fn leave_for_own() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("run ip");
    assert!(up.success(), "ip link set lo up: {up}");
}
