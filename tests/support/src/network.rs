//! Networks of their own.

use std::fs::File;
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

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

/// Puts this thread into another network, that of this namespace. Needs root.
///
/// # Panics
/// Where that cannot be had.
pub fn enter(network: &File) {
    setns(network, CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
}

/// Listens at `address` in another network, that of this namespace: what connects there is taken here. Needs root.
///
/// # Panics
/// Where that cannot be had.
pub fn listen_in(network: &File, address: &str) -> TcpListener {
    // A thread of its own, as it does not come back from there. What it has opened can be used by all.
    let listen = || {
        enter(network);
        TcpListener::bind(address).unwrap_or_else(|error| panic!("listen at {address} in it: {error}"))
    };
    thread::scope(|scope| scope.spawn(listen).join().expect("a listener"))
}
