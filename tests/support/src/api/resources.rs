//! Which kinds of objects there are, and what a request's path asks for.
//!
//! Knows paths and verbs only; whether a request is allowed, and what it does, is decided elsewhere.

use crate::http::Request;

/// A kind of object that is stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

const fn resource(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Resource {
    Resource { group, version, plural, kind, namespaced }
}

static RESOURCES: [Resource; 19] = [
    resource("", "v1", "namespaces", "Namespace", false),
    resource("", "v1", "nodes", "Node", false),
    resource("", "v1", "pods", "Pod", true),
    resource("", "v1", "events", "Event", true),
    resource("", "v1", "services", "Service", true),
    resource("", "v1", "secrets", "Secret", true),
    resource("", "v1", "configmaps", "ConfigMap", true),
    resource("", "v1", "persistentvolumes", "PersistentVolume", false),
    resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true),
    resource("events.k8s.io", "v1", "events", "Event", true),
    resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true),
    resource("apps", "v1", "daemonsets", "DaemonSet", true),
    resource("apps", "v1", "deployments", "Deployment", true),
    resource("apps", "v1", "replicasets", "ReplicaSet", true),
    resource("apps", "v1", "statefulsets", "StatefulSet", true),
    resource("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", false),
    resource("coordination.k8s.io", "v1", "leases", "Lease", true),
    // Answered at once, never stored.
    resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", false),
    resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
];

impl Resource {
    /// `v1`, `policy/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods`, `poddisruptionbudgets.policy`: as the API server names them in messages.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// A request for an object, or for all of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub verb: &'static str,
    pub resource: &'static Resource,
    /// Empty: of the whole cluster.
    pub namespace: String,
    /// Empty: all of them.
    pub name: String,
    /// Empty: the object itself.
    pub subresource: String,
}

impl Target {
    /// What a request asks for; `None` where no object is named by its path.
    pub fn of(request: &Request) -> Option<Target> {
        let mut parts = request.path.split('/').filter(|part| !part.is_empty());
        let (group, version) = match parts.next()? {
            "api" => ("", parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut rest: Vec<&str> = parts.collect();
        let mut namespace = "";
        if rest.len() > 2 && rest.first() == Some(&"namespaces") {
            namespace = rest.get(1)?;
            rest.drain(..2);
        }
        let plural = rest.first()?;
        let resource = RESOURCES.iter().find(|r| (r.group, r.version, r.plural) == (group, version, *plural))?;
        let at = |index: usize| rest.get(index).map(|part| (*part).to_owned()).unwrap_or_default();
        let mut target =
            Target { verb: "", resource, namespace: namespace.to_owned(), name: at(1), subresource: at(2) };
        target.verb = target.verb_of(request);
        // As the real one: a list that selects one name is a request for that name.
        if matches!(target.verb, "list" | "watch") && target.name.is_empty() {
            target.name = selected(request, "metadata.name").unwrap_or_default();
        }
        Some(target)
    }

    fn verb_of(&self, request: &Request) -> &'static str {
        let watch = request.parameter("watch").is_some_and(|v| v != "false" && v != "0");
        match request.method.as_str() {
            "GET" if self.name.is_empty() || watch => {
                if watch {
                    "watch"
                } else {
                    "list"
                }
            }
            "GET" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if self.name.is_empty() => "deletecollection",
            "DELETE" => "delete",
            _ => "unknown",
        }
    }
}

/// Namespaces, and below them pods and budgets: what the server itself looks up.
pub fn namespaces() -> &'static Resource {
    &RESOURCES[0]
}

pub fn named(group: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| (resource.group, resource.plural) == (group, plural))
}

pub fn nodes() -> &'static Resource {
    &RESOURCES[1]
}

pub fn pods() -> &'static Resource {
    &RESOURCES[2]
}

pub fn budgets() -> &'static Resource {
    &RESOURCES[10]
}

/// The value that the request's field selector demands of `field`.
pub fn selected(request: &Request, field: &str) -> Option<String> {
    let selector = request.parameter("fieldSelector")?;
    let terms = selector.split(',').filter_map(|term| term.split_once('='));
    terms.filter(|(name, _)| *name == field).map(|(_, value)| value.trim_start_matches('=').to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(line: &str) -> Option<(&'static str, &'static str, String, String, String)> {
        let request = Request::read(&mut format!("{line} HTTP/1.1\r\n\r\n").as_bytes()).unwrap().unwrap();
        Target::of(&request).map(|t| (t.verb, t.resource.kind, t.namespace, t.name, t.subresource))
    }

    #[test]
    fn paths_are_read_as_the_real_one_reads_them() {
        let some = |verb, kind, namespace: &str, name: &str, sub: &str| {
            Some((verb, kind, namespace.to_owned(), name.to_owned(), sub.to_owned()))
        };
        assert_eq!(target("GET /api/v1/nodes/a"), some("get", "Node", "", "a", ""));
        assert_eq!(target("PATCH /api/v1/nodes/a/status"), some("patch", "Node", "", "a", "status"));
        assert_eq!(target("GET /api/v1/pods?watch=1"), some("watch", "Pod", "", "", ""));
        assert_eq!(target("GET /api/v1/nodes?fieldSelector=metadata.name%3Da"), some("list", "Node", "", "a", ""));
        assert_eq!(target("GET /api/v1/namespaces/x"), some("get", "Namespace", "", "x", ""));
        assert_eq!(target("POST /api/v1/namespaces/x/pods/p/eviction"), some("create", "Pod", "x", "p", "eviction"));
        assert_eq!(
            target("DELETE /apis/policy/v1/namespaces/x/poddisruptionbudgets/b"),
            some("delete", "PodDisruptionBudget", "x", "b", "")
        );
        assert_eq!(target("GET /version"), None);
        assert_eq!(target("GET /apis/policy/v1beta1/poddisruptionbudgets"), None);
    }
}
