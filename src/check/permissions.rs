//! What a response asks of the API server, and whether these credentials may.
//!
//! The authorizers are asked by reviews. What NodeRestriction forbids a kubelet beyond them no review tells: labels and
//! taints are tried, as dry runs.

use std::sync::Arc;
use std::time::Duration;

use super::finding::Finding;
use super::probe::{Probe, begin};
use crate::config;
use crate::kubernetes::look::{Access, Cluster, Permit, worded};
use crate::kubernetes::{Api, NodePatch};
use crate::objects::{Answer, Taint};

pub const NAME: &str = "permissions";

/// Something that a response does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// One word for it.
    pub word: &'static str,
    /// As the rules of a role name it.
    pub rule: &'static str,
    /// Without it no pod is stopped.
    pub vital: bool,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Review(Access),
    Label,
    Taints,
}

/// What a response with these settings needs.
pub fn needs(settings: &config::Kubernetes) -> Vec<Need> {
    let mut needs = vec![
        vital("read the node", "get nodes", access("get", "nodes", "")),
        vital("cordon", "patch nodes", access("patch", "nodes", "")),
        vital("list pods", "list pods", access("list", "pods", "")),
        vital("watch pods", "watch pods", access("watch", "pods", "")),
        vital("evict", "create pods/eviction", access("create", "pods", "eviction")),
        vital("delete", "delete pods", access("delete", "pods", "")),
        useful("mark pods as disrupted", "patch pods/status", Way::Review(access("patch", "pods", "status"))),
    ];
    let optional = [
        (settings.exclude_from_load_balancers, useful("label", "patch nodes (labels)", Way::Label)),
        (!settings.taints.is_empty(), useful("taint", "patch nodes (taints)", Way::Taints)),
        (
            settings.conditions,
            useful("condition", "patch nodes/status", Way::Review(access("patch", "nodes", "status"))),
        ),
        (settings.events, useful("events", "create events", Way::Review(events()))),
    ];
    needs.extend(optional.into_iter().filter(|(is_set, _)| *is_set).map(|(_, need)| need));
    needs
}

fn vital(word: &'static str, rule: &'static str, access: Access) -> Need {
    Need { word, rule, vital: true, way: Way::Review(access) }
}

fn useful(word: &'static str, rule: &'static str, way: Way) -> Need {
    Need { word, rule, vital: false, way }
}

fn access(verb: &'static str, resource: &'static str, subresource: &'static str) -> Access {
    Access { verb, resource, subresource, namespace: "" }
}

fn events() -> Access {
    Access { namespace: "default", ..access("create", "events", "") }
}

/// What is needed, each with the answer to come.
pub type Asked = Vec<(Need, Probe<Permit>)>;

/// Begins to ask for all of them at once.
pub fn ask(cluster: &Arc<Cluster>, node: &str, settings: &config::Kubernetes, limit: Duration) -> Asked {
    let begun = needs(settings).into_iter().map(|need| {
        let (cluster, node, taints, way) = (Arc::clone(cluster), node.to_owned(), settings.taints.clone(), need.way);
        let permit = move || match way {
            Way::Review(access) => cluster.may(&access, &node),
            Way::Label => tried(label(&cluster.dry(&node))),
            Way::Taints => tried(taint(&cluster.dry(&node), &taints)),
        };
        (need, begin(limit, permit))
    });
    begun.collect()
}

/// The answers, when their time is over at the latest.
pub fn answers(asked: Asked) -> Vec<(Need, Permit)> {
    let late = || Permit::Unknown("no answer in time".to_owned());
    asked.into_iter().map(|(need, probe)| (need, probe.end().unwrap_or_else(late))).collect()
}

fn label(dry: &Api) -> Answer {
    let patch = NodePatch { exclude: Some(true), ..NodePatch::default() };
    dry.patch_node(&patch).map_or_else(|answer| answer, |_| Answer::Accepted)
}

fn taint(dry: &Api, taints: &[Taint]) -> Answer {
    match dry.read_node() {
        Ok(node) => dry.add_taints(&node, taints),
        Err(answer) => answer,
    }
}

fn tried(answer: Answer) -> Permit {
    match answer {
        Answer::Accepted => Permit::Allowed,
        Answer::Refused(refusal) if refusal.status == 403 => Permit::Denied(refusal.message),
        answer => Permit::Unknown(worded(answer)),
    }
}

pub fn verdict(answers: &[(Need, Permit)]) -> Finding {
    let missing: Vec<_> = answers.iter().filter(|(_, permit)| *permit != Permit::Allowed).collect();
    if missing.is_empty() {
        let words: Vec<&str> = answers.iter().map(|(need, _)| need.word).collect();
        return Finding::ok(NAME, words.join(", "));
    }
    let is_vital = missing.iter().any(|(need, permit)| need.vital && matches!(permit, Permit::Denied(_)));
    let seen = format!("{} of {} missing", missing.len(), answers.len());
    let mut finding = if is_vital { Finding::failure(NAME, seen) } else { Finding::warning(NAME, seen) };
    for (need, permit) in &missing {
        let words = match permit {
            Permit::Denied(why) if why.is_empty() => "not allowed".to_owned(),
            Permit::Denied(why) => format!("not allowed: {why}"),
            Permit::Unknown(why) => format!("not known: {why}"),
            Permit::Allowed => String::new(),
        };
        finding = finding.detail(need.rule, words);
    }
    if missing.iter().any(|(need, _)| need.way == Way::Taints) {
        finding =
            finding.advise("a kubelet may not set taints: leave kubernetes.taints empty, or give another kubeconfig");
    }
    finding.advise("a kubelet may do all else; to another kubeconfig's user give a role with what is missing")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use crate::config::{Files, Flags, Sources};

    fn settings() -> config::Kubernetes {
        let sources =
            Sources { files: Files::Places("/nonexistent".into()), environment: vec![], flags: Flags::default() };
        config::load(&sources).settings.kubernetes
    }

    #[test]
    fn only_what_stops_pods_is_vital() {
        let answers = |denied: &str| -> Vec<(Need, Permit)> {
            let permit =
                |need: &Need| if need.rule == denied { Permit::Denied("no".to_owned()) } else { Permit::Allowed };
            needs(&settings()).into_iter().map(|need| (need.clone(), permit(&need))).collect()
        };
        for (denied, result) in [
            ("", Verdict::Ok),
            ("get nodes", Verdict::Failure),
            ("patch nodes", Verdict::Failure),
            ("list pods", Verdict::Failure),
            ("watch pods", Verdict::Failure),
            ("create pods/eviction", Verdict::Failure),
            ("delete pods", Verdict::Failure),
            ("patch pods/status", Verdict::Warning),
            ("patch nodes (labels)", Verdict::Warning),
            ("patch nodes/status", Verdict::Warning),
            ("create events", Verdict::Warning),
        ] {
            let found = verdict(&answers(denied));
            assert_eq!(found.result, result, "{denied}: {found:?}");
            assert!(denied.is_empty() || found.details[0].name == denied);
        }
    }

    #[test]
    fn what_could_not_be_asked_is_no_failure_by_itself() {
        let unknown = |need: Need| (need, Permit::Unknown("no answer".to_owned()));
        let answers: Vec<_> = needs(&settings()).into_iter().map(unknown).collect();
        assert_eq!(verdict(&answers).result, Verdict::Warning);
    }

    #[test]
    fn what_is_switched_off_is_not_needed() {
        let off =
            config::Kubernetes { exclude_from_load_balancers: false, conditions: false, events: false, ..settings() };
        assert!(needs(&off).iter().all(|need| !["label", "taint", "condition", "events"].contains(&need.word)));
    }
}
