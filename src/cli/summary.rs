//! What became of a response, in a few lines for a person.

use std::fmt::Write;

use crate::moment::Timestamp;
use crate::record::{HookWritten, Outcome, PhaseName, PodWritten, Record, ResponseOutcome};

/// How many pods that are left, and how many failures, are named.
const NAMED: usize = 10;

pub fn summary(record: &Record) -> String {
    let mut text = String::new();
    let mut say = |label: &str, line: &str| {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", format!("{label:<9} {line}").trim_end());
    };
    let left: Vec<String> = record.pods.iter().filter(|pod| is(pod, Outcome::Left)).map(left_line).collect();
    some(&left).iter().for_each(|line| say("left", line));
    let failed: Vec<String> = record.hooks.iter().filter_map(failure).collect();
    some(&failed).iter().for_each(|line| say("hook", line));
    some(&record.errors).iter().for_each(|line| say("error", line));
    say("response", &format!("{}: {}, {}", record.id, record.notice.kind, outcome(record)));
    say("pods", &pods(&record.pods));
    text
}

fn outcome(record: &Record) -> String {
    let word = match record.outcome {
        None => "not ended",
        Some(ResponseOutcome::Complete) => "complete",
        Some(ResponseOutcome::Incomplete) => "incomplete",
        Some(ResponseOutcome::Withdrawn) => "withdrawn",
        Some(ResponseOutcome::InterruptedByReboot) => "interrupted by a reboot",
    };
    let ended = record.phases.iter().rfind(|phase| phase.name == PhaseName::Done).map(|phase| phase.started_at);
    match ended {
        None => word.to_owned(),
        Some(ended) => {
            let (took, spare) = (seconds(record.notice.first_seen, ended), seconds(ended, record.deadline));
            format!("{word} after {took:.1} s, {spare:.0} s to spare")
        }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.later_than(from).unwrap_or_default().as_secs_f64()
}

/// `78 graceful (3 of them forced past a budget), 0 killed, 0 left`
fn pods(pods: &[PodWritten]) -> String {
    if pods.is_empty() {
        return "none were to stop".to_owned();
    }
    let count = |outcome| pods.iter().filter(|pod| is(pod, outcome)).count();
    let forced = pods.iter().filter(|pod| is(pod, Outcome::Graceful) && pod.forced).count();
    let forced = if forced > 0 { format!(" ({forced} of them forced past a budget)") } else { String::new() };
    format!(
        "{} graceful{forced}, {} killed, {} left",
        count(Outcome::Graceful),
        count(Outcome::Killed),
        count(Outcome::Left)
    )
}

fn is(pod: &PodWritten, outcome: Outcome) -> bool {
    pod.outcome == Some(outcome)
}

fn left_line(pod: &PodWritten) -> String {
    let reason = pod.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{}/{}{reason}", pod.namespace, pod.name)
}

fn failure(hook: &HookWritten) -> Option<String> {
    how_it_failed(hook).map(|how| format!("{}/{} {how}", hook.phase, hook.name))
}

/// How a hook failed, if it did.
pub fn how_it_failed(hook: &HookWritten) -> Option<String> {
    Some(match (hook.timed_out, hook.stopped, hook.exit, hook.signal, &hook.reason) {
        (true, ..) => "took too long".to_owned(),
        (_, true, ..) => return None,
        (_, _, Some(0), ..) => return None,
        (_, _, Some(code), ..) => format!("exit {code}"),
        (_, _, None, Some(signal), _) => format!("ended by signal {signal}"),
        (_, _, None, None, Some(reason)) => format!("not started: {reason}"),
        (_, _, None, None, None) => return None,
    })
}

/// The first of them, and how many more there are.
fn some(lines: &[String]) -> Vec<String> {
    let mut some: Vec<String> = lines.iter().take(NAMED).cloned().collect();
    if lines.len() > NAMED {
        some.push(format!("and {} more", lines.len() - NAMED));
    }
    some
}
