//! The pods of this node: which of them a Spot interruption now would cut, hold up behind a budget, or lose for good.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::finding::{Detail, Finding};
use super::probe::{Probe, begin};
use crate::config;
use crate::kubernetes::look::{Cluster, worded};
use crate::kubernetes::{Api, PodNews, WatchEnd};
use crate::moment::Moment;
use crate::objects::{Answer, Pod, PodId};
use crate::response::plan::{Role, drain_end, force_time, role};

pub const NAME: &str = "pods";

/// What a Spot interruption gives.
const WINDOW: Duration = Duration::from_secs(120);

/// How many pods are asked about at a time, and how many at all.
const AT_A_TIME: usize = 8;
const MOST: usize = 200;

/// How many are named.
const NAMED: usize = 10;

/// What is on the node, and what its budgets say now.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub pods: Vec<Pod>,
    /// What a dry-run eviction of a pod, by its place in `pods`, was answered with.
    pub answers: Vec<(usize, Answer)>,
    /// How many were not asked about: there were too many, or the time was over.
    pub unasked: usize,
}

/// Lists the node's pods.
///
/// # Errors
/// Why that is not possible, or was not within the time.
pub fn list(cluster: &Cluster, node: &str, by: Moment) -> Result<Vec<Pod>, String> {
    let (mut pods, mut is_whole) = (Vec::new(), false);
    let end = cluster.dry(node).watch_pods(&mut |news| {
        match news {
            PodNews::Seen(pod) => pods.push(pod),
            PodNews::Synced => is_whole = true,
            PodNews::Gone(_) | PodNews::Quiet => {}
        }
        !is_whole && Moment::now() < by
    });
    match end {
        _ if is_whole => Ok(pods),
        WatchEnd::Refused(refusal) => Err(worded(Answer::Refused(refusal))),
        WatchEnd::Nothing(why) => Err(why),
        WatchEnd::Ended | WatchEnd::Closed => Err("the list of pods did not come to its end".to_owned()),
    }
}

/// Asks, as dry runs, whether each pod that is to stop might be evicted now.
pub fn ask(cluster: &Cluster, node: &str, pods: Vec<Pod>, settings: &config::Drain, by: Moment) -> Facts {
    let is_asked = |pod: &Pod| settings.respect_budgets && stops(pod, settings) && !pod.stopping;
    let due: Vec<(usize, PodId)> =
        pods.iter().enumerate().filter(|(_, pod)| is_asked(pod)).map(|(place, pod)| (place, pod.id.clone())).collect();
    let all = due.len();
    let asking = Arc::new(Asking { due: Mutex::new(due.into_iter().take(MOST).collect()), answers: Mutex::default() });
    let api = Arc::new(cluster.dry(node));
    let limit = Moment::now().until(by);
    let askers: Vec<Probe<()>> = (0..AT_A_TIME.min(all))
        .map(|_| {
            let (asking, api) = (Arc::clone(&asking), Arc::clone(&api));
            begin(limit, move || asking.go_on(&api, by))
        })
        .collect();
    // What one of them still waits for is not asked; what the others had answered counts.
    for asker in askers {
        asker.end();
    }
    let answers = std::mem::take(&mut *held(&asking.answers));
    Facts { unasked: all - answers.len(), pods, answers }
}

/// What those who ask share.
struct Asking {
    due: Mutex<Vec<(usize, PodId)>>,
    answers: Mutex<Vec<(usize, Answer)>>,
}

impl Asking {
    fn go_on(&self, api: &Api, by: Moment) {
        while Moment::now() < by {
            let Some((place, pod)) = held(&self.due).pop() else { return };
            let answer = api.evict(&pod, None);
            held(&self.answers).push((place, answer));
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stops(pod: &Pod, settings: &config::Drain) -> bool {
    role(pod, settings.skip.as_ref()) == Role::Stops
}

/// Something about a pod that an operator should know before a notice comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Grace,
    Budget,
    Refused,
    Bare,
}

pub fn verdict(facts: &Facts, settings: &config::Drain) -> Finding {
    let to_stop: Vec<(usize, &Pod)> = facts.pods.iter().enumerate().filter(|(_, pod)| stops(pod, settings)).collect();
    let mut kinds = Vec::new();
    let mut details = Vec::new();
    for (place, pod) in &to_stop {
        let answer = facts.answers.iter().find(|(of, _)| of == place).map(|(_, answer)| answer);
        let troubles = troubles(pod, answer, settings);
        if !troubles.is_empty() {
            let words: Vec<&str> = troubles.iter().map(|(_, words)| words.as_str()).collect();
            let name = format!("{}/{}", pod.id.namespace, pod.id.name);
            details.push(Detail { name, words: words.join("; ") });
            kinds.extend(troubles.into_iter().map(|(kind, _)| kind));
        }
    }
    if details.is_empty() {
        return Finding::ok(NAME, well(&to_stop, facts));
    }
    let mut finding = Finding::warning(
        NAME,
        format!("{} of {} would not end well now{}", details.len(), to_stop.len(), unasked(facts)),
    );
    let more = details.len().saturating_sub(NAMED);
    finding.details = details.into_iter().take(NAMED).collect();
    if more > 0 {
        finding = finding.detail("", format!("and {more} more"));
    }
    finding.advice = advice(&kinds);
    finding
}

fn well(to_stop: &[(usize, &Pod)], facts: &Facts) -> String {
    let stay = facts.pods.len() - to_stop.len();
    let local = to_stop.iter().filter(|(_, pod)| pod.local_data).count();
    let local =
        if local > 0 { format!(", {local} of them with data in emptyDir that goes with it") } else { String::new() };
    format!("{} to stop{local}, {stay} stay; all fit into two minutes{}", to_stop.len(), unasked(facts))
}

fn unasked(facts: &Facts) -> String {
    if facts.unasked > 0 { format!("; the budgets of {} were not asked", facts.unasked) } else { String::new() }
}

fn troubles(pod: &Pod, answer: Option<&Answer>, settings: &config::Drain) -> Vec<(Trouble, String)> {
    let mut troubles = Vec::new();
    let grace = settings.grace_period_limit.map_or(pod.grace, |limit| limit.min(pod.grace));
    // As if the notice came at this moment, whichever that is.
    let now = Moment::after_boot(Duration::from_secs(1_000_000));
    if force_time(grace, drain_end(now + WINDOW)) < now {
        troubles.push((Trouble::Grace, format!("grace period of {} s", pod.grace.as_secs())));
    }
    match answer {
        Some(Answer::Refused(refusal)) if refusal.causes.iter().any(|cause| cause == "DisruptionBudget") => {
            let budget = budget(&refusal.message, &pod.id.namespace);
            troubles.push((Trouble::Budget, format!("{budget} allows no disruption now")));
        }
        Some(Answer::Refused(refusal)) if refusal.status == 500 && refusal.message.contains("PodDisruptionBudget") => {
            troubles.push((Trouble::Budget, "more than one budget: none lets it go".to_owned()));
        }
        // It is gone; or the API server was asked too much, which says nothing of the pod.
        Some(Answer::Refused(refusal)) if matches!(refusal.status, 404 | 409 | 429) => {}
        Some(Answer::Refused(refusal)) => {
            troubles.push((Trouble::Refused, format!("{} {}", refusal.status, refusal.message)))
        }
        Some(Answer::Nothing(why)) => troubles.push((Trouble::Refused, why.clone())),
        Some(Answer::Accepted) | None => {}
    }
    if pod.bare {
        troubles.push((Trouble::Bare, "no controller: nothing makes another".to_owned()));
    }
    troubles
}

/// The budget that a refusal names (kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`).
fn budget(message: &str, namespace: &str) -> String {
    let named = message.split_once("The disruption budget ").and_then(|(_, rest)| rest.split_whitespace().next());
    named.map_or_else(|| "its budget".to_owned(), |name| format!("budget {namespace}/{name}"))
}

fn advice(kinds: &[Trouble]) -> Vec<String> {
    let mut advice = Vec::new();
    for (kind, words) in [
        (Trouble::Grace, "a longer grace period than 117 s is cut to what is left"),
        (Trouble::Budget, "a budget is waited for, then passed over at the pod's last moment: more replicas open it"),
        (Trouble::Bare, "a bare pod is stopped gracefully and lost: make it by a Deployment, StatefulSet or Job"),
    ] {
        if kinds.contains(&kind) {
            advice.push(words.to_owned());
        }
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use crate::config::{Files, Flags, Sources};
    use crate::objects::Refusal;

    fn settings() -> config::Drain {
        let sources =
            Sources { files: Files::Places("/nonexistent".into()), environment: vec![], flags: Flags::default() };
        config::load(&sources).settings.drain
    }

    fn pod(name: &str) -> Pod {
        Pod {
            id: PodId { namespace: "web".into(), name: name.into(), uid: name.into() },
            priority: 0,
            grace: Duration::from_secs(30),
            labels: [].into(),
            mirror: false,
            daemon_set: false,
            finished: false,
            stopping: false,
            cut: false,
            claims: Vec::new(),
            bare: false,
            local_data: false,
        }
    }

    fn refused(status: u16, message: &str, causes: &[&str]) -> Answer {
        let causes = causes.iter().map(|cause| (*cause).to_owned()).collect();
        Answer::Refused(Refusal { status, message: message.into(), causes, retry_after: None })
    }

    fn words(pod: Pod, answer: Option<Answer>) -> String {
        let facts =
            Facts { pods: vec![pod], answers: answer.map(|answer| (0, answer)).into_iter().collect(), unasked: 0 };
        let found = verdict(&facts, &settings());
        assert_eq!(found.result == Verdict::Ok, found.details.is_empty());
        found.details.first().map(|detail| detail.words.clone()).unwrap_or_default()
    }

    #[test]
    fn what_would_not_end_well_is_told() {
        let grace = |seconds| Pod { grace: Duration::from_secs(seconds), ..pod("a") };
        assert_eq!(words(pod("a"), Some(Answer::Accepted)), "");
        assert_eq!(words(grace(117), None), "");
        assert_eq!(words(grace(118), None), "grace period of 118 s");
        assert_eq!(words(Pod { bare: true, ..pod("a") }, None), "no controller: nothing makes another");
        assert_eq!(
            words(pod("a"), Some(refused(429, "m", &["DisruptionBudget"]))),
            "its budget allows no disruption now"
        );
        let closed = "Cannot evict pod. The disruption budget api needs 1 healthy pods and has 1 currently";
        let named = "budget web/api allows no disruption now";
        assert_eq!(words(pod("a"), Some(refused(429, closed, &["DisruptionBudget"]))), named);
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        assert_eq!(words(pod("a"), Some(refused(500, two, &[]))), "more than one budget: none lets it go");
        assert_eq!(words(pod("a"), Some(refused(403, "no", &[]))), "403 no");
        for gone_or_busy in [404, 409, 429] {
            assert_eq!(words(pod("a"), Some(refused(gone_or_busy, "m", &[]))), "");
        }
    }

    #[test]
    fn a_cap_makes_a_long_grace_fit() {
        let facts = Facts { pods: vec![Pod { grace: Duration::from_secs(300), ..pod("a") }], ..Facts::default() };
        let capped = config::Drain { grace_period_limit: Some(Duration::from_secs(60)), ..settings() };
        assert_eq!(verdict(&facts, &capped).result, Verdict::Ok);
        assert_eq!(verdict(&facts, &settings()).result, Verdict::Warning);
    }

    #[test]
    fn pods_that_stay_are_no_trouble() {
        let bare = || Pod { bare: true, grace: Duration::from_secs(900), ..pod("a") };
        let pods =
            vec![Pod { daemon_set: true, ..bare() }, Pod { mirror: true, ..bare() }, Pod { finished: true, ..bare() }];
        let found = verdict(&Facts { pods, ..Facts::default() }, &settings());
        assert_eq!((found.result, found.seen.as_str()), (Verdict::Ok, "0 to stop, 3 stay; all fit into two minutes"));
    }

    #[test]
    fn of_many_some_are_named() {
        let pods = (0..25).map(|number| Pod { bare: true, ..pod(&number.to_string()) }).collect();
        let found = verdict(&Facts { pods, ..Facts::default() }, &settings());
        assert_eq!((found.details.len(), found.details[10].words.as_str()), (11, "and 15 more"));
    }
}
