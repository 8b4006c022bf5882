//! Who may ask for what: the Node authorizer, the administrator, and everyone's questions about themselves.
//!
//! After the Node authorizer of Kubernetes 1.36 (plugin/pkg/auth/authorizer/node/node_authorizer.go, the rules of
//! `NodeRules` in plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).

use super::resources::Target;
use super::store::{Store, text};

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
}

impl User {
    pub fn new(name: &str, groups: &[&str]) -> User {
        User { name: name.to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
    }

    pub fn anonymous() -> User {
        User::new("system:anonymous", &["system:unauthenticated"])
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node that this user is, by name and group.
    pub fn node(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|_| self.is_in("system:nodes"))
    }
}

/// A request as the authorizer sees it.
pub struct Attempt<'a> {
    pub user: &'a User,
    pub target: &'a Target,
    /// What the field selector demands of `spec.nodeName`.
    pub selected_node: Option<String>,
}

/// The reason of a denial; often there is none.
pub type Denial = String;

/// Decides whether a request for objects is allowed. `selectors`: nodes see only what their field selector names, as
/// since 1.32.
pub fn authorize(attempt: &Attempt<'_>, store: &Store, selectors: bool) -> Result<(), Denial> {
    let (user, target) = (attempt.user, attempt.target);
    if user.is_in("system:masters") {
        return Ok(());
    }
    let about_oneself = matches!(target.resource.kind, "SelfSubjectReview" | "SelfSubjectAccessReview");
    if about_oneself && target.verb == "create" && !user.is_in("system:unauthenticated") {
        return Ok(());
    }
    match user.node() {
        Some(node) => of_node(node, attempt, store, selectors),
        None => Err(Denial::new()),
    }
}

fn of_node(node: &str, attempt: &Attempt<'_>, store: &Store, selectors: bool) -> Result<(), Denial> {
    let target = attempt.target;
    let allowed = match (target.resource.kind, target.subresource.as_str(), target.verb) {
        ("Node", "", "get" | "list" | "watch") if selectors => return own_node(node, &target.name),
        ("Node", "", "get" | "list" | "watch" | "create" | "update" | "patch") => true,
        ("Node", "status", "update" | "patch") => true,
        ("Pod", "", "get") if selectors => return related_pod(node, target, store),
        ("Pod", "", "list" | "watch") if selectors => return pods_of_node(node, attempt, store),
        ("Pod", "", "get" | "list" | "watch" | "create" | "delete") => true,
        ("Pod", "status", "update" | "patch") => true,
        ("Pod", "eviction", "create") => true,
        ("Event", "", "create" | "update" | "patch") => true,
        ("Service", "", "get" | "list" | "watch") => true,
        ("VolumeAttachment" | "PersistentVolume" | "PersistentVolumeClaim" | "Secret" | "ConfigMap", ..) => {
            return Err(related(node));
        }
        ("Lease", "", "get" | "create" | "update" | "patch" | "delete") => {
            target.namespace == "kube-node-lease" && (target.verb == "create" || target.name == node)
        }
        _ => false,
    };
    if allowed { Ok(()) } else { Err(Denial::new()) }
}

fn own_node(node: &str, asked: &str) -> Result<(), Denial> {
    match asked {
        _ if asked == node => Ok(()),
        "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
        _ => Err(format!("node '{node}' cannot read '{asked}', only its own Node object")),
    }
}

fn pods_of_node(node: &str, attempt: &Attempt<'_>, store: &Store) -> Result<(), Denial> {
    if attempt.selected_node.as_deref() == Some(node) {
        return Ok(());
    }
    if !attempt.target.name.is_empty() {
        return related_pod(node, attempt.target, store);
    }
    Err("can only list/watch pods with spec.nodeName field selector".to_owned())
}

/// A pod may be read by its own node while it is there.
fn related_pod(node: &str, target: &Target, store: &Store) -> Result<(), Denial> {
    let pod = store.get(target.resource, &target.namespace, &target.name);
    let own = pod.is_ok_and(|pod| text(&pod, "/spec/nodeName") == node);
    if own { Ok(()) } else { Err(related(node)) }
}

fn related(node: &str) -> Denial {
    format!("no relationship found between node '{node}' and this object")
}

/// What the API server says of a denied request, before the reason.
pub fn denied(user: &User, target: &Target, reason: &str) -> String {
    let slash = if target.subresource.is_empty() { "" } else { "/" };
    let resource = format!("{}{slash}{}", target.resource.plural, target.subresource);
    let place = if target.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", target.namespace)
    };
    let colon = if reason.is_empty() { "" } else { ": " };
    format!(
        "User \"{}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}{colon}{reason}",
        user.name, target.verb, target.resource.group
    )
}
