//! Pods as they are on the wire.
//!
//! Knows which fields of a pod matter and what they mean. Sends nothing.
//!
//! A container was **cut** when the kubelet killed it because the pod's grace was over: it ended with exit code 137
//! (SIGKILL) at or after the end of the grace, which is `metadata.deletionTimestamp` (the time of the request plus the
//! grace; a second is allowed for, as these times are whole seconds). A 137 before that is the container's own affair,
//! out of memory for example. With `deletionGracePeriodSeconds` 0, as the kubelet sets it in the very last step, the
//! API server has moved `deletionTimestamp` back to the time of the request (`BeforeDelete` in kubernetes/kubernetes
//! `staging/src/k8s.io/apiserver/pkg/registry/rest/delete.go`): nothing can be told from it any more, and what the
//! states before have shown counts (see [`super::watch`]).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::moment::Timestamp;
use crate::objects::{Pod, PodId};

/// `terminationGracePeriodSeconds` where a pod says nothing: the API server's own default.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// SIGKILL, as a container's exit code.
const KILLED: i32 = 137;

/// A pod on the wire, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WirePod {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    pub namespace: String,
    pub name: String,
    uid: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<Annotations>,
    owner_references: Option<Vec<Owner>>,
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<IgnoredAny>,
    /// On the bookmark that ends the first part of a streamed list.
    #[serde(rename = "k8s.io/initial-events-end")]
    initial_events_end: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Owner {
    api_version: String,
    kind: String,
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    priority: Option<i32>,
    termination_grace_period_seconds: Option<i64>,
    volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    name: String,
    persistent_volume_claim: Option<Claim>,
    ephemeral: Option<IgnoredAny>,
    empty_dir: Option<EmptyDir>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EmptyDir {
    /// Empty: the machine's disk.
    medium: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Claim {
    claim_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<String>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    state: Option<ContainerState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i32,
    finished_at: Option<String>,
}

impl WirePod {
    /// This is not a pod but the bookmark after the last of those that were there at the start.
    pub fn ends_the_initial_events(&self) -> bool {
        self.metadata.annotations.as_ref().is_some_and(|a| a.initial_events_end.as_deref() == Some("true"))
    }
}

impl From<WirePod> for Pod {
    fn from(wire: WirePod) -> Pod {
        let cut = was_cut(&wire);
        let claims = claims(&wire);
        let local_data = has_local_data(&wire);
        let ended = matches!(wire.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let finished = ended || is_done_with(&wire.metadata);
        let WirePod { metadata, spec, .. } = wire;
        let owners = metadata.owner_references.unwrap_or_default();
        Pod {
            id: PodId { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
            priority: spec.priority.unwrap_or(0),
            grace: spec.termination_grace_period_seconds.map_or(DEFAULT_GRACE, grace),
            labels: metadata.labels.unwrap_or_default(),
            mirror: metadata.annotations.is_some_and(|a| a.mirror.is_some()),
            daemon_set: owners.iter().any(is_daemon_set),
            finished,
            stopping: metadata.deletion_timestamp.is_some(),
            cut,
            claims,
            bare: !owners.iter().any(|owner| owner.controller == Some(true)),
            local_data,
        }
    }
}

/// The API server takes a negative grace for 1 s (kubernetes/kubernetes `pkg/apis/core/types.go`).
fn grace(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
}

/// The kubelet deletes a pod with a grace of 0 once its containers have ended (kubernetes/kubernetes
/// `pkg/kubelet/status/status_manager.go`, `syncPod`); those before 1.27 leave its phase as it was.
fn is_done_with(metadata: &Metadata) -> bool {
    metadata.deletion_timestamp.is_some() && metadata.deletion_grace_period_seconds == Some(0)
}

/// The controlling owner is a DaemonSet of `apps`, whatever the version.
fn is_daemon_set(owner: &Owner) -> bool {
    owner.controller == Some(true) && owner.kind == "DaemonSet" && owner.api_version.starts_with("apps/")
}

/// Whether the kubelet killed a container of this pod at the end of its grace; see the head of this module.
fn was_cut(pod: &WirePod) -> bool {
    if pod.metadata.deletion_grace_period_seconds == Some(0) {
        return false;
    }
    let Some(grace_ends) = pod.metadata.deletion_timestamp.as_deref().and_then(Timestamp::from_rfc3339) else {
        return false;
    };
    // Sidecars are init containers that go on running, so those count too.
    [&pod.status.container_statuses, &pod.status.init_container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|status| status.state.as_ref()?.terminated.as_ref())
        .filter(|end| end.exit_code == KILLED)
        .filter_map(|end| Timestamp::from_rfc3339(end.finished_at.as_deref()?))
        .any(|finished| grace_ends.later_than(finished).is_none_or(|early| early <= Duration::from_secs(1)))
}

/// Whether something of the pod lies on this machine's disk and nowhere else. Of memory nobody expects more.
fn has_local_data(pod: &WirePod) -> bool {
    let on_disk = |volume: &EmptyDir| volume.medium.as_deref().unwrap_or_default().is_empty();
    pod.spec.volumes.iter().flatten().any(|volume| volume.empty_dir.as_ref().is_some_and(on_disk))
}

/// `namespace/name` of each claim, those of generic ephemeral volumes included (the controller names them
/// `<pod>-<volume>`: kubernetes.io, "Generic ephemeral volumes").
fn claims(pod: &WirePod) -> Vec<String> {
    let name = |volume: &Volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(claim.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", pod.metadata.name, volume.name)),
        (None, None) => None,
    };
    let volumes = pod.spec.volumes.iter().flatten();
    volumes.filter_map(name).map(|claim| format!("{}/{claim}", pod.metadata.namespace)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value::<WirePod>(value).unwrap().into()
    }

    #[test]
    fn a_pod_is_read_with_the_defaults_of_the_api_server() {
        let read =
            pod(json!({"metadata": {"namespace": "web", "name": "api-0", "uid": "u1", "labels": {"app": "api"}},
            "spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running"}}));
        let id = PodId { namespace: "web".into(), name: "api-0".into(), uid: "u1".into() };
        let labels = [("app".to_owned(), "api".to_owned())].into();
        let expected = Pod {
            id,
            priority: 0,
            grace: Duration::from_secs(30),
            labels,
            mirror: false,
            daemon_set: false,
            finished: false,
            stopping: false,
            cut: false,
            claims: vec![],
            bare: true,
            local_data: false,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_keeps_a_pod_here_is_seen() {
        let owner = |version: &str, kind: &str, controller: bool| {
            let owner = json!({"apiVersion": version, "kind": kind, "controller": controller});
            pod(json!({"metadata": {"ownerReferences": [owner]}})).daemon_set
        };
        assert!(owner("apps/v1", "DaemonSet", true));
        assert!(!owner("apps/v1", "DaemonSet", false));
        assert!(!owner("apps/v1", "ReplicaSet", true));
        assert!(!owner("example.com/v1", "DaemonSet", true));
        assert!(pod(json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "abc"}}})).mirror);
        assert!(pod(json!({"status": {"phase": "Failed"}})).finished);
        assert!(pod(json!({"metadata": {"deletionTimestamp": "2026-11-22T20:00:00Z"}})).stopping);
        let going = |grace: u64| {
            pod(json!({"metadata": {"deletionTimestamp": "2026-11-22T20:00:00Z", "deletionGracePeriodSeconds": grace}}))
        };
        assert!(going(0).finished && !going(1).finished, "its kubelet has done with it");
    }

    #[test]
    fn a_pod_without_a_controller_and_one_with_data_on_the_disk_are_seen() {
        let owned = |controller: bool| pod(json!({"metadata": {"ownerReferences": [{"controller": controller}]}}));
        assert!(owned(false).bare && !owned(true).bare);
        let with = |volume: Value| pod(json!({"spec": {"volumes": [{"name": "a"}, volume]}})).local_data;
        assert!(with(json!({"emptyDir": {}})) && with(json!({"emptyDir": {"medium": ""}})));
        assert!(!with(json!({"emptyDir": {"medium": "Memory"}})) && !with(json!({"configMap": {}})));
    }

    #[test]
    fn claims_are_those_named_and_those_of_ephemeral_volumes() {
        let volumes = json!([{"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "b", "ephemeral": {"volumeClaimTemplate": {}}}, {"name": "c", "emptyDir": {}}]);
        let read = pod(json!({"metadata": {"namespace": "db", "name": "pg-0"}, "spec": {"volumes": volumes}}));
        assert_eq!(read.claims, ["db/data", "db/pg-0-b"]);
    }

    #[test]
    fn only_a_kill_at_the_end_of_the_grace_is_a_cut() {
        let ended = |field: &str, code: i32, at: &str, grace: Option<i64>| {
            let state = json!({"state": {"terminated": {"exitCode": code, "finishedAt": at}}});
            let metadata = json!({"deletionTimestamp": "2026-11-22T20:00:30Z", "deletionGracePeriodSeconds": grace});
            pod(json!({"metadata": metadata, "status": {field: [{}, state]}})).cut
        };
        let (in_time, at_the_end) = ("2026-11-22T20:00:20Z", "2026-11-22T20:00:29Z");
        assert!(ended("containerStatuses", 137, at_the_end, Some(30)));
        assert!(ended("initContainerStatuses", 137, "2026-11-22T20:00:31Z", None));
        assert!(!ended("containerStatuses", 137, in_time, Some(30)), "killed by something else");
        assert!(!ended("containerStatuses", 143, at_the_end, Some(30)), "ended by itself");
        assert!(!ended("containerStatuses", 137, at_the_end, Some(0)), "the timestamp has been moved back");
        assert!(!ended("containerStatuses", 137, "later", Some(30)));
    }
}
