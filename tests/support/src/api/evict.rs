//! Evictions and the budgets that stand in their way.
//!
//! After pkg/registry/core/pod/storage/eviction.go of Kubernetes 1.36. The status that the disruption controller would
//! write is computed at the moment of asking.

use std::sync::Arc;

use serde_json::{Value, json};

use super::failure::{Failure, failure, success};
use super::pods::{self, DeleteOptions};
use super::resources::{Target, budgets};
use super::selectors::selector_matches;
use super::store::{Store, text};
use crate::imds::rfc3339;

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    healthy: i64,
    desired: i64,
    expected: i64,
}

impl Standing {
    fn allowed(self) -> i64 {
        (self.healthy - self.desired).max(0)
    }
}

/// Evicts the pod that `target` names, if its budget allows that. `observed`: the disruption controller keeps up.
pub fn evict(
    store: &mut Store,
    target: &Target,
    eviction: &Value,
    dry_run: bool,
    observed: bool,
) -> Result<Value, Failure> {
    if text(eviction, "/metadata/name") != target.name {
        return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = DeleteOptions::of(&eviction["deleteOptions"], dry_run);
    let pod = store.get(target.resource, &target.namespace, &target.name)?;
    let stopping = pod["metadata"].get("deletionTimestamp").is_some();
    if !stopping && text(&pod, "/status/phase") == "Running" {
        ask_budget(store, &target.namespace, &pod, observed)?;
    }
    options.check(target.resource, &pod)?;
    if !options.dry_run {
        let mut marked = (*pod).clone();
        set_disruption_target(&mut marked);
        store.replace(target.resource, &target.namespace, marked)?;
    }
    // A version that was demanded was that of the pod before the condition.
    let options = DeleteOptions { resource_version: None, ..options };
    pods::delete(store, &Target { verb: "delete", subresource: String::new(), ..target.clone() }, &options)?;
    Ok(success(201))
}

/// A budget with the status that the disruption controller gives it.
pub fn with_status(budget: &Value, store: &Store) -> Value {
    let standing = standing(budget, store);
    let mut budget = budget.clone();
    budget["status"] = json!({
        "observedGeneration": budget["metadata"]["generation"], "currentHealthy": standing.healthy,
        "desiredHealthy": standing.desired, "expectedPods": standing.expected, "disruptionsAllowed": standing.allowed(),
    });
    budget
}

fn ask_budget(store: &Store, namespace: &str, pod: &Value, observed: bool) -> Result<(), Failure> {
    let all = store.list(budgets(), namespace);
    let over: Vec<&Arc<Value>> = all.iter().filter(|b| selector_matches(&b["spec"]["selector"], pod)).collect();
    let budget = match over.as_slice() {
        [] => return Ok(()),
        [budget] => budget,
        _ => {
            let message =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(failure(500, "", message.to_owned(), Value::Null));
        }
    };
    let standing = standing(budget, store);
    let name = text(budget, "/metadata/name");
    let refused = |why: String| {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let refusal = failure(429, "TooManyRequests", message.to_owned(), Value::Null);
        Err(refusal.because("DisruptionBudget", &why))
    };
    if !is_ready(pod) && standing.healthy >= standing.desired && standing.desired > 0 {
        return Ok(());
    }
    if !observed {
        return refused(format!("The disruption budget {name} is still being processed by the server."))
            .map_err(|refusal: Failure| refusal.retry_after(10));
    }
    if standing.allowed() > 0 {
        return Ok(());
    }
    refused(format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        standing.desired, standing.healthy
    ))
}

fn standing(budget: &Value, store: &Store) -> Standing {
    let pods = store.list(super::resources::pods(), text(budget, "/metadata/namespace"));
    let covered: Vec<&Arc<Value>> = pods
        .iter()
        .filter(|pod| selector_matches(&budget["spec"]["selector"], pod))
        .filter(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"))
        .collect();
    let going = |pod: &Value| pod["metadata"].get("deletionTimestamp").is_some();
    let healthy = covered.iter().filter(|pod| is_ready(pod) && !going(pod)).count() as i64;
    let expected = covered.len() as i64;
    let desired = match (budget["spec"]["minAvailable"].as_i64(), budget["spec"]["maxUnavailable"].as_i64()) {
        (Some(least), _) => least,
        (None, Some(most)) => (expected - most).max(0),
        (None, None) => expected,
    };
    Standing { healthy, desired, expected }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

fn set_disruption_target(pod: &mut Value) {
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null,
        "lastTransitionTime": rfc3339(time::OffsetDateTime::now_utc()),
    });
    if pod["status"]["conditions"].is_null() {
        pod["status"]["conditions"] = json!([]);
    }
    if let Some(conditions) = pod["status"]["conditions"].as_array_mut() {
        conditions.retain(|c| c["type"] != "DisruptionTarget");
        conditions.push(condition);
    }
}
