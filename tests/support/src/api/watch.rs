//! Watches: the changes of a kind of objects, as they come, one JSON object a line.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Shared;
use super::failure::{Failure, failure};
use super::resources::{Resource, Target};
use super::selectors::{fields_match, labels_match};
use super::store::{Change, Store, only_metadata};
use crate::http::{self, Request};

/// A watch that was asked for.
#[derive(Clone, Debug)]
pub struct Watch {
    resource: &'static Resource,
    namespace: String,
    fields: String,
    labels: String,
    from: u64,
    /// All that is there comes first, as if it had just been added.
    initial: bool,
    /// Its end is told by a bookmark (`sendInitialEvents`).
    told: bool,
    metadata_only: bool,
    end: Instant,
}

impl Watch {
    /// Reads what is asked for. `streamed_lists`: `sendInitialEvents` is understood (the feature gate WatchList).
    pub fn of(request: &Request, target: &Target, metadata_only: bool, streamed_lists: bool) -> Result<Watch, Failure> {
        let version = request.parameter("resourceVersion").unwrap_or_default();
        let from = if version.is_empty() { Ok(0) } else { version.parse() };
        let from = from.map_err(|_| Failure::bad_request(&format!("invalid resource version {version:?}")))?;
        let told = initial_events(request, streamed_lists)?;
        let seconds = request.parameter("timeoutSeconds").and_then(|s| s.parse().ok()).unwrap_or(1800);
        Ok(Watch {
            resource: target.resource,
            namespace: target.namespace.clone(),
            fields: request.parameter("fieldSelector").unwrap_or_default().to_owned(),
            labels: request.parameter("labelSelector").unwrap_or_default().to_owned(),
            from,
            initial: told || from == 0,
            told,
            metadata_only,
            end: Instant::now() + Duration::from_secs(seconds),
        })
    }

    /// Sends changes until the time is over, the client is gone, or the server ends.
    pub fn stream(&self, shared: &Shared, to: &mut impl Write) -> io::Result<()> {
        http::begin_chunked(to, 200, &[("Content-Type", "application/json"), ("Cache-Control", "no-cache, private")])?;
        let mut seen = self.from;
        let mut state = shared.state();
        if self.initial {
            seen = state.store.version();
            let events = self.initial_events(&state.store);
            drop(state);
            events.iter().try_for_each(|event| send(to, event))?;
            state = shared.state();
        } else if seen < state.store.compacted {
            let message = format!("too old resource version: {seen} ({})", state.store.compacted);
            drop(state);
            send(to, &json!({"type": "ERROR", "object": failure(410, "Expired", message, Value::Null).body()}))?;
            return http::chunk(to, b"");
        }
        while Instant::now() < self.end && !shared.ended.load(Ordering::SeqCst) {
            let events: Vec<Value> = state.store.changes_after(seen).iter().filter_map(|c| self.event(c)).collect();
            seen = state.store.version().max(seen);
            if events.is_empty() {
                let wait = self.end.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
                state = shared.wait(state, wait);
                continue;
            }
            drop(state);
            events.iter().try_for_each(|event| send(to, event))?;
            state = shared.state();
        }
        drop(state);
        http::chunk(to, b"")
    }

    fn initial_events(&self, store: &Store) -> Vec<Value> {
        let all = store.list(self.resource, &self.namespace);
        let mut events: Vec<Value> =
            all.iter().filter(|o| self.matches(o)).map(|o| json!({"type": "ADDED", "object": self.shown(o)})).collect();
        if self.told {
            let mut object = json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version()});
            if self.metadata_only {
                object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"});
            }
            object["metadata"] = json!({
                "resourceVersion": store.version().to_string(), "annotations": {"k8s.io/initial-events-end": "true"},
            });
            events.push(json!({"type": "BOOKMARK", "object": object}));
        }
        events
    }

    /// What a change is for this watch: an object that begins to match is new, one that ceases to is gone.
    fn event(&self, change: &Change) -> Option<Value> {
        let here = self.namespace.is_empty() || self.namespace == change.namespace;
        if !here || change.kind != (self.resource.group, self.resource.plural) {
            return None;
        }
        let was = change.before.as_ref().is_some_and(|before| self.matches(before));
        let is = !change.removed && self.matches(&change.object);
        let kind = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(json!({"type": kind, "object": self.shown(&change.object)}))
    }

    fn matches(&self, object: &Value) -> bool {
        fields_match(&self.fields, object) && labels_match(&self.labels, object)
    }

    fn shown(&self, object: &Arc<Value>) -> Value {
        if self.metadata_only { only_metadata(object) } else { (**object).clone() }
    }
}

/// Whether the watch begins with all that is there and a bookmark (k8s.io/apimachinery
/// pkg/apis/meta/internalversion/validation/validation.go).
fn initial_events(request: &Request, streamed_lists: bool) -> Result<bool, Failure> {
    let matching = request.parameter("resourceVersionMatch").unwrap_or_default();
    let forbidden = |why: &str| Err(Failure::invalid("ListOptions.meta.k8s.io", "", why));
    match request.parameter("sendInitialEvents") {
        Some(_) if !streamed_lists => forbidden(
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
        ),
        Some(_) if matching != "NotOlderThan" => forbidden(
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        None if !matching.is_empty() => forbidden(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        wanted => Ok(wanted == Some("true")),
    }
}

fn send(to: &mut impl Write, event: &Value) -> io::Result<()> {
    http::chunk(to, format!("{event}\n").as_bytes())
}
