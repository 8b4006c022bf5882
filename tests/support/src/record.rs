//! Reads what a test wants to know from a record.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The pod of this name; of several (one was replaced under its name) the last.
///
/// # Panics
/// Where there is none.
pub fn pod<'a>(record: &'a Value, name: &str) -> &'a Value {
    let pods = record["pods"].as_array().map(Vec::as_slice).unwrap_or_default();
    pods.iter().rfind(|pod| pod["name"] == name).unwrap_or_else(|| panic!("no pod {name} in {record:#}"))
}

/// How many pods have this outcome.
pub fn count(record: &Value, outcome: &str) -> usize {
    record["pods"].as_array().into_iter().flatten().filter(|pod| pod["outcome"] == outcome).count()
}

/// The time that stands in a field.
///
/// # Panics
/// Where there is none.
pub fn time(value: &Value) -> OffsetDateTime {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no time"));
    OffsetDateTime::parse(text, &Rfc3339).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Seconds from the first sight of the notice until the time in a field.
pub fn since_notice(record: &Value, value: &Value) -> f64 {
    (time(value) - time(&record["notice"]["first_seen"])).as_seconds_f64()
}

/// Seconds from the time in a field to the deadline.
pub fn before_deadline(record: &Value, value: &Value) -> f64 {
    (time(&record["deadline"]) - time(value)).as_seconds_f64()
}

/// `phase/name` of all hooks, in the order of their starts.
pub fn hooks(record: &Value) -> Vec<String> {
    let hooks = record["hooks"].as_array().into_iter().flatten();
    let mut hooks: Vec<&Value> = hooks.filter(|hook| !hook["started_at"].is_null()).collect();
    hooks.sort_by_key(|hook| time(&hook["started_at"]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    hooks.into_iter().map(|hook| format!("{}/{}", text(&hook["phase"]), text(&hook["name"]))).collect()
}
