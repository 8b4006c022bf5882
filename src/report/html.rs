//! Responses as one page of HTML that needs nothing beside itself: no network, no script, no font.

use std::fmt::Write;
use std::time::Duration;

use super::chart::{PATTERNS, chart};
use super::escape::Html;
use super::timeline::Timeline;
use super::words::{
    Level, Verdict, counts, forced, hook_name, hook_result, kind_words, length, outcome, place, spare, tally, took,
};
use crate::moment::Timestamp;
use crate::record::{HookWritten, Outcome, PodWritten, Record};

/// How it looks, light, dark and on paper.
const STYLE: &str = include_str!("page.css");

/// The page forbids scripts and all loading, in case something of a record were taken for markup.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n";

/// These responses in full, the newest first, and the others in a line each. Writing to a String does not fail.
pub fn html(shown: &[&Record], others: &[&Record]) -> String {
    let mut page = HEAD.to_owned();
    let timelines: Vec<Timeline> = shown.iter().rev().map(|record| Timeline::of(record)).collect();
    let title = timelines.first().map(|timeline| {
        let node = timeline.record.node.name.as_deref().unwrap_or("this machine");
        format!("{} on {node}: {}", timeline.record.notice.kind, Verdict::of(timeline).words)
    });
    let title = title.unwrap_or_else(|| "spot-guard".to_owned());
    let _ = writeln!(page, "<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>", Html(&title));
    page.push_str(PATTERNS);
    page.push_str("<main>\n");
    timelines.iter().enumerate().for_each(|(number, timeline)| article(&mut page, timeline, number));
    list(&mut page, others);
    let _ = writeln!(page, "<footer>Written by spot-guard {}. Times are UTC.</footer>", env!("CARGO_PKG_VERSION"));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn article(page: &mut String, timeline: &Timeline, number: usize) {
    let record = timeline.record;
    let _ = writeln!(page, "<article id=\"{0}\" aria-labelledby=\"h{number}\">\n<header>", Html(&record.id));
    let verdict = Verdict::of(timeline);
    let (class, sign) = match verdict.level {
        Level::Good => ("good", "✓"),
        Level::Doubtful => ("doubtful", "!"),
        Level::Bad => ("bad", "✕"),
    };
    let start = day_and_time(timeline.times.start);
    let _ = writeln!(page, "<p class=\"over\">{} · {start} UTC</p>", kind_words(&record.notice));
    let _ = writeln!(page, "<h1 id=\"h{number}\">{}</h1>", Html(&verdict.words));
    let ended = outcome(record.outcome);
    let _ = writeln!(page, "<p class=\"sign {class}\"><span aria-hidden=\"true\">{sign}</span> {ended}</p>");
    facts(page, timeline);
    tiles(page, timeline);
    page.push_str("</header>\n");
    errors(page, &record.errors);
    chart(page, timeline, number);
    steps(page, timeline);
    hooks(page, timeline);
    pods(page, timeline);
    page.push_str("</article>\n");
}

fn facts(page: &mut String, timeline: &Timeline) {
    let record = timeline.record;
    let life_cycle = record.instance.life_cycle.as_deref();
    let machine = place(record).into_iter().chain(life_cycle).collect::<Vec<_>>().join(" · ");
    let announced = record.notice.time.filter(|time| time.unix_seconds() != record.deadline.unix_seconds());
    let announced = announced.map(|time| format!("EC2 said {}", time_of_day(time)));
    let overdue = record.overdue.then(|| "which had passed".to_owned());
    let deadline = [Some(time_of_day(record.deadline)), announced, overdue].into_iter().flatten().collect::<Vec<_>>();
    let staying = record.staying.map(|staying| format!(", {staying}")).unwrap_or_default();
    let to_stop = record.terms.drains().then(|| format!("{} to stop{staying}", record.pods.len()));
    let facts = [
        ("Node", record.node.name.clone().unwrap_or_default()),
        ("Instance", machine),
        ("Pods", to_stop.unwrap_or_default()),
        ("Deadline", deadline.join(", ")),
        ("Response", record.id.clone()),
    ];
    page.push_str("<dl class=\"facts\">\n");
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", Html(value));
    }
    page.push_str("</dl>\n");
}

/// The figures of the response, what is bad among them marked.
fn tiles(page: &mut String, timeline: &Timeline) {
    let record = timeline.record;
    page.push_str("<dl class=\"tiles\">\n");
    let mut tile = |name: &str, value: &str, more: &str, bad: bool| {
        let class = if bad { " bad" } else { "" };
        let more = if more.is_empty() { String::new() } else { format!("<small>{more}</small>") };
        let _ = writeln!(page, "<div class=\"tile{class}\"><dt>{name}</dt><dd>{value}{more}</dd></div>");
    };
    if !record.pods.is_empty() {
        let [graceful, killed, left] = counts(&record.pods);
        let forced = forced(&record.pods);
        let forced = if forced > 0 { format!("{forced} forced past a budget") } else { String::new() };
        tile("graceful", &graceful.to_string(), &forced, false);
        tile("killed", &killed.to_string(), "", killed > 0);
        tile("left", &left.to_string(), "", left > 0);
    }
    if let Some(spare) = spare(timeline) {
        tile("to spare", &length(spare), &format!("of {}", length(timeline.window)), false);
    }
    if let Some(settled) = timeline.times.maybe(record.node.settled_at).filter(|_| record.node.cordoned_by_us) {
        tile("cordoned after", &length(settled), "", false);
    }
    let asked = record.pods.iter().filter(|pod| pod.refused_at.is_none()).filter_map(|pod| pod.asked_at).max();
    if let Some(asked) = timeline.times.maybe(asked) {
        tile("pods asked after", &length(asked), "", false);
    }
    page.push_str("</dl>\n");
}

fn errors(page: &mut String, errors: &[String]) {
    if errors.is_empty() {
        return;
    }
    page.push_str("<h2>What went wrong</h2>\n<ul class=\"errors\">\n");
    for error in errors {
        let _ = writeln!(page, "<li>{}</li>", Html(error));
    }
    page.push_str("</ul>\n");
}

fn steps(page: &mut String, timeline: &Timeline) {
    page.push_str("<h2>What happened</h2>\n");
    head(page, "steps", &[("after", "r"), ("UTC", ""), ("", "")]);
    for step in &timeline.steps {
        let (after, time) = (after(step.at), time_of_day(timeline.times.start + step.at));
        let _ = writeln!(
            page,
            "<tr><td class=\"r\">{after}</td><td class=\"t\">{time}</td><td class=\"wide\">{}</td></tr>",
            Html(&step.what)
        );
    }
    page.push_str("</tbody></table>\n");
}

fn hooks(page: &mut String, timeline: &Timeline) {
    let (before, others) = timeline.hooks();
    if before.is_empty() && others.is_empty() {
        return;
    }
    page.push_str("<h2>Hooks</h2>\n");
    head(page, "hooks", &[("hook", ""), ("result", ""), ("started", "r"), ("took", "r")]);
    before.into_iter().chain(others).for_each(|hook| hook_row(page, timeline, hook));
    page.push_str("</tbody></table>\n");
}

fn hook_row(page: &mut String, timeline: &Timeline, hook: &HookWritten) {
    let (result, failed) = hook_result(hook);
    let class = if failed { " class=\"bad\"" } else { "" };
    let started = timeline.times.maybe(hook.started_at).map(after).unwrap_or_default();
    let output = match hook.output_tail.trim_end() {
        "" => String::new(),
        output => format!("<pre>{}</pre>", Html(output)),
    };
    let _ = writeln!(
        page,
        "<tr{class}><th scope=\"row\">{}{output}</th><td>{}</td><td class=\"r\" data-l=\"started\">{started}</td>\
         <td class=\"r\" data-l=\"took\">{}</td></tr>",
        Html(&hook_name(hook)),
        Html(&result),
        took(hook).unwrap_or_default()
    );
}

fn pods(page: &mut String, timeline: &Timeline) {
    if timeline.groups.is_empty() {
        return;
    }
    page.push_str("<h2>Pods</h2>\n");
    let columns =
        [("pod", ""), ("outcome", ""), ("grace", "r"), ("refused", "r"), ("asked", "r"), ("gone", "r"), ("took", "r")];
    head(page, "pods", &columns);
    for group in &timeline.groups {
        let words = group.fate.words();
        group.courses.iter().for_each(|course| pod_row(page, timeline, course.pod, &words));
    }
    page.push_str("</tbody></table>\n");
}

fn pod_row(page: &mut String, timeline: &Timeline, pod: &PodWritten, fate: &str) {
    let times = &timeline.times;
    let bad = matches!(pod.outcome, Some(Outcome::Left | Outcome::Killed));
    let class = if bad { " class=\"bad\"" } else { "" };
    let asked = times.maybe(pod.asked_at.or(pod.locally_at));
    let gone = times.maybe(pod.gone_at);
    let took = asked.zip(gone).map(|(asked, gone)| length(gone.saturating_sub(asked))).unwrap_or_default();
    let reason = pod.reason.as_deref().map(|reason| format!("<br><i>{}</i>", Html(reason))).unwrap_or_default();
    let capped = if pod.capped { ", capped" } else { "" };
    let _ = write!(
        page,
        "<tr{class}><th scope=\"row\"><i>{}/</i>{}{reason}</th><td class=\"wide\">{fate}</td>\
         <td class=\"r\" data-l=\"grace\">{}{capped}</td>",
        Html(&pod.namespace),
        Html(&pod.name),
        length(Duration::from_secs(pod.grace_seconds))
    );
    for (name, time) in [("refused", times.maybe(pod.refused_at)), ("asked", asked), ("gone", gone)] {
        let _ = write!(page, "<td class=\"r\" data-l=\"{name}\">{}</td>", time.map(after).unwrap_or_default());
    }
    let _ = writeln!(page, "<td class=\"r\" data-l=\"took\">{took}</td></tr>");
}

fn list(page: &mut String, others: &[&Record]) {
    if others.is_empty() {
        return;
    }
    page.push_str("<h2>Other responses</h2>\n");
    head(page, "list", &[("response", ""), ("notice", ""), ("outcome", ""), ("pods", "")]);
    for record in others.iter().rev() {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"wide\">{}</td></tr>",
            Html(&record.id),
            kind_words(&record.notice),
            outcome(record.outcome),
            tally(&record.pods)
        );
    }
    page.push_str("</tbody></table>\n");
}

/// Begins a table of that class: each column's name and class.
fn head(page: &mut String, class: &str, columns: &[(&str, &str)]) {
    let _ = write!(page, "<table class=\"{class}\"><thead><tr>");
    for (name, class) in columns {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        match *name {
            "" => page.push_str("<td></td>"),
            name => {
                let _ = write!(page, "<th scope=\"col\"{class}>{name}</th>");
            }
        }
    }
    page.push_str("</tr></thead><tbody>\n");
}

/// `+0.012 s`
fn after(time: Duration) -> String {
    format!("+{:.3} s", time.as_secs_f64())
}

/// `2026-11-22 20:33:43`
fn day_and_time(time: Timestamp) -> String {
    time.to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// `20:33:43.120`
fn time_of_day(time: Timestamp) -> String {
    time.to_string().chars().skip(11).take(12).collect()
}
