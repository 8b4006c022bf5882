//! From the metadata service to the pods: each step needs the one before it.

use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;

use super::finding::Finding;
use super::probe::{Probe, begin};
use super::{METADATA, kubeconfig, metadata, node, others, permissions, pods, server};
use crate::config::{Mode, Settings};
use crate::imds;
use crate::kubernetes::look::{Cluster, NoKubeconfig};
use crate::moment::{Moment, Timestamp};

/// How long each step may take, in seconds, as long as the whole check has that. A credential plugin is given 10 s, and is
/// ended then.
const KUBECONFIG: u64 = 11;
const SERVER: u64 = 4;
const NODE: u64 = 3;
const LAST: u64 = 4;

/// What is spared of [`LAST`], so that what was seen until then is told.
const TELLING: Duration = Duration::from_millis(300);

/// All checks that are about the metadata service, which is being asked, and about the cluster.
pub fn look(settings: &Settings, metadata: Probe<Result<metadata::Facts, imds::Error>>, by: Moment) -> Vec<Finding> {
    let configured = settings.kubernetes.clone();
    let has_cluster = configured.mode != Mode::Off;
    let opened = has_cluster.then(|| begin(Duration::from_secs(KUBECONFIG), move || kubeconfig::open(&configured)));
    let (mut findings, instance) = identify(metadata.end());
    match opened {
        Some(opened) => findings.extend(cluster(settings, opened.end(), instance.as_deref(), by)),
        None => findings.push(Finding::ok(kubeconfig::NAME, "not needed: kubernetes.mode is off")),
    }
    findings
}

/// What the metadata service said, and which instance this is by that.
fn identify(answer: Option<Result<metadata::Facts, imds::Error>>) -> (Vec<Finding>, Option<String>) {
    let Some(answer) = answer else {
        let late = Finding::late(metadata::NAME, METADATA);
        return (vec![late, Finding::skipped(metadata::CLOCK, "the metadata service")], None);
    };
    let clock = match &answer {
        Ok(facts) => metadata::clock(facts),
        Err(_) => Finding::skipped(metadata::CLOCK, "the metadata service"),
    };
    (vec![metadata::verdict(&answer), clock], answer.ok().and_then(|facts| facts.instance.id))
}

type Opened = Result<(kubeconfig::Facts, Option<Cluster>), NoKubeconfig>;

fn cluster(settings: &Settings, opened: Option<Opened>, instance: Option<&str>, by: Moment) -> Vec<Finding> {
    let (found, cluster) = match opened {
        None => (Finding::late(kubeconfig::NAME, KUBECONFIG), None),
        Some(Err(why)) => {
            let found = kubeconfig::none(&why, settings.kubernetes.mode, geteuid().is_root());
            let is_none = matches!(why, NoKubeconfig::Nowhere(_)) && settings.kubernetes.mode == Mode::Auto;
            if is_none {
                return vec![found];
            }
            (found, None)
        }
        Some(Ok((facts, cluster))) => (kubeconfig::verdict(&facts, Timestamp::now()), cluster),
    };
    let rest = match cluster {
        Some(cluster) => of_server(settings, Arc::new(cluster), instance, by),
        None => skip(&[server::NAME, node::NAME, permissions::NAME, others::NAME, pods::NAME], "credentials"),
    };
    [found].into_iter().chain(rest).collect()
}

fn of_server(settings: &Settings, cluster: Arc<Cluster>, instance: Option<&str>, by: Moment) -> Vec<Finding> {
    let asked = Arc::clone(&cluster);
    let answer = within(SERVER, by, move || server::ask(&asked)).end();
    let found = answer.as_ref().map_or_else(
        || {
            Finding::late(server::NAME, SERVER)
                .advise(format!("from this machine: curl -k {}/version", cluster.server()))
        },
        |answer| server::verdict(answer, cluster.server()),
    );
    let rest = match answer {
        Some(Ok(_)) => of_node(settings, cluster, instance, by),
        _ => skip(&[node::NAME, permissions::NAME, others::NAME, pods::NAME], "the API server"),
    };
    [found].into_iter().chain(rest).collect()
}

fn of_node(settings: &Settings, cluster: Arc<Cluster>, instance: Option<&str>, by: Moment) -> Vec<Finding> {
    let (asked, configured) = (Arc::clone(&cluster), settings.kubernetes.node_name.clone());
    let answer = within(NODE, by, move || asked.node(configured.as_deref())).end();
    let found =
        answer.as_ref().map_or_else(|| Finding::late(node::NAME, NODE), |answer| node::verdict(answer, instance));
    let rest = match answer {
        Some(Ok((name, _))) => of_pods(settings, &cluster, &name, by),
        _ => skip(&[permissions::NAME, others::NAME, pods::NAME], "the node"),
    };
    [found].into_iter().chain(rest).collect()
}

/// The last steps need nothing of each other.
fn of_pods(settings: &Settings, cluster: &Arc<Cluster>, name: &str, by: Moment) -> Vec<Finding> {
    let limit = Duration::from_secs(LAST).min(Moment::now().until(by));
    let permits = permissions::ask(cluster, name, &settings.kubernetes, limit);
    let (asked, node) = (Arc::clone(cluster), name.to_owned());
    let labels = within(LAST, by, move || asked.labels(&node));
    let (asked, node, drain) = (Arc::clone(cluster), name.to_owned(), settings.drain.clone());
    let told_by = Moment::now() + limit - TELLING;
    let crowd = within(LAST, by, move || {
        pods::list(&asked, &node, told_by).map(|pods| pods::ask(&asked, &node, pods, &drain, told_by))
    });

    let permits = permissions::verdict(&permissions::answers(permits));
    let labels = labels.end().and_then(Result::ok).unwrap_or_default();
    let crowd = crowd.end().unwrap_or_else(|| Err(format!("nothing came back within {LAST} s")));
    let rest = match crowd {
        Ok(facts) => vec![others::verdict(&facts.pods, &labels), pods::verdict(&facts, &settings.drain)],
        Err(why) => vec![
            Finding::skipped(others::NAME, "the list of pods"),
            Finding::failure(pods::NAME, why).advise("see permissions: a response lists and watches the node's pods"),
        ],
    };
    [permits].into_iter().chain(rest).collect()
}

/// Begins to look, for so many seconds, but not beyond the end of it all.
fn within<T: Send + 'static>(seconds: u64, by: Moment, look: impl FnOnce() -> T + Send + 'static) -> Probe<T> {
    begin(Duration::from_secs(seconds).min(Moment::now().until(by)), look)
}

fn skip(checks: &[&'static str], needs: &str) -> Vec<Finding> {
    checks.iter().map(|check| Finding::skipped(check, needs)).collect()
}
