//! What a status says to a person, line by line; the most important last.

use super::line::{Line, Mark};
use super::response;
use crate::moment::{Clock, Moment, Timestamp, from_seconds};
use crate::observe::status::{Kubernetes, Protection, Status};
use crate::record::Record;

/// The whole page, with at most so many pods of a response.
pub fn page(status: &Status, pods: usize) -> Vec<Line> {
    let mut lines = of_what_was(status, pods);
    lines.push(Line::whole(&verdict(status)));
    lines
}

/// The page without a word on how it is now.
pub fn of_what_was(status: &Status, pods: usize) -> Vec<Line> {
    let mut lines = health(status);
    match &status.response {
        Some(record) => lines.extend(response::lines(record, now(record), pods)),
        None => {
            lines.extend(notices(status));
            lines.push(Line::new("state", &status.words));
        }
    }
    lines
}

/// A page that fits into so many lines: what is well is left out where a response needs the room.
pub fn fitting(status: &Status, height: usize) -> Vec<Line> {
    let Some(record) = &status.response else { return last_of(page(status, 0), height) };
    let mut lines: Vec<Line> = health(status).into_iter().filter(Line::is_bad).collect();
    let taken = lines.len() + response::lines(record, now(record), 0).len() + 1;
    lines.extend(response::lines(record, now(record), height.saturating_sub(taken)));
    lines.push(Line::whole(&verdict(status)));
    last_of(lines, height)
}

fn last_of(mut lines: Vec<Line>, height: usize) -> Vec<Line> {
    lines.split_off(lines.len().saturating_sub(height))
}

/// What is the time on the record's own clock, which stays true when the wall clock is set.
fn now(record: &Record) -> Timestamp {
    let boottime = Moment::after_boot(from_seconds(record.clock.boottime_seconds));
    Clock { boot_id: String::new(), boottime, wall: record.clock.wall }.timestamp(Moment::now())
}

fn health(status: &Status) -> Vec<Line> {
    let instance = &status.instance;
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let what = match &instance.id {
        None => "not known yet".to_owned(),
        Some(id) => {
            let zone = said(&instance.availability_zone);
            format!("{id}, {} in {zone}, {}", said(&instance.kind), said(&instance.life_cycle))
        }
    };
    let mut lines = vec![Line::new("instance", &what)];
    lines.push(of_health("metadata service", status.imds.ok, Mark::Failure, &status.imds.trouble));
    lines.push(cluster(&status.kubernetes));
    lines.push(of_health("records", status.record.ok, Mark::Warning, &status.record.trouble));
    let problems = &status.configuration_problems;
    lines.extend(problems.iter().map(|problem| Line::marked("settings", Mark::Warning, problem)));
    if problems.is_empty() {
        lines.push(Line::marked("settings", Mark::Ok, ""));
    }
    if status.dry_run {
        lines.push(Line::marked("dry run", Mark::Warning, "nothing is changed, only asked for"));
    }
    lines
}

fn of_health(name: &str, ok: bool, otherwise: Mark, trouble: &Option<String>) -> Line {
    Line::marked(name, if ok { Mark::Ok } else { otherwise }, trouble.as_deref().unwrap_or_default())
}

fn cluster(kubernetes: &Kubernetes) -> Line {
    let why = kubernetes.why.as_deref().unwrap_or_default();
    let node = kubernetes.node_name.as_deref().unwrap_or_default();
    let (mark, text) = match kubernetes.state.as_str() {
        "ready" if why.is_empty() => (Mark::Ok, format!("node {node}")),
        "ready" => (Mark::Warning, format!("node {node} is ready still: {why}")),
        "none" if !kubernetes.is_wanted() => (Mark::Ok, format!("none: {why}")),
        "none" => (Mark::Warning, format!("none: {why}")),
        "unknown" => (Mark::Warning, "looking for it".to_owned()),
        _ => (Mark::Failure, why.to_owned()),
    };
    Line::marked("cluster", mark, &text)
}

fn notices(status: &Status) -> Vec<Line> {
    let words = |notice: &crate::observe::status::Notice| {
        let time = notice.time.map(|time| format!(", {time}")).unwrap_or_default();
        let event = notice.event_id.as_deref().map(|id| format!(", {id}")).unwrap_or_default();
        format!("{}{event}{time}", notice.kind.with(notice.action))
    };
    let lines: Vec<Line> = status.notices.iter().map(|notice| Line::new("notice", &words(notice))).collect();
    if lines.is_empty() { vec![Line::new("notice", "none")] } else { lines }
}

/// Is it protected? Or, in a response, how does that go?
pub fn verdict(status: &Status) -> String {
    if status.state != "watching" {
        return status.words.clone();
    }
    let words = match status.protection() {
        Protection::Whole if status.kubernetes.is_wanted() => "protected: a notice would be seen and the node drained",
        Protection::Whole => "protected: a notice would be seen and the hooks run",
        Protection::HooksOnly => "NOT protected but by hooks: there is no cluster, no pod would be moved",
        Protection::None if status.dry_run => "NOT protected: --dry-run changes nothing",
        Protection::None if !status.imds.ok => "NOT protected: the metadata service fails, a notice would not be seen",
        Protection::None if status.kubernetes.state == "unknown" => "NOT protected yet: looking for the cluster",
        Protection::None => "NOT protected: the cluster is not ready, the node could not be drained",
    };
    words.to_owned()
}

/// The same in one line that stands alone.
pub fn in_one_line(status: &Status) -> String {
    if status.state == "watching" { format!("{}; {}", verdict(status), status.words) } else { verdict(status) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn pod(number: usize, asked: bool, outcome: Option<&str>) -> Value {
        let asked_at = asked.then_some("2026-11-22T20:33:45.000Z");
        json!({
            "namespace": "web", "name": format!("api-{number}"), "uid": "u", "priority": 0, "grace_seconds": 30,
            "capped": false, "asked_at": asked_at, "forced": false, "locally_at": null, "gone_at": null, "cut": false,
            "has_claims": false, "outcome": outcome, "reason": "refused\u{1b}[2J",
        })
    }

    fn hook(number: usize, exit: Option<i32>) -> Value {
        json!({
            "phase": "pre-drain", "name": format!("{number:02}-x"), "argument": null, "wave": 0,
            "started_at": "2026-11-22T20:33:43.250Z", "seconds": exit.map(|_| 1.5), "exit": exit, "signal": null,
            "reason": null, "timed_out": false, "stopped": false, "output_tail": "", "process": null,
        })
    }

    /// A drain in the middle, two seconds after its first sight.
    fn status(pods: &[Value], hooks: &[Value], troubles: usize) -> Status {
        let problems: Vec<String> = (0..troubles).map(|number| format!("config.toml:{number}: unknown key")).collect();
        let now = Moment::now().uptime().as_secs_f64();
        serde_json::from_value(json!({
            "version": 1, "at": "2026-11-22T20:33:45.250Z", "pid": 1, "state": "responding",
            "words": "terminate in 118 s; draining, 3 of 5 pods left", "dry_run": false,
            "instance": {"id": "i-0", "type": "m5.large", "availability_zone": "eu-west-1a", "region": "eu-west-1",
                         "life_cycle": "spot"},
            "notices": [], "imds": {"ok": true, "trouble": null},
            "kubernetes": {"state": "ready", "mode": "auto", "node_name": "n", "why": null},
            "record": {"ok": true, "trouble": null}, "configuration_problems": problems,
            "response": {
                "version": 1, "id": "20261122T203343Z",
                "clock": {"boot_id": "b", "boottime_seconds": now - 2.0, "wall": "2026-11-22T20:33:43.250Z"},
                "notice": {"kind": "spot-interruption", "action": "terminate", "event_id": null, "time": null,
                           "first_seen": "2026-11-22T20:33:43.250Z"},
                "earlier_notices": [], "deadline": "2026-11-22T20:35:43.250Z", "overdue": false,
                "terms": {
                    "reaction": "drain", "exclude_from_load_balancers": true, "taints": [], "conditions": true,
                    "events": true,
                    "drain": {"delay_seconds": 0.0, "reserve_seconds": null, "grace_period_limit_seconds": null,
                              "respect_budgets": true, "skip": null, "local_after_seconds": null, "volumes": true},
                    "hooks": {"timeout_seconds": 30.0, "timeouts_seconds": {}, "pre_drain_limit_seconds": null},
                },
                "instance": {"id": "i-0", "type": null, "availability_zone": null, "region": null, "life_cycle": null},
                "node": {"name": "n", "settled_at": null, "cordoned_by_us": false, "labelled_by_us": false},
                "pods": pods, "hooks": hooks,
                "phases": [{"name": "drain", "started_at": "2026-11-22T20:33:44.250Z", "ended_at": null}],
                "local_drain": {"wave": 0, "active": false, "blind": false}, "outcome": null, "errors": [],
            },
        }))
        .unwrap()
    }

    fn shown(lines: &[Line]) -> String {
        lines.iter().map(|line| line.cut(80, false) + "\n").collect()
    }

    #[test]
    fn a_response_is_shown_with_what_matters_most_last_and_only_what_is_wrong_beside_it() {
        let pods = [pod(0, true, None), pod(1, false, None), pod(2, true, Some("graceful"))];
        let status = status(&pods, &[hook(10, Some(0)), hook(20, Some(3)), hook(30, None)], 1);
        let lines = shown(&fitting(&status, 24));
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines[0], "settings          warning  config.toml:0: unknown key");
        assert_eq!(lines[1], "response          20261122T203343Z, spot interruption (terminate)");
        assert!(lines[2].starts_with("  web/api-0                       ░░░░░░░░░░░░░░░░  0 of 30 s"), "{lines:#?}");
        assert_eq!(lines[3], "  web/api-1                       ░░░░░░░░░░░░░░░░  waits, was refused so far");
        assert_eq!(lines[5], "hook              ok       pre-drain/10-x, 1.5 s");
        assert_eq!(lines[6], "hook              failure  pre-drain/20-x exit 3, 1.5 s");
        assert!(lines[7].starts_with("hook              runs     pre-drain/30-x for "), "{lines:#?}");
        assert_eq!(lines.last(), Some(&"terminate in 118 s; draining, 3 of 5 pods left"));
        assert_eq!(lines[lines.len() - 2], "pods              1 of 3 gone; 1 stopping, 1 waiting; 0 killed, 0 left");
    }

    #[test]
    fn of_five_hundred_pods_those_whose_end_is_nearest_are_shown() {
        let mut pods: Vec<Value> = (0..500).map(|number| pod(number, false, None)).collect();
        pods[300] = pod(300, true, None);
        pods[400] = pod(400, true, Some("killed"));
        let lines = fitting(&status(&pods, &[], 0), 24);
        assert_eq!(lines.len(), 24);
        let shown = shown(&lines);
        let names: Vec<&str> =
            shown.lines().filter_map(|line| line.strip_prefix("  web/")?.split(' ').next()).collect();
        assert_eq!(names[..2], ["api-400", "api-300"], "{shown}");
        assert!(shown.contains(&format!("… and {} more", 500 - names.len())), "{shown}");
    }

    #[test]
    fn of_many_hooks_those_that_run_or_failed_are_shown() {
        let mut hooks: Vec<Value> = (10..40).map(|number| hook(number, Some(0))).collect();
        hooks[3] = hook(13, Some(1));
        hooks[29] = hook(39, None);
        let shown = shown(&fitting(&status(&[], &hooks, 0), 24));
        assert_eq!(shown.matches("\nhook ").count(), 6, "{shown}");
        assert!(shown.contains("13-x exit 1") && shown.contains("39-x for") && shown.contains("38-x"), "{shown}");
    }

    proptest! {
        #[test]
        fn whatever_there_is_it_fits_into_the_terminal_and_ends_in_the_verdict(
            pods in 0..600_usize, hooks in 0..40_usize, troubles in 0..40_usize, height in 1..60_usize,
        ) {
            let pods: Vec<Value> = (0..pods).map(|number| pod(number, number % 3 == 0, None)).collect();
            let hooks: Vec<Value> = (0..hooks).map(|number| hook(number, (number % 2 == 0).then_some(1))).collect();
            let lines = fitting(&status(&pods, &hooks, troubles), height);
            prop_assert!(lines.len() <= height);
            prop_assert_eq!(lines.last().map(|line| line.cut(80, false)), Some("terminate in 118 s; draining, 3 of 5 pods left".to_owned()));
            prop_assert!(!shown(&lines).chars().any(|c| c == '\x1b'));
        }
    }
}
