//! What a rehearsal comes to, in words: of a pod, and of all.

use super::plan::{Plan, PodPlan};
use super::world::Known;
use crate::config::{Force, Reaction};
use crate::hooks::Phase;
use crate::record::{Outcome, PodWritten};

/// How many pods are named.
const NAMED: usize = 3;

/// Why it ends so with a pod, where there is more to say than that it goes.
pub fn reason(pod: &PodWritten, outcome: Outcome, known: Option<&Known>) -> Option<String> {
    let asked = known.and_then(|known| known.asked).map(|(_, grace)| grace.as_secs());
    let own = known.map_or(pod.grace_seconds, |known| known.pod.grace.as_secs());
    let refused = pod.reason.clone();
    match (outcome, asked) {
        (Outcome::Killed, Some(asked)) if pod.capped && asked == pod.grace_seconds => {
            Some(format!("drain.grace-period-limit cuts its grace period of {own} s to {asked} s"))
        }
        (Outcome::Killed, Some(asked)) => Some(format!("its grace period of {own} s does not fit: {asked} s are left")),
        (Outcome::Left, None) if known.is_some_and(|known| known.pod.stopping) => {
            Some(format!("somebody has asked it to stop already; its grace period of {own} s may end too late"))
        }
        (Outcome::Left, _) if pod.locally_at.is_some() => {
            let refused = refused.map(|why| format!("{why}; ")).unwrap_or_default();
            Some(format!("{refused}local-drain.d would stop it on this machine itself"))
        }
        (Outcome::Left, _) if refused.is_none() => Some("the API server was not heard to let it go".to_owned()),
        _ => refused,
    }
}

/// What a person should know of how far the plan is to be trusted.
pub fn notes(plan: &Plan, force: Force) -> Vec<String> {
    let mut notes = Vec::new();
    if !plan.budgets_known && may_share_a_budget(plan) {
        let later = match force {
            Force::AtForceTime => "let go later, at their force time at worst",
            Force::Never => "let go later, or never",
        };
        notes.push(format!(
            "each pod was asked as if it were the only one, and these credentials may not read budgets: pods that \
             share one may be {later}"
        ));
    }
    notes
}

/// Whether some pods that were let go are in one namespace, as those of one budget are.
fn may_share_a_budget(plan: &Plan) -> bool {
    let is_let_go = |pod: &&PodPlan| !pod.forced && pod.asked_seconds.is_some();
    let is_not_alone = |one: &PodPlan| {
        let there = plan.pods.iter().filter(is_let_go).filter(|other| other.namespace == one.namespace);
        there.count() > 1
    };
    plan.pods.iter().filter(is_let_go).any(is_not_alone)
}

/// What it comes to, and whether every pod would stop gracefully.
pub fn of(plan: &Plan) -> (String, bool) {
    let kind = plan.notice.name();
    match plan.response {
        Reaction::Ignore | Reaction::Observe => {
            let action = plan.response.name();
            let tells = plan.hooks.iter().any(|hook| hook.phase == Phase::Notice);
            let but = if tells { "but the hooks of notice.d" } else { "to the node or its pods" };
            (format!("nothing would be done {but}: responses.{kind}.action is {action}"), true)
        }
        Reaction::Cordon if plan.cordoned_seconds.is_some() => {
            (format!("the node would be cordoned and no pod asked: responses.{kind}.action is cordon"), true)
        }
        _ => match plan.kubernetes.state.as_str() {
            "none" => without_cluster(plan),
            "ready" if plan.pods_asked_seconds.is_some() => drain(plan),
            _ => (without_api_server(plan), false),
        },
    }
}

fn without_cluster(plan: &Plan) -> (String, bool) {
    let hooks = plan.hooks.iter().filter(|hook| hook.starts_seconds.is_some()).count();
    let end = |who| ends(who, spare(plan, plan.ended_seconds));
    let what = match hooks {
        0 => "no hook would run".to_owned(),
        1 => format!("1 hook would run; {}", end("it would end")),
        count => format!("{count} hooks would run; {}", end("they would end")),
    };
    if plan.node_is_another_instances() {
        return (format!("the node is another instance's, so no pod of it would be asked to stop: {what}"), false);
    }
    (format!("no cluster: {what}"), true)
}

fn without_api_server(plan: &Plan) -> String {
    let locally = plan.hooks.iter().any(|hook| hook.phase == Phase::LocalDrain && hook.starts_seconds.is_some());
    let what = match (plan.response, locally) {
        (Reaction::Cordon, _) => "the node could not be cordoned",
        (_, true) => {
            "which pods there are is not known; local-drain.d would stop each on this machine itself, at its own last \
             moment"
        }
        (_, false) => "no pod would be stopped, as there is no hook in local-drain.d either",
    };
    let why = plan.kubernetes.why.as_deref().or(plan.errors.first().map(String::as_str));
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    format!("the API server would not help{why}: {what}")
}

fn drain(plan: &Plan) -> (String, bool) {
    let mut parts = vec![graceful(plan)];
    for (outcome, locally, what) in [
        (Outcome::Killed, false, "would be cut"),
        (Outcome::Left, true, "would be stopped by local-drain.d on this machine itself"),
        (Outcome::Left, false, "would be left"),
    ] {
        let is = |pod: &&PodPlan| {
            let is_left_to_hooks = pod.outcome == Outcome::Left && pod.locally_seconds.is_some();
            pod.outcome == outcome && is_left_to_hooks == locally
        };
        let pods: Vec<&PodPlan> = plan.pods.iter().filter(is).collect();
        if !pods.is_empty() {
            parts.push(format!("{} {what}: {}", pods.len(), names(&pods)));
        }
    }
    let end = match plan.left {
        0 => ends("the drain would end", spare(plan, plan.drained_seconds)),
        _ => "not all would be seen to be gone before the deadline".to_owned(),
    };
    (format!("{}; {end}", parts.join(", ")), plan.killed + plan.left == 0)
}

fn graceful(plan: &Plan) -> String {
    let forced = plan.pods.iter().filter(|pod| pod.forced && pod.outcome == Outcome::Graceful).count();
    let forced = if forced > 0 { format!(" ({forced} of them forced past a budget)") } else { String::new() };
    match plan.graceful {
        0 if plan.pods.is_empty() => "no pod is to stop".to_owned(),
        1 => format!("1 pod would stop gracefully{forced}"),
        count => format!("{count} pods would stop gracefully{forced}"),
    }
}

/// What is left of the window then.
fn spare(plan: &Plan, then: Option<f64>) -> Option<f64> {
    plan.window_seconds.zip(then).map(|(window, then)| window - then)
}

fn ends(what: &str, spare: Option<f64>) -> String {
    match spare {
        Some(spare) => format!("{what} at the latest {spare:.0} s before the deadline"),
        None => format!("{what} at the deadline"),
    }
}

/// The first of them, and how many more there are.
fn names(pods: &[&PodPlan]) -> String {
    let mut names: Vec<String> = pods.iter().take(NAMED).map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
    if pods.len() > names.len() {
        names.push(format!("{} more", pods.len() - names.len()));
    }
    names.join(", ")
}
