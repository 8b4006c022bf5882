//! One request: whether it is allowed, what it does, what is answered.

use std::sync::Arc;

use serde_json::{Value, json};

use super::authorize::{self, Attempt, User, authorize};
use super::failure::{Failure, failure};
use super::pods::{self, DeleteOptions};
use super::resources::{self, Resource, Target};
use super::selectors::{fields_match, labels_match};
use super::store::{Store, only_metadata, text};
use super::watch::Watch;
use super::{Shared, State, admit, evict, patch};
use crate::http::Request;

/// What is sent back.
pub enum Reply {
    Whole { code: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    Stream(Watch),
}

impl Reply {
    fn of(code: u16, body: &Value) -> Reply {
        let headers =
            vec![("Cache-Control", "no-cache, private".to_owned()), ("Content-Type", "application/json".to_owned())];
        Reply::Whole { code, headers, body: format!("{body}\n").into_bytes() }
    }

    pub fn of_failure(failure: &Failure) -> Reply {
        let Reply::Whole { code, mut headers, body } = Reply::of(failure.code, &failure.body()) else {
            unreachable!("a whole reply was made")
        };
        headers.extend(failure.retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
        Reply::Whole { code, headers, body }
    }

    fn text(code: u16, body: &str) -> Reply {
        Reply::Whole {
            code,
            headers: vec![("Content-Type", "text/plain; charset=utf-8".to_owned())],
            body: body.into(),
        }
    }
}

/// Answers one request of `user`.
pub fn handle(user: &User, request: &Request, target: Option<&Target>, shared: &Shared) -> Reply {
    let Some(target) = target else { return outside_objects(request) };
    let mut state = shared.state();
    if let Some(reply) = canned(&mut state, target) {
        return reply;
    }
    let metadata_only = request.header("Accept").is_some_and(|accept| accept.contains("as=PartialObjectMetadata"));
    match respond(&mut state, user, request, target, metadata_only) {
        Ok(reply) => {
            if !matches!(target.verb, "get" | "list" | "watch") {
                shared.changed.notify_all();
            }
            reply
        }
        Err(failure) => Reply::of_failure(&failure),
    }
}

fn outside_objects(request: &Request) -> Reply {
    match request.path.as_str() {
        "/version" => Reply::of(200, &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3"})),
        "/healthz" | "/livez" | "/readyz" => Reply::text(200, "ok"),
        _ => Reply::text(404, "404 page not found\n"),
    }
}

fn canned(state: &mut State, target: &Target) -> Option<Reply> {
    let slash = if target.subresource.is_empty() { "" } else { "/" };
    let asked = format!("{}{slash}{}", target.resource.plural, target.subresource);
    let index = state.canned.iter().position(|c| c.times > 0 && c.verb == target.verb && c.resource == asked)?;
    let canned = state.canned.get_mut(index)?;
    canned.times -= 1;
    let headers = canned.headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Some(Reply::Whole { code: canned.status, headers, body: canned.body.into() })
}

fn respond(
    state: &mut State,
    user: &User,
    request: &Request,
    target: &Target,
    metadata_only: bool,
) -> Result<Reply, Failure> {
    if target.resource.kind == "SelfSubjectReview" && !state.switches.self_subject_review {
        let message = "the server could not find the requested resource".to_owned();
        return Err(failure(404, "NotFound", message, json!({})));
    }
    let attempt = Attempt { user, target, selected_node: resources::selected(request, "spec.nodeName") };
    authorize(&attempt, &state.store, state.switches.selectors).map_err(|reason| {
        Failure::forbidden(target.resource, &target.name, &authorize::denied(user, target, &reason))
    })?;
    let shown = |object: &Value| if metadata_only { only_metadata(object) } else { object.clone() };
    let dry_run = request.parameter("dryRun") == Some("All");
    match target.verb {
        "watch" => Watch::of(request, target, metadata_only, state.switches.streamed_lists).map(Reply::Stream),
        "list" => Ok(Reply::of(200, &list(&state.store, request, target, metadata_only))),
        "get" => {
            let object = state.store.get(target.resource, &target.namespace, &target.name)?;
            Ok(Reply::of(200, &shown(&with_computed(target.resource, &object, &state.store))))
        }
        "create" => create(state, user, request, target, dry_run).map(|object| match object.get("status") {
            Some(Value::String(_)) => Reply::of(201, &object),
            _ => Reply::of(201, &shown(&object)),
        }),
        "update" | "patch" => change(state, user, request, target, dry_run).map(|o| Reply::of(200, &shown(&o))),
        "delete" => {
            // The query is not looked at where there is a body.
            let options = DeleteOptions::of(&body(request)?, dry_run && request.body.is_empty());
            let object = state.store.get(target.resource, &target.namespace, &target.name)?;
            admit::delete(user.node(), target, &object)?;
            let gone = pods::delete(&mut state.store, target, &options)?;
            empty_namespace(&mut state.store, target);
            Ok(Reply::of(200, &shown(&gone)))
        }
        _ => Err(failure(405, "MethodNotAllowed", "the server does not allow this method".to_owned(), json!({}))),
    }
}

fn list(store: &Store, request: &Request, target: &Target, metadata_only: bool) -> Value {
    let fields = request.parameter("fieldSelector").unwrap_or_default();
    let labels = request.parameter("labelSelector").unwrap_or_default();
    let all = store.list(target.resource, &target.namespace);
    let chosen = all.iter().filter(|o| fields_match(fields, o) && labels_match(labels, o));
    let item = |object: &Arc<Value>| {
        if metadata_only {
            return only_metadata(object);
        }
        // As the real one: what is in a list does not say its kind.
        let mut object = with_computed(target.resource, object, store);
        object.as_object_mut().map(|fields| (fields.remove("kind"), fields.remove("apiVersion")));
        object
    };
    let items: Vec<Value> = chosen.map(item).collect();
    let (kind, version) = if metadata_only {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (format!("{}List", target.resource.kind), target.resource.api_version())
    };
    let metadata = json!({"resourceVersion": store.version().to_string()});
    json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})
}

/// An object as it is shown: budgets with the status that a controller would have given them.
fn with_computed(resource: &Resource, object: &Value, store: &Store) -> Value {
    if resource == resources::budgets() { evict::with_status(object, store) } else { object.clone() }
}

fn create(state: &mut State, user: &User, request: &Request, target: &Target, dry_run: bool) -> Result<Value, Failure> {
    let mut object = body(request)?;
    match target.resource.kind {
        "SelfSubjectReview" => return Ok(self_review(user)),
        "SelfSubjectAccessReview" => return Ok(access_review(state, user, object)),
        _ => {}
    }
    admit::create(user.node(), target, &object, &state.store)?;
    if target.subresource == "eviction" {
        return evict::evict(&mut state.store, target, &object, dry_run, state.switches.budgets_observed);
    }
    match target.resource.kind {
        "Pod" => pods::complete(&mut object),
        "Event" => check_event(target, &object)?,
        _ => {}
    }
    if dry_run {
        return Ok(object);
    }
    state.store.create(target.resource, &target.namespace, object).map(|object| (*object).clone())
}

fn change(
    state: &mut State,
    user: &User,
    request: &Request,
    target: &Target,
    dry_run: bool,
) -> Result<Arc<Value>, Failure> {
    let old = state.store.get(target.resource, &target.namespace, &target.name)?;
    let sent = body(request)?;
    let mut new = match target.verb {
        "patch" => patch::apply(request.header("Content-Type").unwrap_or_default(), &old, &sent)?,
        _ => sent,
    };
    keep_other_half(target, &old, &mut new);
    admit::update(user.node(), target, &old, &new)?;
    if text(&new, "/metadata/uid") != text(&old, "/metadata/uid") {
        let why = format!("metadata.uid: Invalid value: \"{}\": field is immutable", text(&new, "/metadata/uid"));
        return Err(Failure::invalid(target.resource.kind, &target.name, &why));
    }
    if dry_run {
        return Ok(Arc::new(new));
    }
    let changed = state.store.replace(target.resource, &target.namespace, new)?;
    if target.resource == resources::nodes() {
        taint_if_cordoned(&mut state.store, &changed)?;
    }
    // The last finalizer of an object that is to go was removed.
    let finalizers = changed["metadata"]["finalizers"].as_array();
    let waits = changed["metadata"]["deletionGracePeriodSeconds"] == 0 && finalizers.is_none_or(Vec::is_empty);
    if waits { state.store.remove(target.resource, &target.namespace, &target.name) } else { Ok(changed) }
}

/// A change of the status leaves all else as it is, and the other way round.
fn keep_other_half(target: &Target, old: &Value, new: &mut Value) {
    let kept: &[&str] = match (target.subresource.as_str(), target.resource.kind) {
        ("status", _) => &["spec"],
        (_, "Pod" | "Node" | "Namespace") => &["status"],
        _ => &[],
    };
    for half in kept {
        match old.get(half) {
            Some(value) => new[*half] = value.clone(),
            None => drop(new.as_object_mut().map(|fields| fields.remove(*half))),
        }
    }
}

/// What the node lifecycle controller does.
fn taint_if_cordoned(store: &mut Store, node: &Value) -> Result<(), Failure> {
    let key = "node.kubernetes.io/unschedulable";
    let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let (cordoned, tainted) = (node["spec"]["unschedulable"] == true, taints.iter().any(|t| t["key"] == key));
    if cordoned == tainted {
        return Ok(());
    }
    taints.retain(|taint| taint["key"] != key);
    if cordoned {
        let since = crate::imds::rfc3339(time::OffsetDateTime::now_utc());
        taints.push(json!({"key": key, "effect": "NoSchedule", "timeAdded": since}));
    }
    let mut node = node.clone();
    node["spec"]["taints"] = taints.into();
    store.replace(resources::nodes(), "", node).map(|_| ())
}

/// What the namespace controller does: the pods of a namespace that is deleted are deleted.
fn empty_namespace(store: &mut Store, target: &Target) {
    if target.resource != resources::namespaces() {
        return;
    }
    for pod in store.list(resources::pods(), &target.name) {
        let of_pod = Target {
            verb: "delete",
            resource: resources::pods(),
            namespace: target.name.clone(),
            name: text(&pod, "/metadata/name").to_owned(),
            subresource: String::new(),
        };
        // It was there a line ago, under the same lock.
        let _ = pods::delete(store, &of_pod, &DeleteOptions::default());
    }
}

fn check_event(target: &Target, event: &Value) -> Result<(), Failure> {
    let involved = text(event, "/involvedObject/namespace");
    let expected = if involved.is_empty() { "default" } else { involved };
    if target.resource.group.is_empty() && expected != target.namespace {
        let why = format!("involvedObject.namespace: Invalid value: \"{involved}\": does not match event.namespace");
        return Err(Failure::invalid("Event", text(event, "/metadata/name"), &why));
    }
    Ok(())
}

fn self_review(user: &User) -> Value {
    let mut groups = user.groups.clone();
    groups.push("system:authenticated".to_owned());
    json!({
        "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": crate::imds::rfc3339(time::OffsetDateTime::now_utc())},
        "status": {"userInfo": {"username": user.name, "groups": groups}},
    })
}

fn access_review(state: &State, user: &User, mut review: Value) -> Value {
    let attributes = &review["spec"]["resourceAttributes"];
    let allowed = review_target(attributes).is_some_and(|target| {
        let attempt = Attempt { user, target: &target, selected_node: review_node(attributes) };
        authorize(&attempt, &state.store, state.switches.selectors).is_ok()
    });
    review["kind"] = "SelfSubjectAccessReview".into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["status"] = json!({"allowed": allowed});
    review
}

/// The one node whose pods are meant, if the review names one.
fn review_node(attributes: &Value) -> Option<String> {
    let requirements = attributes["fieldSelector"]["requirements"].as_array()?;
    let own = requirements.iter().find(|one| one["key"] == "spec.nodeName" && one["operator"] == "In")?;
    own["values"][0].as_str().map(str::to_owned)
}

fn review_target(attributes: &Value) -> Option<Target> {
    const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
    let of = |field: &str| attributes[field].as_str().unwrap_or_default().to_owned();
    Some(Target {
        verb: VERBS.iter().find(|verb| **verb == of("verb"))?,
        resource: resources::named(&of("group"), &of("resource"))?,
        namespace: of("namespace"),
        name: of("name"),
        subresource: of("subresource"),
    })
}

fn body(request: &Request) -> Result<Value, Failure> {
    if request.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&request.body).map_err(|error| Failure::bad_request(&error.to_string()))
}

/// The namespaces that every cluster has.
pub fn make_namespaces(shared: &Shared) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = json!({"metadata": {"name": name}, "status": {"phase": "Active"}});
        shared.state().store.create(resources::namespaces(), "", namespace).expect("a namespace of a new store");
    }
}
