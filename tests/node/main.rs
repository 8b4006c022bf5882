//! A real node with real containers: kubelet, containerd and runc, each node with a control plane of its own, and the
//! release of spot-guard beside them with the hook that the project ships.
//!
//! Run by `make test`, as root; elsewhere each test says that it is skipped and why.
#![forbid(unsafe_code)]

mod back_in_the_middle;
mod evicted;
mod node;
mod silent;
mod silent_after_evictions;
mod worker;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spot-guard");

fn seconds(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds)
}
