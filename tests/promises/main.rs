//! What spot-guard promises, one file a promise: the real binary beside a metadata service, an API server and a kubelet.
//!
//! The API server is a stand-in, or the real one whose folder `SPOT_GUARD_TEST_CLUSTER` names. Tests wait most of the
//! time, for windows of half a minute and less, so many run at once: `RUST_TEST_THREADS=8`.
#![forbid(unsafe_code)]

mod another_instance;
mod autoscaling;
mod away_for_half_the_window;
mod bad_hooks;
mod bad_notices;
mod beside_others;
mod broken_configuration;
mod budget_never_gives_way;
mod budget_one_at_a_time;
mod budget_over_sixty_pods;
mod by_hand;
mod check;
mod comes_back_during_a_local_drain;
mod cordon;
mod credentials;
mod credentials_fail;
mod crowds;
mod deadline;
mod described;
mod dies_after_some_evictions;
mod dry_run;
mod hibernation;
mod hooks;
mod killed_at_each_step;
mod late_notice;
mod late_pod;
mod maintenance;
mod many_pods;
mod metadata_service;
mod metrics;
mod namespace_goes_away;
mod pairs;
mod pods_that_do_not_go;
mod pressure;
mod rebalance;
mod rehearse;
mod reload;
mod replaced_pod;
mod report;
mod restart;
mod runtime_folder;
mod second_copy;
mod signals;
mod silent_api_server;
mod state_folder;
mod status;
mod story;
mod taints;
mod volumes;
mod wall_clock;
mod way_back;
mod webhook;
mod without_kubernetes;

use std::time::Duration;

/// The program under test; `SPOT_GUARD_TEST_BINARY` names another.
const PROGRAM: &str = env!("CARGO_BIN_EXE_spot-guard");

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// From the notice to the deadline, in seconds: as long as EC2 gives where `SPOT_GUARD_TEST_WHOLE_WINDOWS` is set, else
/// shortened.
fn window() -> u64 {
    if std::env::var_os("SPOT_GUARD_TEST_WHOLE_WINDOWS").is_some() { 120 } else { 34 }
}
