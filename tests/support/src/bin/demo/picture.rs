//! The record as a picture of one screen: when each pod was asked, and how long it took.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Columns of the bars.
const WIDTH: usize = 30;

/// One or more pods of an app, in seconds since the notice.
struct Row {
    pods: usize,
    grace: u64,
    asked: f64,
    gone: f64,
    forced: bool,
    outcomes: Vec<String>,
}

/// Draws a record.
pub fn of(record: &Value) -> String {
    let seen = time_at(&record["notice"]["first_seen"]).unwrap_or(0.0);
    let window = time_at(&record["deadline"]).map_or(30.0, |deadline| deadline - seen);
    let since = |value: &Value| time_at(value).map(|time| time - seen);
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for pod in record["pods"].as_array().into_iter().flatten() {
        add(&mut rows, pod, &since, window);
    }
    let mut rows: Vec<(String, Row)> = rows.into_iter().collect();
    rows.sort_by(|(_, a), (_, b)| a.gone.total_cmp(&b.gone));
    let marks: String =
        (1..=3).map(|third| format!("{:>10}", format!("{:.0}", window * f64::from(third) / 3.0))).collect();
    let mut drawn = format!("{:<10} {:>6}   0{} s\n", "pods", "grace", &marks[1..]);
    for (name, row) in rows {
        drawn.push_str(&draw(&name, &row, window));
    }
    for hook in record["hooks"].as_array().into_iter().flatten() {
        drawn.push_str(&draw_hook(hook, &since, window));
    }
    drawn.push_str(&format!("\n{}\n", sum(record, window, &since)));
    drawn
}

fn add(rows: &mut BTreeMap<String, Row>, pod: &Value, since: &dyn Fn(&Value) -> Option<f64>, window: f64) {
    let name = pod["name"].as_str().unwrap_or_default();
    let app = name.rsplit_once('-').map_or(name, |(app, _)| app).to_owned();
    let asked = since(&pod["asked_at"]).unwrap_or(window);
    let gone = since(&pod["gone_at"]).unwrap_or(window);
    let row = rows.entry(app).or_insert(Row {
        pods: 0,
        grace: pod["grace_seconds"].as_u64().unwrap_or(0),
        asked,
        gone,
        forced: false,
        outcomes: Vec::new(),
    });
    row.pods += 1;
    row.asked = row.asked.min(asked);
    row.gone = row.gone.max(gone);
    row.forced |= pod["forced"] == true;
    row.outcomes.push(pod["outcome"].as_str().unwrap_or("left").to_owned());
}

fn draw(name: &str, row: &Row, window: f64) -> String {
    let name = if row.pods == 1 { name.to_owned() } else { format!("{name} ×{}", row.pods) };
    let mut outcomes = row.outcomes.clone();
    outcomes.sort();
    outcomes.dedup();
    let waited = if row.forced { ", forced past budget" } else { "" };
    let bar = bar(row.asked, row.gone, window, row.forced);
    line(&name, &format!("{} s", row.grace), &bar, &format!("{}{waited}", outcomes.join(" ")))
}

fn draw_hook(hook: &Value, since: &dyn Fn(&Value) -> Option<f64>, window: f64) -> String {
    let start = since(&hook["started_at"]).unwrap_or(window);
    let end = start + hook["seconds"].as_f64().unwrap_or(0.0);
    let phase = hook["phase"].as_str().unwrap_or_default();
    let exit = if hook["timed_out"] == true { "timed out" } else { "hook, ended" };
    line(phase, "", &bar(start, end, window, false), exit)
}

fn line(name: &str, grace: &str, bar: &str, outcome: &str) -> String {
    format!("{name:<10} {grace:>6}   {bar:<WIDTH$} {outcome}\n")
}

/// `░` waits for a budget, `█` stops.
fn bar(asked: f64, gone: f64, window: f64, waited: bool) -> String {
    let column = |seconds: f64| ((seconds / window).clamp(0.0, 1.0) * WIDTH as f64) as usize;
    let (start, end) = (column(asked), column(gone).max(column(asked) + 1));
    let before = if waited { "░" } else { " " };
    before.repeat(start) + &"█".repeat(end - start)
}

fn sum(record: &Value, window: f64, since: &dyn Fn(&Value) -> Option<f64>) -> String {
    let pods: Vec<&Value> = record["pods"].as_array().into_iter().flatten().collect();
    let count = |outcome: &str| pods.iter().filter(|pod| pod["outcome"] == outcome).count();
    let forced = pods.iter().filter(|pod| pod["forced"] == true).count();
    let last = pods.iter().filter_map(|pod| since(&pod["gone_at"])).fold(0.0, f64::max);
    format!(
        "{} pods stopped gracefully ({forced} of them forced past a budget), {} killed, {} left;\n\
         the DaemonSet's and the static pod stay for the kubelet; {:.0} s to spare",
        count("graceful"),
        count("killed"),
        count("left"),
        (window - last).max(0.0)
    )
}

/// Seconds since 1970.
fn time_at(value: &Value) -> Option<f64> {
    let time = OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos() as f64 / 1e9)
}
