//! What is said of a response and its parts, in words.

use std::time::Duration;

use super::timeline::{Timeline, pods};
use crate::config::Reaction;
use crate::moment::from_seconds;
use crate::record::{HookWritten, NoticeWritten, Other, Outcome, PodWritten, Record, ResponseOutcome};

/// How well it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Good,
    Doubtful,
    Bad,
}

/// What is to be known first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    pub words: String,
}

impl Verdict {
    pub fn of(timeline: &Timeline) -> Verdict {
        let record = timeline.record;
        let (level, words) = match record.outcome {
            _ if record.terms.dry_run => (Level::Doubtful, "A dry run: nothing was changed".to_owned()),
            None => (Level::Bad, format!("No end is recorded; the last is known of {}", length(timeline.times.over))),
            Some(ResponseOutcome::InterruptedByReboot) => (Level::Bad, "Interrupted by a reboot".to_owned()),
            Some(ResponseOutcome::Withdrawn) => (Level::Good, "The notice was taken back".to_owned()),
            Some(outcome) => of_the_end(timeline, outcome),
        };
        let failed = record.hooks.iter().filter(|hook| hook_failure(hook).is_some()).count();
        match (failed, level) {
            (0, _) => Verdict { level, words },
            (failed, level) => {
                let level = if level == Level::Good { Level::Doubtful } else { level };
                let hooks = if failed == 1 { "1 hook failed".to_owned() } else { format!("{failed} hooks failed") };
                Verdict { level, words: format!("{words}; {hooks}") }
            }
        }
    }
}

fn of_the_end(timeline: &Timeline, outcome: ResponseOutcome) -> (Level, String) {
    let record = timeline.record;
    match record.terms.reaction {
        Reaction::Ignore | Reaction::Observe => return (Level::Good, "Told, and nothing changed".to_owned()),
        Reaction::Cordon if outcome == ResponseOutcome::Complete => {
            return (Level::Good, "The node was cordoned, nothing else".to_owned());
        }
        Reaction::Cordon | Reaction::Drain => {}
    }
    let [graceful, killed, left] = counts(&record.pods);
    let spare = spare(timeline).map(|spare| format!(", {} to spare", length(spare))).unwrap_or_default();
    match (graceful, killed, left) {
        (_, _, 1..) => {
            let of = format!("{left} of {} not gone at the deadline", pods(record.pods.len()));
            let killed = if killed > 0 { format!(", {killed} killed") } else { String::new() };
            (Level::Bad, of + &killed)
        }
        (_, 1.., _) => (Level::Bad, format!("{killed} of {} killed at the end of the grace", pods(record.pods.len()))),
        _ if outcome == ResponseOutcome::Incomplete => (Level::Bad, "Not all was done by the deadline".to_owned()),
        (0, ..) => (Level::Good, format!("No pods were to stop{spare}")),
        (1, ..) => (Level::Good, format!("The pod stopped gracefully{spare}")),
        (all, ..) => (Level::Good, format!("All {all} pods stopped gracefully{spare}")),
    }
}

/// From the response's end to its deadline; none in one that was cut or called off.
pub fn spare(timeline: &Timeline) -> Option<Duration> {
    let went_to_the_end =
        matches!(timeline.record.outcome, Some(ResponseOutcome::Complete | ResponseOutcome::Incomplete));
    timeline.ended().filter(|_| went_to_the_end).map(|ended| timeline.window.saturating_sub(ended))
}

/// How many pods were graceful, killed and left.
pub fn counts(pods: &[PodWritten]) -> [usize; 3] {
    [Outcome::Graceful, Outcome::Killed, Outcome::Left]
        .map(|outcome| pods.iter().filter(|pod| pod.outcome == Some(outcome)).count())
}

/// `78 graceful (3 of them forced past a budget), 0 killed, 0 left`
pub fn tally(pods: &[PodWritten]) -> String {
    if pods.is_empty() {
        return "no pods".to_owned();
    }
    let [graceful, killed, left] = counts(pods);
    let forced = forced(pods);
    let forced = if forced > 0 { format!(" ({forced} of them forced past a budget)") } else { String::new() };
    format!("{graceful} graceful{forced}, {killed} killed, {left} left")
}

/// How many of the graceful ones were forced past a budget.
pub fn forced(pods: &[PodWritten]) -> usize {
    pods.iter().filter(|pod| pod.outcome == Some(Outcome::Graceful) && pod.forced).count()
}

/// How a response ended, as its record says it.
pub fn outcome(outcome: Option<ResponseOutcome>) -> &'static str {
    match outcome {
        None => "not ended",
        Some(ResponseOutcome::Complete) => "complete",
        Some(ResponseOutcome::Incomplete) => "incomplete",
        Some(ResponseOutcome::Withdrawn) => "withdrawn",
        Some(ResponseOutcome::InterruptedByReboot) => "interrupted by a reboot",
    }
}

/// `spot interruption (terminate)`
pub fn kind_words(notice: &NoticeWritten) -> String {
    notice.kind.with(notice.action)
}

pub fn other_words(other: Other) -> &'static str {
    match other {
        Other::ApiServer => "the API server was silent",
        Other::MetadataService => "trouble with the metadata service",
    }
}

/// What came of a hook, and whether that is a failure.
pub fn hook_result(hook: &HookWritten) -> (String, bool) {
    match (hook.timed_out, hook.stopped, hook.exit, hook.signal, &hook.reason) {
        (true, ..) => ("took too long".to_owned(), true),
        (_, true, ..) => ("stopped, no longer needed".to_owned(), false),
        (_, _, Some(0), ..) => ("ok".to_owned(), false),
        (_, _, Some(code), ..) => (format!("exit {code}"), true),
        (_, _, None, Some(signal), _) => (format!("ended by signal {signal}"), true),
        (_, _, None, None, Some(reason)) => (format!("not started: {reason}"), true),
        (_, _, None, None, None) if hook.seconds.is_some() => ("could not be ended".to_owned(), true),
        (_, _, None, None, None) => ("no end recorded".to_owned(), false),
    }
}

/// Which hook failed and how, if it did: `pre-drain/10-nginx exit 1`.
pub fn hook_failure(hook: &HookWritten) -> Option<String> {
    how_it_failed(hook).map(|how| format!("{} {how}", hook_name(hook)))
}

/// How a hook failed, if it did: `exit 1`.
pub fn how_it_failed(hook: &HookWritten) -> Option<String> {
    let (result, failed) = hook_result(hook);
    failed.then_some(result)
}

/// `local-drain/50-containers start 2`
pub fn hook_name(hook: &HookWritten) -> String {
    let argument = hook.argument.as_ref().map(|argument| format!(" {argument} {}", hook.wave)).unwrap_or_default();
    format!("{}/{}{argument}", hook.phase, hook.name)
}

/// How long a hook ran, once it has ended.
pub fn took(hook: &HookWritten) -> Option<String> {
    hook.started_at?;
    hook.seconds.map(|seconds| length(from_seconds(seconds)))
}

/// Where the response was: `i-0ab1c2… m5.large eu-west-1a`, as far as it is known.
pub fn place(record: &Record) -> Vec<&str> {
    let instance = &record.instance;
    [&instance.id, &instance.kind, &instance.availability_zone].into_iter().filter_map(|part| part.as_deref()).collect()
}

/// `12 ms`, `0.25 s`, `41 s`, `9 min 20 s`, `2 h 5 min`
pub fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.is_zero() => "0 s".to_owned(),
        0 if time.as_millis() < 100 => format!("{} ms", time.as_millis()),
        0 => format!("{:.2} s", time.as_secs_f64()),
        1..120 if time.subsec_millis() < 50 => format!("{seconds} s"),
        1..120 => format!("{:.1} s", time.as_secs_f64()),
        120..7200 => parts(seconds / 60, "min", seconds % 60, "s"),
        _ => parts(seconds / 3600, "h", seconds % 3600 / 60, "min"),
    }
}

fn parts(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Phase;
    use crate::report::tests::made_up::{hook, record, seconds};

    #[test]
    fn lengths_have_the_units_that_a_person_would_use() {
        for (time, words) in [
            (0.0, "0 s"),
            (0.012, "12 ms"),
            (0.254, "0.25 s"),
            (1.0, "1 s"),
            (41.04, "41 s"),
            (118.4, "118.4 s"),
            (120.0, "2 min"),
            (560.9, "9 min 20 s"),
            (7500.0, "2 h 5 min"),
        ] {
            assert_eq!(length(seconds(time)), words);
        }
    }

    /// A change to the record, and what is said first then.
    type Row = (fn(&mut Record), Level, &'static str);

    #[test]
    fn the_verdict_says_first_what_is_worst() {
        let only = |record: &mut Record, name: &str| record.pods.retain(|pod| pod.name.starts_with(name));
        let rows: [Row; 12] = [
            (|_| {}, Level::Bad, "1 of 9 pods not gone at the deadline, 1 killed; 1 hook failed"),
            (|r| r.hooks.clear(), Level::Bad, "1 of 9 pods not gone at the deadline, 1 killed"),
            (|r| r.pods.retain(|p| p.outcome != Some(Outcome::Left)), Level::Bad, "1 of 8 pods killed at the end of"),
            (|r| r.pods.retain(|p| p.outcome == Some(Outcome::Graceful)), Level::Bad, "Not all was done by the deadl"),
            (|r| r.outcome = None, Level::Bad, "No end is recorded; the last is known of 2 min"),
            (|r| r.outcome = Some(ResponseOutcome::Withdrawn), Level::Doubtful, "The notice was taken back; 1 hook"),
            (|r| r.outcome = Some(ResponseOutcome::InterruptedByReboot), Level::Bad, "Interrupted by a reboot"),
            (|r| r.terms.dry_run = true, Level::Doubtful, "A dry run: nothing was changed"),
            (|r| r.terms.reaction = Reaction::Observe, Level::Doubtful, "Told, and nothing changed; 1 hook failed"),
            (|r| (r.hooks.clear(), r.terms.reaction = Reaction::Observe).1, Level::Good, "Told, and nothing changed"),
            (|r| r.pods.clear(), Level::Bad, "Not all was done by the deadline"),
            (|r| (r.outcome = Some(ResponseOutcome::Complete), r.hooks.clear()).1, Level::Bad, "1 of 9 pods not gone"),
        ];
        for (change, level, words) in rows {
            let mut record = record();
            change(&mut record);
            let verdict = Verdict::of(&Timeline::of(&record));
            assert!(verdict.level == level && verdict.words.starts_with(words), "{verdict:?}, not {words}");
        }
        for (pods, words) in [
            ("web", "All 3 pods stopped gracefully, 0 s to spare"),
            ("batch", "The pod stopped gracefully, 0 s to spare"),
            ("none", "No pods were to stop, 0 s to spare"),
        ] {
            let mut record = record();
            only(&mut record, pods);
            record.hooks.clear();
            record.outcome = Some(ResponseOutcome::Complete);
            let verdict = Verdict::of(&Timeline::of(&record));
            assert_eq!(verdict, Verdict { level: Level::Good, words: words.to_owned() });
        }
    }

    /// A change to a hook, what came of it then, and whether that is a failure.
    type HookRow = (fn(&mut HookWritten), &'static str, bool);

    #[test]
    fn what_came_of_a_hook_is_told_and_only_failures_are_failures() {
        let base = hook(Phase::PreDrain, "10-nginx", 1.0, 2.0);
        let rows: [HookRow; 8] = [
            (|_| {}, "ok", false),
            (|h| h.exit = Some(3), "exit 3", true),
            (|h| (h.exit, h.signal) = (None, Some(9)), "ended by signal 9", true),
            (|h| (h.exit, h.timed_out) = (None, true), "took too long", true),
            (|h| (h.exit, h.stopped) = (None, true), "stopped, no longer needed", false),
            (|h| (h.exit, h.reason) = (None, Some("no such file".into())), "not started: no such file", true),
            (|h| (h.exit, h.seconds) = (None, None), "no end recorded", false),
            (|h| h.exit = None, "could not be ended", true),
        ];
        for (change, words, failed) in rows {
            let mut hook = base.clone();
            change(&mut hook);
            assert_eq!(hook_result(&hook), (words.to_owned(), failed));
            let failure = failed.then(|| format!("pre-drain/10-nginx {words}"));
            assert_eq!(hook_failure(&hook), failure);
        }
    }
}
