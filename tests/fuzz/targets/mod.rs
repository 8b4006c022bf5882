//! What is done with bytes from outside, one function a target: each hands them to one reader of spot-guard's and holds
//! what comes back to what must be true whatever they were.
//!
//! libFuzzer runs them (`make fuzz`); tests/corpora.rs runs them over what is kept of its finds.

mod cluster;
mod control;
mod http;
mod metadata;
mod output;
mod record;
mod response;
mod settings;
mod times;

/// Panics where what must hold does not.
pub type Target = fn(&[u8]);

/// By name; `corpus/NAME` holds what it is fed, and `dictionaries/NAME`, if there is one, words to make more from.
pub const TARGETS: [(&str, Target); 28] = [
    ("instance-action", metadata::instance_action),
    ("rebalance", metadata::rebalance),
    ("scheduled-events", metadata::scheduled_events),
    ("lifecycle-state", metadata::lifecycle_state),
    ("instance", metadata::instance),
    ("metadata-answer", http::metadata_answer),
    ("metadata-token", http::metadata_token),
    ("api-answer", http::api_answer),
    ("webhook-answer", http::webhook_answer),
    ("kubeconfig", cluster::kubeconfig),
    ("exec-credential", cluster::exec_credential),
    ("certificates", cluster::certificates),
    ("proxy", cluster::proxy),
    ("pod-watch", cluster::pod_watch),
    ("pod-list", cluster::pod_list),
    ("budgets", cluster::budgets),
    ("node-watch", cluster::node_watch),
    ("refusal", cluster::refusal),
    ("record", record::record),
    ("response", response::response),
    ("configuration", settings::configuration),
    ("environment", settings::environment),
    ("template", settings::template),
    ("selector", settings::selector),
    ("duration", settings::duration),
    ("time-of-day", times::time_of_day),
    ("output", output::output),
    ("control-request", control::request),
];

/// Whatever it quotes, a message fits on a line of a log and steers no terminal.
fn assert_message(text: &str) {
    assert!(text.len() <= 2048, "{} bytes: {text:.200}", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
