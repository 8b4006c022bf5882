//! What is special about pods: what is filled in when they are created, and how they go.
//!
//! After pkg/registry/core/pod/strategy.go and k8s.io/apiserver pkg/registry/rest/delete.go of Kubernetes 1.36.

use std::sync::Arc;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::failure::Failure;
use super::resources::{Resource, Target, namespaces, pods};
use super::store::{Store, text};
use crate::imds::rfc3339;

/// What a request to delete demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub grace: Option<i64>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Reads the body of a DELETE, or the `deleteOptions` of an eviction.
    pub fn of(body: &Value, dry_run: bool) -> DeleteOptions {
        let precondition = |name: &str| body["preconditions"][name].as_str().map(str::to_owned);
        DeleteOptions {
            grace: body["gracePeriodSeconds"].as_i64(),
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
            dry_run: dry_run || body["dryRun"] == json!(["All"]),
        }
    }

    /// Whether `object` is the one that is meant.
    pub fn check(&self, resource: &Resource, object: &Value) -> Result<(), Failure> {
        let name = text(object, "/metadata/name");
        let (uid, version) = (text(object, "/metadata/uid"), text(object, "/metadata/resourceVersion"));
        if let Some(demanded) = self.uid.as_deref().filter(|demanded| *demanded != uid) {
            return Err(Failure::precondition(resource, name, "UID", demanded, uid));
        }
        if let Some(demanded) = self.resource_version.as_deref().filter(|demanded| *demanded != version) {
            return Err(Failure::precondition(resource, name, "ResourceVersion", demanded, version));
        }
        Ok(())
    }
}

/// Fills in what the API server fills into a new pod.
pub fn complete(pod: &mut Value) {
    let class = text(pod, "/spec/priorityClassName").to_owned();
    let priority = match class.as_str() {
        "system-cluster-critical" => 2_000_000_000,
        "system-node-critical" => 2_000_001_000,
        _ => 0,
    };
    let spec = &mut pod["spec"];
    spec["priority"] = priority.into();
    for (field, value) in [
        ("terminationGracePeriodSeconds", json!(30)),
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
    ] {
        if spec.get(field).is_none() {
            spec[field] = value;
        }
    }
    pod["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
}

/// Deletes an object: a pod that runs is marked with the end of its grace, everything else is removed, or waits for
/// its finalizers.
pub fn delete(store: &mut Store, target: &Target, options: &DeleteOptions) -> Result<Arc<Value>, Failure> {
    let resource = target.resource;
    let old = store.get(resource, &target.namespace, &target.name)?;
    options.check(resource, &old)?;
    let mut object = (*old).clone();
    let changed = if resource == pods() { mark_pod(&mut object, options) } else { mark(&mut object, 0) };
    if options.dry_run {
        return Ok(Arc::new(object));
    }
    // A namespace stays, terminating, until its controller has emptied it; none is here to do that.
    let held = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
        || resource == namespaces();
    let finished = object["metadata"]["deletionGracePeriodSeconds"] == 0;
    match (finished && !held, changed) {
        (true, _) => store.remove(resource, &target.namespace, &target.name),
        (false, true) => store.replace(resource, &target.namespace, object),
        (false, false) => Ok(old),
    }
}

/// Sets (or shortens) the end of a pod's grace; whether anything changed.
fn mark_pod(pod: &mut Value, options: &DeleteOptions) -> bool {
    if pod["metadata"].get("deletionTimestamp").is_some() {
        let given = pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        // The first grace stands, unless a shorter one is demanded.
        let shorter = options.grace.map(at_least_one).filter(|grace| *grace < given);
        return shorter.is_some_and(|grace| {
            let asked = OffsetDateTime::parse(
                text(pod, "/metadata/deletionTimestamp"),
                &time::format_description::well_known::Rfc3339,
            );
            let asked = asked.unwrap_or_else(|_| OffsetDateTime::now_utc()) - Duration::seconds(given);
            set_end(pod, asked, grace);
            true
        });
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let never_ran = text(pod, "/spec/nodeName").is_empty();
    let ended = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    let grace = if never_ran || ended { 0 } else { at_least_one(options.grace.unwrap_or(own)) };
    mark(pod, grace)
}

fn mark(object: &mut Value, grace: i64) -> bool {
    if object["metadata"].get("deletionTimestamp").is_some() {
        return false;
    }
    set_end(object, OffsetDateTime::now_utc(), grace);
    true
}

fn set_end(object: &mut Value, asked: OffsetDateTime, grace: i64) {
    object["metadata"]["deletionTimestamp"] = rfc3339(asked + Duration::seconds(grace)).into();
    object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
}

/// A negative grace means one second.
fn at_least_one(grace: i64) -> i64 {
    if grace < 0 { 1 } else { grace }
}
