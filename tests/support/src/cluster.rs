//! The administrator of a cluster, the stand-in's or a real one: makes nodes, pods and budgets, reads the audit log.
//!
//! The same test runs against a real API server where `SPOT_GUARD_TEST_CLUSTER` names a folder with `server`, `ca.crt`,
//! `ca.key`, `admin.crt`, `admin.key` and `audit.log`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::ApiServer;
use crate::certificates::{Authority, Identity};
use crate::client::{Client, MERGE, STRATEGIC};
use crate::pods::PodSpec;

/// A cluster and its administrator.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    pub admin: Client,
}

struct Inner {
    server: String,
    authority: Authority,
    audit: PathBuf,
    stand_in: Option<ApiServer>,
}

/// A Node of a test's own, and the namespace in which that test's pods are.
#[derive(Clone, Debug)]
pub struct TestNode {
    pub name: String,
    pub namespace: String,
}

/// A request as the audit log has it.
#[derive(Clone, Debug)]
pub struct Audited {
    /// When it came.
    pub at: OffsetDateTime,
    /// When it had been answered.
    pub answered: OffsetDateTime,
    /// Whose credentials asked: `system:node:NAME`, `admin`.
    pub user: String,
    pub verb: String,
    /// With the subresource: `pods/eviction`; empty outside objects.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub uri: String,
    pub code: u16,
}

impl Cluster {
    /// The real cluster that the environment names, else a new stand-in.
    pub fn for_test() -> Cluster {
        match std::env::var_os("SPOT_GUARD_TEST_CLUSTER") {
            Some(folder) => Cluster::at(Path::new(&folder)),
            None => Cluster::stand_in(),
        }
    }

    /// The real cluster that has left its files in this folder.
    pub fn at(folder: &Path) -> Cluster {
        Cluster::open(folder, None)
    }

    /// A new stand-in, for what a real cluster cannot be told to do.
    pub fn stand_in() -> Cluster {
        let server = ApiServer::start();
        let folder = server.folder().to_owned();
        Cluster::open(&folder, Some(server))
    }

    fn open(folder: &Path, stand_in: Option<ApiServer>) -> Cluster {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
        };
        let authority = Authority::load(&folder.join("ca.crt"), &folder.join("ca.key"));
        let authority = authority.expect("the cluster's certificate authority");
        let server = read("server").trim().to_owned();
        let identity = Identity { certificate_pem: read("admin.crt"), key_pem: read("admin.key") };
        let admin = Client::new(&server, &authority.certificate_pem, Some(&identity));
        let inner = Inner { server, authority, audit: folder.join("audit.log"), stand_in };
        Cluster { inner: Arc::new(inner), admin }
    }

    /// The stand-in, where this is one.
    pub fn api(&self) -> Option<&ApiServer> {
        self.inner.stand_in.as_ref()
    }

    /// `https://127.0.0.1:PORT`
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    pub fn authority(&self) -> &Authority {
        &self.inner.authority
    }

    /// A client with the credentials of this node's kubelet.
    pub fn client_of(&self, node: &TestNode) -> Client {
        Client::new(self.server(), &self.authority().certificate_pem, Some(&self.identity_of(&node.name)))
    }

    /// A certificate of this node's kubelet.
    pub fn identity_of(&self, node: &str) -> Identity {
        let lifetime = Duration::from_secs(86400);
        self.authority().client(&format!("system:node:{node}"), "system:nodes", lifetime)
    }

    /// Makes a Node that is this instance, Ready, with a name that begins with `purpose` and is no other test's, and a
    /// namespace of that name.
    pub fn make_node(&self, purpose: &str, instance: &str) -> TestNode {
        let name = unique(purpose);
        self.make_namespace(&name);
        self.make_bare_node(&name, &format!("aws:///eu-west-1a/{instance}"));
        TestNode { namespace: name.clone(), name }
    }

    pub fn make_namespace(&self, name: &str) {
        self.admin.post("/api/v1/namespaces", &json!({"metadata": {"name": name}})).ok();
    }

    /// Makes a Node of this very name; an empty provider id is none.
    pub fn make_bare_node(&self, name: &str, provider_id: &str) {
        let mut node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {}});
        if !provider_id.is_empty() {
            node["spec"]["providerID"] = provider_id.into();
        }
        self.admin.post("/api/v1/nodes", &node).ok();
        let now = now();
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now,
                           "lastTransitionTime": now});
        let status = json!({"status": {"conditions": [ready], "capacity": {"pods": "250"}}});
        self.admin.patch(&format!("/api/v1/nodes/{name}/status"), STRATEGIC, &status).ok();
    }

    pub fn node(&self, node: &TestNode) -> Value {
        self.admin.get(&format!("/api/v1/nodes/{}", node.name)).ok()
    }

    /// Removes the Node, as if its kubelet had never registered it.
    pub fn remove_node(&self, node: &TestNode) {
        self.admin.delete(&format!("/api/v1/nodes/{}", node.name), &json!({})).ok();
    }

    /// Makes a Node as it was before it was removed.
    pub fn restore_node(&self, node: &Value) {
        let metadata = json!({"name": node["metadata"]["name"], "labels": node["metadata"]["labels"]});
        self.admin.post("/api/v1/nodes", &json!({"metadata": metadata, "spec": node["spec"]})).ok();
    }

    /// Makes pods on this node, running and ready, many at a time; gives back their UIDs in the same order.
    pub fn make_pods(&self, node: &TestNode, pods: &[PodSpec]) -> Vec<String> {
        let share = pods.len().div_ceil(12).max(1);
        let make = |pods: &[PodSpec]| pods.iter().map(|pod| self.make_pod(node, pod)).collect::<Vec<String>>();
        thread::scope(|scope| {
            let shares: Vec<_> = pods.chunks(share).map(|pods| scope.spawn(move || make(pods))).collect();
            shares.into_iter().flat_map(|share| share.join().expect("pods are made")).collect()
        })
    }

    /// Makes one pod; gives back its UID.
    pub fn make_pod(&self, node: &TestNode, pod: &PodSpec) -> String {
        let path = format!("/api/v1/namespaces/{}/pods", node.namespace);
        let made = self.admin.post(&path, &pod.object(&node.name)).ok();
        if let Some(status) = pod.status() {
            self.admin.patch(&format!("{path}/{}/status", pod.name), STRATEGIC, &status).ok();
        }
        made["metadata"]["uid"].as_str().expect("a UID").to_owned()
    }

    /// Makes a claim in the node's namespace, bound to a volume of its own; gives the name under which a node has it.
    pub fn make_volume(&self, node: &TestNode, claim: &str) -> String {
        let volume = format!("{}-{claim}", node.name);
        let size = json!({"storage": "1Gi"});
        let spec = json!({"capacity": size, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
                          "csi": {"driver": "test.example.com", "volumeHandle": volume},
                          "claimRef": {"namespace": node.namespace, "name": claim}});
        let metadata = json!({"name": volume});
        self.admin.post("/api/v1/persistentvolumes", &json!({"metadata": metadata, "spec": spec})).ok();
        let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": volume,
                          "resources": {"requests": size}});
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", node.namespace);
        self.admin.post(&path, &json!({"metadata": {"name": claim}, "spec": spec})).ok();
        format!("kubernetes.io/csi/test.example.com^{volume}")
    }

    /// These volumes are in use on the node and attached to it, as its kubelet and the attach-detach controller say.
    pub fn attach(&self, node: &TestNode, volumes: &[String]) {
        let attached: Vec<Value> = volumes.iter().map(|name| json!({"name": name, "devicePath": ""})).collect();
        let status = json!({"status": {"volumesInUse": volumes, "volumesAttached": attached}});
        self.admin.patch(&format!("/api/v1/nodes/{}/status", node.name), MERGE, &status).ok();
    }

    /// Has a namespace go away, with all that is in it.
    pub fn delete_namespace(&self, name: &str) {
        self.admin.delete(&format!("/api/v1/namespaces/{name}"), &json!({})).ok();
    }

    /// Makes a budget over the pods with this label, and waits until it counts (`healthy` pods are healthy).
    pub fn make_budget(&self, node: &TestNode, name: &str, app: &str, min_available: usize, healthy: usize) {
        let base = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", node.namespace);
        let spec = json!({"minAvailable": min_available, "selector": {"matchLabels": {"app": app}}});
        self.admin.post(&base, &json!({"metadata": {"name": name}, "spec": spec})).ok();
        let path = format!("{base}/{name}");
        crate::wait::expect("the budget counts its pods", Duration::from_secs(20), || {
            let status = self.admin.get(&path).ok()["status"].clone();
            (status["observedGeneration"] == 1 && status["currentHealthy"] == healthy).then_some(())
        });
    }

    /// Makes a namespace, beside the node's own, in which admission refuses every eviction, and waits until it does.
    /// A real cluster has a policy for that; in the stand-in the namespace is going away.
    pub fn make_namespace_without_evictions(&self, node: &TestNode) -> TestNode {
        let there = TestNode { namespace: format!("{}-closed", node.namespace), ..node.clone() };
        let name = &there.namespace;
        self.make_namespace(name);
        if self.api().is_some() {
            return there;
        }
        let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                          "resources": ["pods/eviction"]});
        let validation = json!({"expression": "false", "message": "no evictions here", "reason": "Forbidden"});
        let policy = json!({"metadata": {"name": name}, "spec": {
            "matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}});
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        let binding = json!({"metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}});
        let group = "/apis/admissionregistration.k8s.io/v1";
        self.admin.post(&format!("{group}/validatingadmissionpolicies"), &policy).ok();
        self.admin.post(&format!("{group}/validatingadmissionpolicybindings"), &binding).ok();
        there
    }

    /// Waits until evictions of this pod are refused by admission.
    pub fn refuse_evictions(&self, there: &TestNode, pod: &str) {
        let path = format!("/api/v1/namespaces/{}", there.namespace);
        if self.api().is_some() {
            let terminating = json!({"metadata": {"deletionTimestamp": "2026-11-22T20:00:00Z"}});
            self.admin.patch(&path, MERGE, &terminating).ok();
        }
        let path = format!("{path}/pods/{pod}/eviction?dryRun=All");
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
        crate::wait::expect("admission refuses evictions", Duration::from_secs(60), || {
            (self.admin.post(&path, &eviction).status == 403).then_some(())
        });
    }

    /// The pods of this node, in all namespaces.
    pub fn pods(&self, node: &TestNode) -> Vec<Value> {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", node.name);
        self.admin.get(&path).ok()["items"].as_array().cloned().unwrap_or_default()
    }

    /// The pod of this name in the node's namespace, wherever it runs; `None` when it is gone.
    pub fn pod(&self, node: &TestNode, name: &str) -> Option<Value> {
        let answer = self.admin.get(&format!("/api/v1/namespaces/{}/pods/{name}", node.namespace));
        if answer.status == 404 { None } else { Some(answer.ok()) }
    }

    /// The events on this node.
    pub fn events(&self, node: &TestNode) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D{}", node.name);
        self.admin.get(&path).ok()["items"].as_array().cloned().unwrap_or_default()
    }

    /// Removes a pod at once, as if it had never been.
    pub fn remove_pod(&self, node: &TestNode, name: &str) {
        let path = format!("/api/v1/namespaces/{}/pods/{name}", node.namespace);
        self.admin.delete(&path, &json!({"gracePeriodSeconds": 0})).ok();
    }

    pub fn patch_node(&self, node: &TestNode, patch: &Value) {
        self.admin.patch(&format!("/api/v1/nodes/{}", node.name), MERGE, patch).ok();
    }

    /// Follows what this node's credentials ask for from now on.
    pub fn audit_tail(&self, node: &TestNode) -> AuditTail {
        self.audit_tail_with(user(node))
    }

    /// Follows what anyone asks for from now on that names this node or is in its namespace.
    pub fn audit_tail_about(&self, node: &TestNode) -> AuditTail {
        self.audit_tail_with(node.name.clone())
    }

    /// Follows what all ask for from now on.
    pub fn audit_tail_of_all(&self) -> AuditTail {
        self.audit_tail_with(String::new())
    }

    fn audit_tail_with(&self, text: String) -> AuditTail {
        let mut log = File::open(&self.inner.audit).expect("the audit log");
        log.seek(SeekFrom::End(0)).expect("the end of the audit log");
        AuditTail { log, text, begun: Vec::new() }
    }

    /// What this node's credentials asked for so far, in the order of arrival. A watch is there when it has ended.
    pub fn audit_of(&self, node: &TestNode) -> Vec<Audited> {
        let log = fs::read_to_string(&self.inner.audit).expect("the audit log");
        let user = user(node);
        let lines = log.lines().filter(|line| line.contains(&user));
        let mut all: Vec<Audited> = lines.filter_map(|line| Audited::of(&serde_json::from_str(line).ok()?)).collect();
        all.sort_by_key(|request| request.at);
        all
    }
}

/// The audit log as it grows.
pub struct AuditTail {
    log: File,
    /// Only lines with this text count.
    text: String,
    /// A line that is not whole yet.
    begun: Vec<u8>,
}

impl AuditTail {
    /// What was asked since the last time.
    pub fn read(&mut self) -> Vec<Audited> {
        self.log.read_to_end(&mut self.begun).expect("read the audit log");
        let whole = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text: Vec<u8> = self.begun.drain(..whole).collect();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.contains(&self.text));
        lines.filter_map(|line| Audited::of(&serde_json::from_str(line).ok()?)).collect()
    }
}

impl Audited {
    fn of(line: &Value) -> Option<Audited> {
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("/stage") != "ResponseComplete" {
            return None;
        }
        let (resource, sub) = (text("/objectRef/resource"), text("/objectRef/subresource"));
        let time = |pointer: &str| OffsetDateTime::parse(&text(pointer), &Rfc3339).ok();
        Some(Audited {
            at: time("/requestReceivedTimestamp")?,
            answered: time("/stageTimestamp")?,
            user: text("/user/username"),
            verb: text("/verb"),
            resource: if sub.is_empty() { resource } else { format!("{resource}/{sub}") },
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            uri: text("/requestURI"),
            code: line["responseStatus"]["code"].as_u64().and_then(|code| u16::try_from(code).ok())?,
        })
    }

    /// `create pods/eviction`
    pub fn what(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

/// These credentials as a line of the audit log has them.
fn user(node: &TestNode) -> String {
    format!("\"system:node:{}\"", node.name)
}

/// A name that begins with `purpose` and that nothing else in this cluster has.
fn unique(purpose: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{purpose}-{:x}-{:x}-{count}", started & 0xff_ffff, std::process::id())
}

/// The present time as Kubernetes writes it.
pub(crate) fn now() -> String {
    crate::imds::rfc3339(OffsetDateTime::now_utc())
}
