//! A response as it goes: phases, the time, pods as bars against their graces, hooks.

use std::time::Duration;

use super::line::{Line, Mark, bar, cut_in_front};
use crate::moment::{Timestamp, from_seconds};
use crate::record::{HookWritten, Outcome, PhaseName, PodWritten, Record};
use crate::report::how_it_failed;

/// How wide a bar is, and a pod's name.
const BAR: usize = 16;
const POD: usize = 30;

/// Of hooks that are over and were well, only the latest few are shown.
const HOOKS_SHOWN: usize = 6;

/// With at most so many lines for single pods.
pub fn lines(record: &Record, now: Timestamp, room: usize) -> Vec<Line> {
    let notice = &record.notice;
    let mut lines = vec![Line::new("response", &format!("{}, {}", record.id, notice.kind.with(notice.action)))];
    lines.extend(pods(record, now, room));
    lines.extend(hooks(record, now));
    if record.terms.cordons() {
        lines.push(Line::new("phases", &phases(record, now)));
        lines.push(Line::new("time", &time(record, now)));
    }
    if record.terms.drains() {
        lines.push(Line::new("pods", &count(&record.pods)));
    }
    lines
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.later_than(from).unwrap_or_default()
}

fn time(record: &Record, now: Timestamp) -> String {
    let (over, whole) = (between(record.notice.first_seen, now), between(record.notice.first_seen, record.deadline));
    let left = between(now, record.deadline).as_secs();
    format!("{}  {left} s left of {} s", bar(over, whole, BAR), whole.as_secs())
}

/// `pre-drain 0.3 s, drain for 12 s`
fn phases(record: &Record, now: Timestamp) -> String {
    let words = record.phases.iter().map(|phase| {
        let name = phase.name.name();
        match phase.ended_at {
            Some(ended) => format!("{name} {:.1} s", between(phase.started_at, ended).as_secs_f64()),
            None if phase.name == PhaseName::Done => name.to_owned(),
            None => format!("{name} for {} s", between(phase.started_at, now).as_secs()),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// `75 of 78 gone; 3 stopping, 0 waiting; 1 killed, 0 left`
fn count(pods: &[PodWritten]) -> String {
    let of = |outcome| pods.iter().filter(|pod| pod.outcome == Some(outcome)).count();
    let (graceful, killed, left) = (of(Outcome::Graceful), of(Outcome::Killed), of(Outcome::Left));
    let stopping = pods.iter().filter(|pod| pod.outcome.is_none() && begun(pod).is_some()).count();
    let (all, gone) = (pods.len(), graceful + killed);
    let waiting = all - gone - left - stopping;
    format!("{gone} of {all} gone; {stopping} stopping, {waiting} waiting; {killed} killed, {left} left")
}

/// When a pod began to stop.
fn begun(pod: &PodWritten) -> Option<Timestamp> {
    match (pod.asked_at, pod.locally_at) {
        (Some(asked), Some(locally)) => Some(asked.min(locally)),
        (asked, locally) => asked.or(locally),
    }
}

/// All pods where there is room for them, in an order that stays; else those whose end is nearest, and how many more.
fn pods(record: &Record, now: Timestamp, room: usize) -> Vec<Line> {
    let mut pods: Vec<&PodWritten> = record.pods.iter().collect();
    if pods.len() <= room {
        return pods.iter().map(|pod| pod_line(pod, now)).collect();
    }
    if room == 0 {
        return Vec::new();
    }
    pods.sort_by_key(|pod| urgency(pod, record.deadline));
    let rest = pods.len() - (room - 1);
    let lines = pods.iter().take(room - 1).map(|pod| pod_line(pod, now));
    lines.chain([Line::new("", &format!("  … and {rest} more"))]).collect()
}

/// Those that are left or were killed first, then the end that is nearest: of one that stops the end of its grace, of
/// one that does not yet the time at which that must begin; then the others.
fn urgency(pod: &PodWritten, deadline: Timestamp) -> (u8, Duration) {
    let grace = Duration::from_secs(pod.grace_seconds);
    match (pod.outcome, begun(pod)) {
        (Some(Outcome::Left | Outcome::Killed), _) => (0, Duration::ZERO),
        (Some(Outcome::Graceful), _) => (3, Duration::ZERO),
        // The further from the deadline, the nearer.
        (None, Some(begun)) => (1, Duration::MAX - between(begun + grace, deadline)),
        (None, None) => (2, Duration::MAX - grace),
    }
}

fn pod_line(pod: &PodWritten, now: Timestamp) -> Line {
    let name = cut_in_front(&format!("{}/{}", pod.namespace, pod.name), POD);
    let grace = Duration::from_secs(pod.grace_seconds);
    let took = begun(pod).map(|begun| between(begun, pod.gone_at.unwrap_or(now)));
    let forced = if pod.forced { ", forced" } else { "" };
    let text = match (took, pod.outcome) {
        (Some(took), outcome) => {
            let word = outcome.map(|outcome| format!(" {}", outcome.name())).unwrap_or_default();
            format!("{}  {} of {} s{word}{forced}", bar(took, grace, BAR), took.as_secs(), grace.as_secs())
        }
        (None, Some(outcome)) => format!("{:BAR$}  {}", "", outcome.name()),
        (None, None) => {
            let why = if pod.reason.is_some() { "waits, was refused so far" } else { "waits" };
            format!("{}  {why}", bar(Duration::ZERO, grace, BAR))
        }
    };
    Line::whole(&format!("  {name:<POD$}  {text}"))
}

/// Those that run or failed, and the latest of the others.
fn hooks(record: &Record, now: Timestamp) -> Vec<Line> {
    let is_well = |hook: &HookWritten| hook.seconds.is_some() && how_it_failed(hook).is_none();
    let mut left_out = record.hooks.len().saturating_sub(HOOKS_SHOWN);
    let shown = record.hooks.iter().filter(|hook| {
        let out = is_well(hook) && left_out > 0;
        left_out -= usize::from(out);
        !out
    });
    shown.map(|hook| hook_line(hook, now)).collect()
}

fn hook_line(hook: &HookWritten, now: Timestamp) -> Line {
    let name = format!("{}/{}", hook.phase, hook.name);
    let argument = hook.argument.as_deref().map(|argument| format!(" {argument}")).unwrap_or_default();
    let took = hook.seconds.map(from_seconds).unwrap_or_default().as_secs_f64();
    match (hook.seconds, how_it_failed(hook), hook.started_at) {
        (Some(_), Some(how), _) => Line::marked("hook", Mark::Failure, &format!("{name}{argument} {how}, {took:.1} s")),
        (Some(_), None, _) => Line::marked("hook", Mark::Ok, &format!("{name}{argument}, {took:.1} s")),
        (None, _, Some(started)) => {
            Line::new("hook", &format!("{:9}{name}{argument} for {} s", "runs", between(started, now).as_secs()))
        }
        (None, _, None) => Line::new("hook", &format!("{:9}{name}{argument}", "waits")),
    }
}
