//! A look at the cluster, step by step, for who wants to know whether a response would work. Nothing is changed.
//!
//! Knows how each step is asked. Judges nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Method;

use super::Api;
use super::api::node_path;
use super::client::{Client, Request};
use super::credentials::Identity;
use super::identify::{self, Found, Unusable};
use super::kubeconfig::{self, Exec, User};
use super::link::Link;
use super::{node, yaml};
use crate::config;
use crate::moment::Timestamp;
use crate::objects::Answer;

/// The kubeconfig that the daemon would use.
pub struct Kubeconfig {
    pub path: PathBuf,
    pub means: Means,
    config: kubeconfig::Kubeconfig,
}

/// How the kubeconfig's user shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// The plugin and what it is told to do: `aws eks get-token`.
    Plugin(String),
    Certificate,
    Token,
    Nothing,
}

/// Why there is no kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoKubeconfig {
    /// In none of these places.
    Nowhere(Vec<PathBuf>),
    Unusable(String),
}

/// Finds and reads the kubeconfig.
///
/// # Errors
/// When there is none, or it cannot be used.
pub fn kubeconfig(settings: &config::Kubernetes) -> Result<Kubeconfig, NoKubeconfig> {
    let places = kubeconfig::places(settings.kubeconfig.as_deref());
    let Some(path) = places.iter().find(|path| Identity::of(path).is_some()).cloned() else {
        return Err(NoKubeconfig::Nowhere(places));
    };
    let config = kubeconfig::load(&path).map_err(|error| NoKubeconfig::Unusable(error.to_string()))?;
    Ok(Kubeconfig { path, means: means(&config.user), config })
}

fn means(user: &User) -> Means {
    match user {
        User { exec: Some(exec), .. } => Means::Plugin(plugin(exec)),
        User { certificate: Some(_), .. } => Means::Certificate,
        User { token: Some(_), .. } => Means::Token,
        _ => Means::Nothing,
    }
}

/// The program without its folder, and the words after it up to the first option: values come later, and may be secret.
fn plugin(exec: &Exec) -> String {
    let program = exec.command.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_word =
        |word: &&String| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !word.starts_with('-');
    let words = exec.arguments.iter().take_while(is_word).take(3);
    words.fold(program, |text, word| text + " " + word)
}

/// An API server and credentials for it.
pub struct Cluster {
    client: Client,
}

impl Kubeconfig {
    /// Reads the credentials, for which a plugin may have to be run, and looks the server's name up. Takes some 20 s at
    /// worst.
    ///
    /// # Errors
    /// Why there are no credentials, or no address; one line, without any secret.
    pub fn open(self, proxy: Option<&str>) -> Result<Cluster, String> {
        let link = Link::new(self.config, proxy).map_err(|error| error.to_string())?;
        Ok(Cluster { client: Client::new(Arc::new(link)) })
    }
}

/// Something that may be asked of the API server. Empty texts: not limited to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub verb: &'static str,
    pub resource: &'static str,
    pub subresource: &'static str,
    pub namespace: &'static str,
}

/// What the API server says of an [`Access`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    Allowed,
    /// And why, where it says so.
    Denied(String),
    /// It could not be asked, and why.
    Unknown(String),
}

impl Cluster {
    /// `https://host[:port]`.
    pub fn server(&self) -> &str {
        &self.client.link.server
    }

    /// Until when the credentials are good, where they say so.
    pub fn expires(&self) -> Option<Timestamp> {
        self.client.link.expires()
    }

    /// The server's version, as `v1.36.3`.
    ///
    /// # Errors
    /// What it answered instead.
    pub fn version(&self) -> Result<String, Answer> {
        self.read(&Request::get("/version".to_owned())).map(|version| text(&version["gitVersion"]))
    }

    /// An answer as a tree: with shapes of their own, each of these rare requests would have a parser of its own in the
    /// program.
    fn read(&self, request: &Request) -> Result<Value, Answer> {
        self.client.read(request)
    }

    /// The own node's name and provider id, found as the daemon finds them.
    ///
    /// # Errors
    /// Why there is none; one line.
    pub fn node(&self, configured: Option<&str>) -> Result<(String, Option<String>), String> {
        match identify::find(&self.client, configured, None) {
            Ok(Found { name, provider_id }) => Ok((name, provider_id)),
            Err(Unusable::ForNow(why) | Unusable::Another(why)) => Err(why),
        }
    }

    /// The names of a node's labels.
    ///
    /// # Errors
    /// What was answered instead.
    pub fn labels(&self, node: &str) -> Result<Vec<String>, Answer> {
        let object = self.read(&Request::get(node_path(node)))?;
        let labels = object["metadata"]["labels"].as_object();
        Ok(labels.map(|labels| labels.keys().cloned().collect()).unwrap_or_default())
    }

    /// Whether these credentials may do that, as the authorizers see it; what admission forbids beyond that
    /// (NodeRestriction) is not in it. Of pods only those of `node` are meant.
    pub fn may(&self, access: &Access, node: &str) -> Permit {
        let api_version = "authorization.k8s.io/v1";
        let spec = json!({ "resourceAttributes": attributes(access, node) });
        let body = json!({ "apiVersion": api_version, "kind": "SelfSubjectAccessReview", "spec": spec });
        let path = format!("/apis/{api_version}/selfsubjectaccessreviews");
        match self.read(&Request::with_body(Method::POST, path, "application/json", body)) {
            Ok(review) if review["status"]["allowed"] == true => Permit::Allowed,
            Ok(review) => Permit::Denied(text(&review["status"]["reason"])),
            Err(answer) => Permit::Unknown(worded(answer)),
        }
    }

    /// Requests about this node and its pods, all of them dry runs, over connections of their own.
    pub fn dry(&self, node: &str) -> Api {
        Api::new(self.client.afresh(), node.to_owned(), true)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn attributes(access: &Access, node: &str) -> Value {
    let mut attributes = json!({ "verb": access.verb, "resource": access.resource, "version": "v1" });
    for (key, value) in [("subresource", access.subresource), ("namespace", access.namespace)] {
        if !value.is_empty() {
            attributes[key] = value.into();
        }
    }
    match (access.resource, access.verb) {
        ("nodes", _) => attributes["name"] = node.into(),
        // Since 1.32 a node may list its own pods alone; those before do not know the field and pass over it.
        ("pods", "list" | "watch") => {
            let own = json!({ "key": "spec.nodeName", "operator": "In", "values": [node] });
            attributes["fieldSelector"] = json!({ "requirements": [own] });
        }
        _ => {}
    }
    attributes
}

/// An answer in words.
pub fn worded(answer: Answer) -> String {
    match answer {
        Answer::Accepted => "accepted".to_owned(),
        Answer::Refused(refusal) => format!("the API server answered {}: {}", refusal.status, refusal.message),
        Answer::Nothing(why) => why,
    }
}

/// Whether the node is known to be another instance's; see [`node::is_another_instances`].
pub fn is_another_instances(provider_id: Option<&str>, instance_id: &str) -> bool {
    node::is_another_instances(provider_id, instance_id)
}

/// Whether the node says which EC2 instance it is.
pub fn names_an_instance(provider_id: Option<&str>) -> bool {
    node::names_an_instance(provider_id)
}

/// How long a kubelet with this configuration (YAML or JSON) gives pods when the machine goes off; `None` where the file
/// says nothing of that, or is no configuration.
pub fn shutdown_grace(text: &str) -> Option<Duration> {
    let root = yaml::read(text).ok()?;
    let seconds = |entry: &yaml::Yaml| match entry.at("shutdownGracePeriodSeconds") {
        yaml::Yaml::Text(seconds) => seconds.parse::<u64>().ok(),
        _ => None,
    };
    // Instead of the one below, not beside it (kubernetes/kubernetes `pkg/kubelet/apis/config/types.go`).
    if let yaml::Yaml::List(by_priority) = root.at("shutdownGracePeriodByPodPriority")
        && !by_priority.is_empty()
    {
        return Some(Duration::from_secs(by_priority.iter().filter_map(seconds).sum()));
    }
    match root.at("shutdownGracePeriod") {
        yaml::Yaml::Text(zero) if zero == "0" => Some(Duration::ZERO),
        yaml::Yaml::Text(text) => config::parse_duration(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_without_its_options() {
        let exec = |command: &str, arguments: &[&str]| {
            let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            let (api_version, environment) = ("client.authentication.k8s.io/v1".to_owned(), Vec::new());
            plugin(&Exec { api_version, command: command.into(), arguments, environment, with_cluster: false })
        };
        assert_eq!(exec("aws", &["eks", "get-token", "--cluster-name", "blue"]), "aws eks get-token");
        assert_eq!(exec("/usr/bin/aws-iam-authenticator", &["token", "-i", "blue"]), "aws-iam-authenticator token");
        assert_eq!(exec("/opt/get", &["S3CRET"]), "get");
    }

    #[test]
    fn what_is_asked_of_pods_is_asked_of_the_own_nodes() {
        let list = Access { verb: "list", resource: "pods", ..Access::default() };
        let own = json!({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n"]}]});
        assert_eq!(attributes(&list, "n")["fieldSelector"], own);
        let evict = Access { verb: "create", resource: "pods", subresource: "eviction", ..Access::default() };
        assert_eq!(
            attributes(&evict, "n"),
            json!({"verb": "create", "resource": "pods", "version": "v1", "subresource": "eviction"})
        );
    }

    #[test]
    fn the_kubelets_shutdown_grace_is_read_from_yaml_and_json() {
        for (text, grace) in [
            ("shutdownGracePeriod: 2m30s\n", Some(150)),
            (r#"{"shutdownGracePeriod": "45s", "kind": "KubeletConfiguration"}"#, Some(45)),
            ("shutdownGracePeriod: 0s", Some(0)),
            ("shutdownGracePeriod: 0", Some(0)),
            (
                "shutdownGracePeriodByPodPriority:\n- priority: 0\n  shutdownGracePeriodSeconds: 20\n- shutdownGracePeriodSeconds: 10",
                Some(30),
            ),
            ("kind: KubeletConfiguration", None),
            ("shutdownGracePeriod: soon", None),
            ("\t:", None),
        ] {
            assert_eq!(shutdown_grace(text), grace.map(Duration::from_secs), "{text}");
        }
    }
}
