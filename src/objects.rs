//! What spot-guard knows of Kubernetes objects: pods, its own node, and the answer to a request.
//!
//! Plain data. The shapes on the wire belong to [`crate::kubernetes`]; what to do with them belongs to
//! [`crate::response`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A pod, and no other that ever had its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodId {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// A pod of this node as the API server last showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub id: PodId,
    /// `spec.priority`; 0 where it is not set.
    pub priority: i32,
    /// `spec.terminationGracePeriodSeconds`; 30 s where it is not set, as the API server's default.
    pub grace: Duration,
    pub labels: BTreeMap<String, String>,
    /// A static pod's mirror: it has the annotation `kubernetes.io/config.mirror`.
    pub mirror: bool,
    /// Its controlling owner is a DaemonSet of `apps`.
    pub daemon_set: bool,
    /// Nothing runs in it any more: its phase is Succeeded or Failed, or its kubelet has done with it and only a
    /// finalizer keeps the object.
    pub finished: bool,
    /// It has a `metadata.deletionTimestamp`: somebody asked it to stop already.
    pub stopping: bool,
    /// A container of it was killed when the pod's grace was over (see [`crate::kubernetes::pods`] for how that shows).
    pub cut: bool,
    /// The claims of its volumes, by name: what may have to be detached from this machine.
    pub claims: Vec<String>,
    /// It has no controlling owner: nothing makes another in its place.
    pub bare: bool,
    /// It has a volume `emptyDir` on this machine's disk: what is in it goes with the pod.
    pub local_data: bool,
}

/// The own Node as read from the API server, as far as spot-guard looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `spec.unschedulable`.
    pub cordoned: bool,
    /// It has the label `node.kubernetes.io/exclude-from-external-load-balancers`, whatever its value.
    pub excluded: bool,
    /// The annotation `spot-guard/response`.
    pub response: Option<String>,
    pub taints: Vec<Taint>,
    /// `status.volumesInUse` and the names of `status.volumesAttached` together, each once.
    pub volumes: Vec<String>,
}

/// A taint, as in `spec.taints` of a Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    pub effect: String,
}

/// What came back from one request to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Accepted,
    /// Any other status.
    Refused(Refusal),
    /// Nothing that could be understood: no connection, no answer in time, an answer cut in the middle. The text says
    /// what happened, without any secret.
    Nothing(String),
}

/// A refusal, as the API server worded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The `message` of the Status object and what it says of budgets, or the beginning of a body that is none; at most
    /// 300 characters.
    pub message: String,
    /// The reasons in `details.causes` (`DisruptionBudget`, `NamespaceTerminating`).
    pub causes: Vec<String>,
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The API server has more to do than it takes on. The other 429 is a closed budget's, which stands in its causes
    /// (kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`).
    pub fn is_overload(&self) -> bool {
        self.status == 429 && self.causes.is_empty()
    }
}

/// How things stand with the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known yet.
    Unknown,
    /// There is no cluster for this machine, and why: mode off, mode auto with no kubeconfig anywhere, or the node is
    /// another instance's. May change later: a kubeconfig that appears is found.
    None(String),
    /// There is to be a cluster (a kubeconfig is there, or the mode is `required`), but no API server that answers, or
    /// it refuses the credentials. The text says what failed and what to do.
    Unready(String),
    /// The API server answered and the node is this machine's. `doubt`: what is wrong all the same and may make this
    /// end: credentials that cannot be renewed, say.
    Ready { node_name: String, doubt: Option<String> },
}
