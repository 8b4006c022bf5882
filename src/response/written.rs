//! A running response as a [`Record`], and back.
//!
//! What is under way with the API server is not kept: after a restart the list of pods and the node's annotation say
//! what became of it.

use std::path::PathBuf;
use std::time::Duration;

use super::hook_runs::{HookRuns, Run, RunResult};
use super::node_work::NodeWork;
use super::pod_work::{PodWork, Pods};
use super::running::{LocalDrain, Notice, Phases, Running, Trouble};
use super::webhook::{Message, Webhook};
use crate::hooks::Hook;
use crate::moment::{Clock, Moment, Timestamp, from_seconds, to_seconds};
use crate::notice::Deadline;
use crate::objects::PodId;
use crate::process::Exit;
use crate::record::{
    ClockWritten, HookWritten, LocalDrainWritten, NodeWritten, NoticeWritten, PhaseName, PhaseWritten, PodWritten,
    Record, ResponseOutcome, TroubleWritten, VERSION, WebhookWritten,
};

/// Writes and reads the times of one response.
struct Times<'a>(&'a Clock);

impl Times<'_> {
    fn write(&self, moment: Option<Moment>) -> Option<Timestamp> {
        moment.map(|moment| self.0.timestamp(moment))
    }

    fn read(&self, timestamp: Option<Timestamp>) -> Option<Moment> {
        timestamp.map(|timestamp| self.0.moment(timestamp))
    }
}

/// The response as it is written to disk.
pub fn write(running: &Running) -> Record {
    let times = Times(&running.clock);
    // Nobody follows the pods of a notice that was taken back: what is not gone then is not lost.
    let decided = running.phases.ended.is_some() && !running.withdrawn;
    Record {
        version: VERSION,
        id: running.id.clone(),
        clock: ClockWritten {
            boot_id: running.clock.boot_id.clone(),
            boottime_seconds: to_seconds(running.clock.boottime.uptime()),
            wall: running.clock.wall,
        },
        notice: write_notice(&running.notice, &times),
        earlier_notices: running.earlier_notices.iter().map(|notice| write_notice(notice, &times)).collect(),
        notices_beside: running.notices_beside.iter().map(|notice| write_notice(notice, &times)).collect(),
        deadline: running.clock.timestamp(running.deadline.at),
        overdue: running.deadline.overdue,
        terms: running.terms.clone(),
        instance: running.instance.clone(),
        node: NodeWritten {
            name: running.node_name.clone(),
            settled_at: times.write(running.node.settled_at),
            cordoned_by_us: running.node.cordoned_by_us,
            labelled_by_us: running.node.labelled_by_us,
            restored_at: None,
            nothing_to_undo: false,
        },
        pods: running.pods.stop.iter().map(|pod| write_pod(pod, decided, &times)).collect(),
        staying: running.staying,
        hooks: running.hooks.runs.iter().map(|run| write_hook(run, &times)).collect(),
        phases: write_phases(&running.phases, running.notice.first_seen, &times),
        local_drain: LocalDrainWritten {
            wave: running.local_drain.wave,
            active: running.local_drain.active,
            blind: running.local_drain.blind,
            blind_until: times.write(running.local_drain.blind_until),
        },
        troubles: running.troubles.iter().map(|trouble| write_trouble(trouble, &times)).collect(),
        webhook: write_webhook(&running.webhook, &running.clock),
        outcome: outcome(running),
        errors: running.errors.clone(),
    }
}

fn outcome(running: &Running) -> Option<ResponseOutcome> {
    running.phases.ended?;
    if running.withdrawn {
        return Some(ResponseOutcome::Withdrawn);
    }
    let drained = !running.terms.drains() || running.phases.drained.is_some();
    Some(if drained && running.pods.left() == 0 { ResponseOutcome::Complete } else { ResponseOutcome::Incomplete })
}

fn write_notice(notice: &Notice, times: &Times) -> NoticeWritten {
    NoticeWritten {
        kind: notice.kind,
        action: notice.action,
        event_id: notice.event_id.clone(),
        time: notice.time,
        first_seen: times.0.timestamp(notice.first_seen),
    }
}

fn write_pod(pod: &PodWork, decided: bool, times: &Times) -> PodWritten {
    PodWritten {
        namespace: pod.id.namespace.clone(),
        name: pod.id.name.clone(),
        uid: pod.id.uid.clone(),
        priority: pod.priority,
        grace_seconds: pod.grace.as_secs(),
        capped: pod.capped,
        asked_at: times.write(pod.asked_at),
        refused_at: times.write(pod.refused_at),
        forced: pod.forced,
        locally_at: times.write(pod.locally_at),
        gone_at: times.write(pod.gone_at),
        cut: pod.cut,
        has_claims: pod.has_claims,
        outcome: (decided || pod.gone_at.is_some()).then(|| pod.outcome()),
        reason: pod.reason.clone(),
    }
}

fn write_trouble(trouble: &Trouble, times: &Times) -> TroubleWritten {
    TroubleWritten {
        with: trouble.with,
        started_at: times.0.timestamp(trouble.since),
        ended_at: times.write(trouble.ended_at),
        reason: trouble.reason.clone(),
    }
}

/// A hook's run as it is written, by the clock of its response.
pub fn write_hook_at(run: &Run, clock: &Clock) -> HookWritten {
    write_hook(run, &Times(clock))
}

/// And back.
pub fn read_hook_at(hook: &HookWritten, clock: &Clock) -> Run {
    read_hook(hook, &Times(clock))
}

fn write_hook(run: &Run, times: &Times) -> HookWritten {
    let result = run.result.as_ref();
    let (exit, signal, reason) = match result.map(|result| &result.exit) {
        None => (None, None, None),
        Some(Exit::Code(code)) => (Some(*code), None, None),
        Some(Exit::Signal(signal)) => (None, Some(*signal), None),
        Some(Exit::NotStarted(why)) => (None, None, Some(why.clone())),
        Some(Exit::Stuck) => (None, None, None),
    };
    HookWritten {
        phase: run.hook.phase,
        name: run.hook.name.clone(),
        argument: run.argument.map(str::to_owned),
        wave: run.wave,
        started_at: times.write(run.started_at),
        seconds: result.map(|result| to_seconds(result.at.since(run.started_at.unwrap_or(result.at)))),
        exit,
        signal,
        reason,
        timed_out: result.is_some_and(|result| result.timed_out),
        stopped: result.is_some_and(|result| result.stopped),
        output_tail: result.map(|result| result.tail.clone()).unwrap_or_default(),
        process: run.process.clone().filter(|_| result.is_none()),
    }
}

/// What a webhook was told, by the clock of its response.
pub fn write_webhook(webhook: &Webhook, clock: &Clock) -> Vec<WebhookWritten> {
    let write = |message: &Message| WebhookWritten {
        stage: message.stage,
        attempts: message.attempts,
        delivered_at: message.delivered_at.map(|moment| clock.timestamp(moment)),
        reason: message.given_up.clone(),
    };
    webhook.messages.iter().map(write).collect()
}

/// And back.
pub fn read_webhook(written: &[WebhookWritten], clock: &Clock) -> Webhook {
    let read = |written: &WebhookWritten| Message {
        stage: written.stage,
        attempts: written.attempts,
        delivered_at: written.delivered_at.map(|timestamp| clock.moment(timestamp)),
        given_up: written.reason.clone(),
    };
    Webhook::taken_up(written.iter().map(read).collect())
}

fn write_phases(phases: &Phases, first_seen: Moment, times: &Times) -> Vec<PhaseWritten> {
    let spans = [
        (PhaseName::PreDrain, Some(first_seen), phases.pre_drain_ended),
        (PhaseName::Drain, phases.drain_started, phases.drained),
        (PhaseName::PostDrain, phases.post_drain_started, phases.ended),
        (PhaseName::Done, phases.ended, None),
    ];
    let spans = spans.into_iter().filter_map(|(name, started, ended)| {
        let started_at = times.write(started)?;
        Some(PhaseWritten { name, started_at, ended_at: times.write(ended) })
    });
    spans.collect()
}

/// The moment of a record's deadline, on the boot on which it was written.
pub fn deadline(record: &Record) -> Moment {
    moment(record, record.deadline)
}

/// The moment of a time in a record, on the boot on which it was written.
pub fn moment(record: &Record, time: Timestamp) -> Moment {
    clock(record).moment(time)
}

/// The clocks of a record's first sight.
fn clock(record: &Record) -> Clock {
    let boottime = Moment::after_boot(from_seconds(record.clock.boottime_seconds));
    Clock { boot_id: record.clock.boot_id.clone(), boottime, wall: record.clock.wall }
}

/// Takes a response up where its record stands. Only on the boot on which it was written: moments of another boot
/// mean nothing.
pub fn read(record: Record) -> Running {
    let clock = clock(&record);
    let times = Times(&clock);
    let deadline = Deadline { at: clock.moment(record.deadline), overdue: record.overdue };
    let notice = read_notice(&record.notice, &times);
    let node =
        NodeWork::taken_up(record.node.cordoned_by_us, record.node.labelled_by_us, times.read(record.node.settled_at));
    let pods = Pods::taken_up(record.pods.iter().map(|pod| read_pod(pod, &times)).collect());
    let hooks = HookRuns::taken_up(record.hooks.iter().map(|hook| read_hook(hook, &times)).collect());
    let phases = read_phases(&record.phases, &times);
    let mut running = Running::new(record.id, clock.clone(), notice, deadline, record.terms, record.instance);
    running.earlier_notices = record.earlier_notices.iter().map(|notice| read_notice(notice, &times)).collect();
    running.notices_beside = record.notices_beside.iter().map(|notice| read_notice(notice, &times)).collect();
    running.node_name = record.node.name;
    running.node = node;
    running.pods = pods;
    running.hooks = hooks;
    running.phases = phases;
    running.staying = record.staying;
    running.troubles = record.troubles.iter().map(|trouble| read_trouble(trouble, &times)).collect();
    running.errors = record.errors;
    running.webhook = read_webhook(&record.webhook, &clock);
    running.withdrawn = record.outcome == Some(ResponseOutcome::Withdrawn);
    running.local_drain = LocalDrain {
        wave: record.local_drain.wave,
        active: record.local_drain.active,
        blind: record.local_drain.blind,
        blind_until: times.read(record.local_drain.blind_until),
        ..LocalDrain::default()
    };
    running
}

fn read_notice(notice: &NoticeWritten, times: &Times) -> Notice {
    Notice {
        kind: notice.kind,
        action: notice.action,
        event_id: notice.event_id.clone(),
        time: notice.time,
        first_seen: times.0.moment(notice.first_seen),
    }
}

fn read_trouble(trouble: &TroubleWritten, times: &Times) -> Trouble {
    Trouble {
        with: trouble.with,
        since: times.0.moment(trouble.started_at),
        ended_at: times.read(trouble.ended_at),
        reason: trouble.reason.clone(),
    }
}

fn read_pod(pod: &PodWritten, times: &Times) -> PodWork {
    let id = PodId { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() };
    let mut work = PodWork::known(id, pod.priority, Duration::from_secs(pod.grace_seconds), pod.capped);
    work.has_claims = pod.has_claims;
    work.asked_at = times.read(pod.asked_at);
    work.refused_at = times.read(pod.refused_at);
    work.forced = pod.forced;
    work.gone_at = times.read(pod.gone_at);
    work.cut = pod.cut;
    work.reason = pod.reason.clone();
    work.locally_at = times.read(pod.locally_at);
    work
}

fn read_hook(hook: &HookWritten, times: &Times) -> Run {
    let started_at = times.read(hook.started_at);
    let result = hook.seconds.map(|seconds| RunResult {
        at: started_at.unwrap_or_default() + from_seconds(seconds),
        exit: read_exit(hook),
        timed_out: hook.timed_out,
        stopped: hook.stopped,
        tail: hook.output_tail.clone(),
    });
    let argument = match hook.argument.as_deref() {
        Some("start") => Some("start"),
        Some("end") => Some("end"),
        _ => None,
    };
    // Where the file lies is looked up again when its phase is lined up.
    let hook_itself = Hook { phase: hook.phase, name: hook.name.clone(), path: PathBuf::new() };
    let mut run = Run::taken_up(hook_itself, argument, hook.wave, result);
    run.started_at = started_at;
    run.process = hook.process.clone();
    run
}

fn read_exit(hook: &HookWritten) -> Exit {
    match (hook.exit, hook.signal, &hook.reason) {
        (Some(code), _, _) => Exit::Code(code),
        (_, Some(signal), _) => Exit::Signal(signal),
        (_, _, Some(why)) => Exit::NotStarted(why.clone()),
        _ => Exit::Stuck,
    }
}

fn read_phases(written: &[PhaseWritten], times: &Times) -> Phases {
    let phase = |name| written.iter().find(|phase| phase.name == name);
    let started = |name| phase(name).map(|phase| times.0.moment(phase.started_at));
    let ended = |name| times.read(phase(name).and_then(|phase| phase.ended_at));
    Phases {
        pre_drain_ended: ended(PhaseName::PreDrain),
        drain_started: started(PhaseName::Drain),
        drained: ended(PhaseName::Drain),
        post_drain_started: started(PhaseName::PostDrain),
        ended: started(PhaseName::Done),
        ..Phases::default()
    }
}
