//! What became of a response, in a few lines for a person.

use std::fmt::Write;

use crate::moment::Timestamp;
use crate::record::{Outcome, PhaseName, PodWritten, Record};
use crate::report;
use crate::terminal::plain;

/// How many pods that are left, and how many failures, are named.
const NAMED: usize = 10;

pub fn summary(record: &Record) -> String {
    let mut text = String::new();
    let mut say = |label: &str, line: &str| {
        let line = plain(line);
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", format!("{label:<9} {line}").trim_end());
    };
    let left: Vec<String> = record.pods.iter().filter(|pod| is(pod, Outcome::Left)).map(left_line).collect();
    some(&left).iter().for_each(|line| say("left", line));
    let failed: Vec<String> = record.hooks.iter().filter_map(report::hook_failure).collect();
    some(&failed).iter().for_each(|line| say("hook", line));
    some(&record.errors).iter().for_each(|line| say("error", line));
    say("response", &format!("{}: {}, {}", record.id, record.notice.kind, outcome(record)));
    let pods = if record.pods.is_empty() { "none were to stop".to_owned() } else { report::tally(&record.pods) };
    say("pods", &pods);
    text
}

fn outcome(record: &Record) -> String {
    let word = report::outcome(record.outcome);
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

fn is(pod: &PodWritten, outcome: Outcome) -> bool {
    pod.outcome == Some(outcome)
}

fn left_line(pod: &PodWritten) -> String {
    let reason = pod.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{}/{}{reason}", pod.namespace, pod.name)
}

/// The first of them, and how many more there are.
fn some(lines: &[String]) -> Vec<String> {
    let mut some: Vec<String> = lines.iter().take(NAMED).cloned().collect();
    if lines.len() > NAMED {
        some.push(format!("and {} more", lines.len() - NAMED));
    }
    some
}
