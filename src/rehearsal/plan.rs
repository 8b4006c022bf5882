//! What a rehearsal found: the plan in time, as one object.

use std::time::Duration;

use serde::Serialize;

use super::verdict;
use super::world::{Known, World};
use crate::config::{Reaction, Settings};
use crate::hooks::{Found, Phase};
use crate::kubernetes::is_of_another;
use crate::moment::Timestamp;
use crate::notice::{InstanceAction, Kind};
use crate::objects::Standing;
use crate::observe::status::Kubernetes;
use crate::record::{HookWritten, Outcome, PhaseName, PodWritten, Record};
use crate::response::plan::{self, Role};

/// The version of this object.
const VERSION: u32 = 1;

/// What a notice now would do. Times are seconds from its first sight; what is not asked of anybody is as at worst.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub version: u32,
    pub notice: Kind,
    pub action: InstanceAction,
    /// What the settings of that kind say is to be done.
    pub response: Reaction,
    /// From first sight to the deadline; absent where nothing would be done.
    pub window_seconds: Option<f64>,
    pub kubernetes: Kubernetes,
    /// Pods that share a budget were known to.
    pub budgets_known: bool,
    pub cordoned_seconds: Option<f64>,
    /// The label that keeps load balancers away would be set.
    pub out_of_load_balancers: bool,
    pub pods_asked_seconds: Option<f64>,
    /// When all pods are gone.
    pub drained_seconds: Option<f64>,
    pub ended_seconds: Option<f64>,
    /// The hooks were run.
    pub hooks_run: bool,
    pub hooks: Vec<HookPlan>,
    pub hooks_refused: Vec<RefusedHook>,
    pub pods: Vec<PodPlan>,
    pub stay: Vec<Staying>,
    pub graceful: usize,
    pub killed: usize,
    pub left: usize,
    /// What this plan cannot know.
    pub notes: Vec<String>,
    pub errors: Vec<String>,
    pub verdict: String,
    /// Every pod that is to stop would stop gracefully.
    pub ready: bool,
}

/// A hook that would run, or was run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookPlan {
    pub phase: Phase,
    pub name: String,
    /// `start` or `end`, for local-drain.
    pub argument: Option<String>,
    /// Absent where it would not be started.
    pub starts_seconds: Option<f64>,
    pub ends_seconds: Option<f64>,
    /// Why it would not be started, or how it failed.
    pub trouble: Option<String>,
    /// The end of what it said, where it was run.
    pub output: String,
}

/// A file among the hooks that may not run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RefusedHook {
    pub phase: Phase,
    pub name: String,
    pub reason: String,
}

/// A pod that is to stop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodPlan {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub priority: i32,
    /// Its own.
    pub grace_seconds: u64,
    /// The last moment at which it can be asked and still have its grace; absent where that has passed at first sight.
    pub force_time_seconds: Option<f64>,
    /// When it is let go; absent if never.
    pub asked_seconds: Option<f64>,
    /// With what grace it is asked.
    pub asked_grace_seconds: Option<u64>,
    /// By a DELETE that passes over its budget.
    pub forced: bool,
    /// When hooks of local-drain would stop it on this machine itself, if they would.
    pub locally_seconds: Option<f64>,
    pub gone_seconds: Option<f64>,
    pub outcome: Outcome,
    pub reason: Option<String>,
}

/// A pod that stays.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Staying {
    pub namespace: String,
    pub name: String,
    /// `DaemonSet`, `static`, `skipped` or `finished`.
    pub why: &'static str,
}

/// What a plan is made of.
pub struct Seen<'a> {
    pub standing: &'a Standing,
    pub found: &'a Found,
    pub world: &'a World,
    /// The dry run of the cordon was accepted.
    pub cordoned: bool,
    /// The last record of the response, if there was one.
    pub record: Option<&'a Record>,
    pub run_hooks: bool,
}

impl Plan {
    pub fn of(settings: &Settings, kind: Kind, seen: &Seen) -> Plan {
        let refused = seen.found.refused.iter();
        let mut plan = Plan {
            version: VERSION,
            notice: kind,
            action: InstanceAction::None,
            response: settings.responses.of(kind).reaction,
            window_seconds: None,
            kubernetes: Kubernetes::of(seen.standing, settings.kubernetes.mode),
            budgets_known: seen.world.knows_budgets(),
            cordoned_seconds: None,
            out_of_load_balancers: false,
            pods_asked_seconds: None,
            drained_seconds: None,
            ended_seconds: None,
            hooks_run: seen.run_hooks,
            hooks: Vec::new(),
            hooks_refused: refused
                .map(|hook| RefusedHook { phase: hook.phase, name: hook.name.clone(), reason: hook.reason.clone() })
                .collect(),
            pods: Vec::new(),
            stay: seen.world.pods().iter().filter_map(|known| staying(known, settings)).collect(),
            graceful: 0,
            killed: 0,
            left: 0,
            notes: Vec::new(),
            errors: Vec::new(),
            verdict: String::new(),
            ready: false,
        };
        if let Some(record) = seen.record {
            plan.take(record, seen);
        }
        let count = |outcome| plan.pods.iter().filter(|pod| pod.outcome == outcome).count();
        (plan.graceful, plan.killed, plan.left) =
            (count(Outcome::Graceful), count(Outcome::Killed), count(Outcome::Left));
        plan.notes = verdict::notes(&plan, settings.responses.of(kind).force);
        (plan.verdict, plan.ready) = verdict::of(&plan);
        plan
    }

    /// There is a cluster, and the node by which this machine goes there is not its own.
    pub fn node_is_another_instances(&self) -> bool {
        self.kubernetes.state == "none" && self.kubernetes.why.as_deref().is_some_and(is_of_another)
    }

    fn take(&mut self, record: &Record, seen: &Seen) {
        let since = |time: Timestamp| seconds(record, time);
        let phase = |name| record.phases.iter().find(|phase| phase.name == name);
        self.action = record.notice.action;
        self.window_seconds = Some(since(record.deadline));
        self.cordoned_seconds = record.node.settled_at.filter(|_| seen.cordoned).map(since);
        self.out_of_load_balancers = record.node.labelled_by_us;
        self.pods_asked_seconds = phase(PhaseName::Drain).map(|phase| since(phase.started_at));
        self.drained_seconds = phase(PhaseName::Drain).and_then(|phase| phase.ended_at).map(since);
        self.ended_seconds = phase(PhaseName::Done).map(|phase| since(phase.started_at));
        self.hooks = record.hooks.iter().map(|hook| hook_plan(record, hook)).collect();
        self.errors.clone_from(&record.errors);
        if let (Standing::Ready { .. }, Some(why)) = (seen.standing, seen.world.silence()) {
            let error = format!("the API server answers no more: {why}; the rest is rehearsed without it");
            self.errors.insert(0, error);
        }
        let known = |pod: &PodWritten| seen.world.pods().iter().find(|known| known.pod.id.uid == pod.uid);
        self.pods = record.pods.iter().map(|pod| pod_plan(record, pod, known(pod))).collect();
    }
}

/// From first sight to that time, to the millisecond.
fn seconds(record: &Record, time: Timestamp) -> f64 {
    time.later_than(record.notice.first_seen).unwrap_or_default().as_secs_f64()
}

fn hook_plan(record: &Record, hook: &HookWritten) -> HookPlan {
    let starts = hook.started_at.map(|time| seconds(record, time));
    let trouble = match (hook.timed_out, hook.stopped, hook.exit, hook.signal, &hook.reason) {
        (true, ..) => Some("took too long".to_owned()),
        (_, true, ..) | (_, _, Some(0), ..) => None,
        (_, _, Some(code), ..) => Some(format!("exit {code}")),
        (_, _, None, Some(signal), _) => Some(format!("ended by signal {signal}")),
        (_, _, None, None, reason) => reason.clone(),
    };
    HookPlan {
        phase: hook.phase,
        name: hook.name.clone(),
        argument: hook.argument.clone(),
        starts_seconds: starts,
        ends_seconds: starts.zip(hook.seconds).map(|(starts, takes)| ((starts + takes) * 1000.0).round() / 1000.0),
        trouble,
        output: hook.output_tail.clone(),
    }
}

fn pod_plan(record: &Record, pod: &PodWritten, known: Option<&Known>) -> PodPlan {
    let window = record.deadline.later_than(record.notice.first_seen).unwrap_or_default();
    let grace = Duration::from_secs(pod.grace_seconds).max(Duration::from_secs(1));
    let force_time = window.checked_sub(plan::DRAIN_MARGIN + grace + plan::ASKING_TAKES);
    let outcome = pod.outcome.unwrap_or(Outcome::Left);
    PodPlan {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        priority: pod.priority,
        grace_seconds: known.map_or(pod.grace_seconds, |known| known.pod.grace.as_secs()),
        force_time_seconds: force_time.map(|time| time.as_secs_f64()),
        asked_seconds: pod.asked_at.map(|time| seconds(record, time)),
        asked_grace_seconds: known.and_then(|known| known.asked).map(|(_, grace)| grace.as_secs()),
        forced: pod.forced,
        locally_seconds: pod.locally_at.map(|time| seconds(record, time)),
        gone_seconds: pod.gone_at.map(|time| seconds(record, time)),
        outcome,
        reason: verdict::reason(pod, outcome, known),
    }
}

fn staying(known: &Known, settings: &Settings) -> Option<Staying> {
    let why = match plan::role(&known.pod, settings.drain.skip.as_ref()) {
        Role::Stops => return None,
        Role::DaemonSet => "DaemonSet",
        Role::Static => "static",
        Role::Skipped => "skipped",
        Role::Finished => "finished",
    };
    Some(Staying { namespace: known.pod.id.namespace.clone(), name: known.pod.id.name.clone(), why })
}
