//! Responses as text, broken at 80 columns; what is to be known first comes last, where the eye ends.

use std::fmt::Write;
use std::time::Duration;

use super::groups::Group;
use super::scale::Scale;
use super::timeline::Timeline;
use super::words::{Level, Verdict, hook_failure, hook_result, kind_words, outcome, place, tally, took};
use crate::record::{HookWritten, Outcome, Record};
use crate::terminal::{self, cut, plain};

const WIDTH: usize = 80;
const LABEL: usize = 17;
const BARS: usize = 38;
const NOTE: usize = WIDTH - LABEL - BARS - 2;

/// So many rows of pods are shown, the worst of them.
const ROWS: usize = 30;

/// So many pods that are left or killed, failed hooks and errors are named.
const NAMED: usize = 10;

/// The others in a line each, of `width` columns at most, then these in full. `colours`: the verdict has one.
pub fn text(shown: &[&Record], others: &[&Record], width: usize, colours: bool) -> String {
    let mut text = String::new();
    for record in others {
        line(&mut text, &cut(&in_a_line(record), width));
    }
    for record in shown {
        if !text.is_empty() {
            text.push('\n');
        }
        in_full(&mut text, record, colours);
    }
    text
}

fn in_a_line(record: &Record) -> String {
    let became = if record.terms.drains() && !record.pods.is_empty() { tally(&record.pods) } else { String::new() };
    let ended = outcome(record.outcome);
    let became = if became.is_empty() { ended.to_owned() } else { format!("{ended}, {became}") };
    format!("{:<17} {:<24} {became}", record.id, record.notice.kind.to_string())
}

fn in_full(text: &mut String, record: &Record, colours: bool) {
    let timeline = Timeline::of(record);
    line(text, &format!("{}  {}", record.id, kind_words(&record.notice)));
    for more in [record.node.name.clone().unwrap_or_default(), place(record).join("  ")] {
        line(text, &format!("{:LABEL$} {more}", ""));
    }
    for step in &timeline.steps {
        wrapped(text, &format!("{:>+9.3} s", step.at.as_secs_f64()), &step.what);
    }
    bars(text, &timeline);
    details(text, record);
    let verdict = Verdict::of(&timeline);
    if !record.pods.is_empty() {
        line(text, &tally(&record.pods));
    }
    let words = plain(&verdict.words);
    match (colours, verdict.level) {
        (false, _) => line(text, &words),
        // Writing to a String does not fail.
        (true, Level::Good) => drop(writeln!(text, "\x1b[32m{words}\x1b[0m")),
        (true, Level::Doubtful) => drop(writeln!(text, "\x1b[33m{words}\x1b[0m")),
        (true, Level::Bad) => drop(writeln!(text, "\x1b[31m{words}\x1b[0m")),
    }
}

fn bars(text: &mut String, timeline: &Timeline) {
    let (before, after) = timeline.hooks();
    if timeline.groups.is_empty() && before.is_empty() && after.is_empty() {
        return;
    }
    text.push('\n');
    row(text, "", &axis(&timeline.scale), "");
    before.iter().for_each(|hook| hook_row(text, timeline, hook));
    let more: usize = timeline.groups.iter().skip(ROWS).map(|group| group.courses.len()).sum();
    if more > 0 {
        row(text, &format!("{more} more pods"), "", "");
    }
    timeline.groups.iter().take(ROWS).rev().for_each(|group| group_row(text, timeline, group));
    after.iter().for_each(|hook| hook_row(text, timeline, hook));
}

/// `0        30        60        90       120 s`
fn axis(scale: &Scale) -> String {
    let mut axis = String::new();
    for (at, label) in scale.marks() {
        let column = cells(scale, at);
        while axis.chars().count() < column {
            axis.push(' ');
        }
        axis += &label.to_string();
    }
    format!("{axis} {}", scale.unit_words().0)
}

fn cells(scale: &Scale, at: Duration) -> usize {
    (scale.place(at) * BARS as f64) as usize
}

fn group_row(text: &mut String, timeline: &Timeline, group: &Group) {
    let mut cells = [' '; BARS];
    if let Some(waits) = group.waits() {
        fill(&mut cells, &timeline.scale, waits.from, waits.to, '░');
    }
    if let Some(stops) = group.stops() {
        fill(&mut cells, &timeline.scale, stops.from, stops.to, if group.fate.locally { '▓' } else { '█' });
    }
    row(text, &group.label(), cells.iter().collect::<String>().trim_end(), &note(group));
}

/// What became of them, in 23 columns.
fn note(group: &Group) -> String {
    let seconds = |span: Option<super::groups::Span>| span.map_or(0.0, |span| span.from.as_secs_f64());
    let waited = group.waits().map(|span| span.to.saturating_sub(span.from)).unwrap_or_default().as_secs();
    match (group.fate.outcome, &group.fate) {
        (Some(Outcome::Graceful), fate) if fate.locally => "stopped on the machine".to_owned(),
        (Some(Outcome::Graceful), fate) if fate.forced => format!("forced at +{:.0} s", seconds(group.stops())),
        (Some(Outcome::Graceful), fate) if fate.unasked => "stopped by others".to_owned(),
        (Some(Outcome::Graceful), fate) if fate.waited => format!("waited {waited} s for budget"),
        (Some(Outcome::Graceful), _) => String::new(),
        (Some(Outcome::Killed), fate) if fate.forced => format!("KILLED, forced +{:.0} s", seconds(group.stops())),
        (Some(Outcome::Killed), _) => "KILLED".to_owned(),
        (Some(Outcome::Left), fate) if fate.unasked => "LEFT, never let go".to_owned(),
        (Some(Outcome::Left), _) => "LEFT".to_owned(),
        (None, _) => "still there".to_owned(),
    }
}

fn hook_row(text: &mut String, timeline: &Timeline, hook: &HookWritten) {
    let mut cells = [' '; BARS];
    if let Some((from, to)) = timeline.hook_span(hook) {
        fill(&mut cells, &timeline.scale, from, to, '█');
    }
    let (result, failed) = hook_result(hook);
    let result = if failed { result.to_uppercase() } else { result };
    let took = took(hook).map(|took| format!(" {took}")).unwrap_or_default();
    let end = format!(" {result}{took}");
    let name = cut(&hook.name, NOTE.saturating_sub(end.chars().count()).max(8));
    row(text, hook.phase.name(), cells.iter().collect::<String>().trim_end(), &format!("{name}{end}"));
}

/// Fills the cells from one moment to another, at least an eighth of one.
fn fill(cells: &mut [char; BARS], scale: &Scale, from: Duration, to: Duration, with: char) {
    const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let first = self::cells(scale, from).min(BARS - 1);
    let end = scale.place(to) * BARS as f64;
    for (place, cell) in cells.iter_mut().enumerate().skip(first) {
        let filled = end - place as f64;
        if filled >= 1.0 {
            *cell = with;
        } else if place == first || filled > 0.0 {
            // What took no time is to be seen too.
            let eighth = if from == to { 0 } else { ((filled.max(0.0) * 8.0) as usize).min(7) };
            *cell = if with == '█' { EIGHTHS[eighth] } else { with };
        } else {
            break;
        }
    }
}

fn row(text: &mut String, label: &str, bars: &str, note: &str) {
    let label = cut(label, LABEL - 1);
    line(text, &format!("{label:<LABEL$}{bars:<BARS$}  {}", cut(note, NOTE)));
}

fn details(text: &mut String, record: &Record) {
    let bad = |pod: &&crate::record::PodWritten| matches!(pod.outcome, Some(Outcome::Left | Outcome::Killed));
    let pods = record.pods.iter().filter(bad).map(|pod| {
        let word = if pod.outcome == Some(Outcome::Left) { "left" } else { "killed" };
        let reason = pod.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        (word, format!("{}/{}{reason}", pod.namespace, pod.name))
    });
    let hooks = record.hooks.iter().filter_map(|hook| {
        let said = hook.output_tail.lines().rfind(|line| !line.trim().is_empty());
        let said = said.map(|said| format!(", it said: {said}")).unwrap_or_default();
        Some(("hook", hook_failure(hook)? + &said))
    });
    let errors = record.errors.iter().map(|error| ("error", error.clone()));
    text.push('\n');
    for lines in [pods.collect::<Vec<_>>(), hooks.collect(), errors.collect()] {
        for (word, what) in lines.iter().take(NAMED) {
            wrapped(text, &format!("{word:<7}"), what);
        }
        if lines.len() > NAMED {
            line(text, &format!("{:<7} and {} more", "", lines.len() - NAMED));
        }
    }
}

fn line(text: &mut String, words: &str) {
    let _ = writeln!(text, "{}", plain(words).trim_end());
}

/// Words after a label, on as many lines as they need.
fn wrapped(text: &mut String, label: &str, told: &str) {
    let indent = label.chars().count() + 2;
    let mut label = label;
    for line in terminal::wrapped(&plain(told), WIDTH - indent) {
        let _ = writeln!(text, "{label:width$}  {line}", width = indent - 2);
        label = "";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::made_up::record;

    #[test]
    fn a_response_is_told_on_a_screen_of_80_columns_and_the_verdict_comes_last() {
        let record = record();
        let told = text(&[&record], &[&record], WIDTH, false);
        assert!(told.lines().all(|line| line.chars().count() <= WIDTH && line == line.trim_end()), "{told}");
        let whole = text(&[], &[&record], usize::MAX, false);
        assert!(whole.ends_with(", 7 graceful (2 of them forced past a budget), 1 killed, 1 left\n"), "{whole}");
        let last: Vec<&str> = told.lines().rev().take(2).collect();
        assert_eq!(last[0], "1 of 9 pods not gone at the deadline, 1 killed; 1 hook failed");
        assert_eq!(last[1], "7 graceful (2 of them forced past a budget), 1 killed, 1 left");
        for line in [
            "20261122T203343Z  spot interruption        incomplete, 7 graceful (2 of them fo…",
            "20261122T203343Z  spot interruption (terminate)",
            "                  ip-10-0-1-7.eu-west-1.compute.internal",
            "                  i-0ab1c2d3e4f567890  m5.large  eu-west-1a",
            "   +0.012 s  node cordoned, out of load balancers",
            "                 0        30        60       90        120 s",
            "web ×3           ██",
            "db ×2            ░░░░░░░░░░░░░░░░░░░░░░░░░░░███▏         forced at +88 s",
            "cache-2          ██████████████████████████████████████  LEFT",
            "pre-drain        ▏                                       10-dereg… EXIT 1 0.20 s",
            "left     shop/cache-2: a finalizer",
            "hook     pre-drain/10-deregister exit 1, it said: cannot reach the load balancer",
        ] {
            assert!(told.lines().any(|told| told == line), "no {line}\n{told}");
        }
    }

    #[test]
    fn only_the_verdict_has_a_colour_and_texts_of_others_have_none() {
        let mut record = record();
        record.errors = vec!["\u{1b}[2J".to_owned()];
        record.pods[6].name = "a\u{1b}]0;b".to_owned();
        assert!(!text(&[&record], &[], WIDTH, false).contains('\u{1b}'));
        let coloured = text(&[&record], &[&record], WIDTH, true);
        assert_eq!(coloured.matches('\u{1b}').count(), 2, "{coloured}");
        assert!(coloured.lines().last().unwrap().starts_with("\u{1b}[31m"), "{coloured}");
    }

    #[test]
    fn hundreds_of_pods_fit_on_a_few_screens_and_the_worst_are_among_them() {
        let mut record = record();
        let one = record.pods[0].clone();
        let name = |number: usize| format!("{}{}", ["a", "b", "c", "d"][number % 4], number / 4);
        record.pods.extend((0..500).map(|number| crate::record::PodWritten { name: name(number), ..one.clone() }));
        let told = text(&[&record], &[], WIDTH, false);
        assert!(told.lines().count() < 70, "{told}");
        assert!(["LEFT", "KILLED", "476 more pods"].iter().all(|word| told.contains(word)), "{told}");
    }

    #[test]
    fn long_words_are_broken_and_nothing_is_lost() {
        let mut told = String::new();
        wrapped(&mut told, "error  ", &format!("cannot {} go on", "x".repeat(200)));
        assert!(told.lines().all(|line| line.chars().count() <= WIDTH), "{told}");
        assert_eq!(told.matches('x').count(), 200);
    }
}
