//! A plan for a person: what happens when, then the pods, and the verdict last.

use std::fmt::Write;

use crate::notice::InstanceAction;
use crate::record::Outcome;
use crate::rehearsal::{HookPlan, Plan, PodPlan};
use crate::terminal::{self, plain};

/// Columns of a terminal.
const WIDTH: usize = 80;

/// Of what a hook said, so many lines are shown.
const OUTPUT: usize = 5;

/// The column of names.
const NAME: usize = 36;

pub fn of(plan: &Plan) -> String {
    let mut text = head(plan);
    text.push_str(&timeline(plan));
    text.push_str(&pods(plan));
    text.push('\n');
    text.push_str(&wrapped(&plan.verdict, 0));
    text
}

fn head(plan: &Plan) -> String {
    let mut text = String::new();
    let mut say = |label: &str, line: &str| {
        let indented = wrapped(line, 9);
        // Writing to a String does not fail.
        let _ = write!(text, "{label:<9}{}", indented.trim_start());
    };
    let window = plan.window_seconds.map(|window| format!(", {window:.0} s to the deadline")).unwrap_or_default();
    let action = match plan.action {
        InstanceAction::None => String::new(),
        action => format!(" ({})", action.name()),
    };
    say("notice", &format!("{}{action}{window}", plan.notice));
    let kubernetes = &plan.kubernetes;
    let why = kubernetes.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    match (kubernetes.state.as_str(), &kubernetes.node_name) {
        _ if plan.node_is_another_instances() => say("node", kubernetes.why.as_deref().unwrap_or_default()),
        ("ready", Some(name)) => say("node", &format!("{name}{why}; each request was a dry run")),
        ("none", _) => say("node", &format!("no cluster{why}")),
        _ => say("node", &format!("the cluster is not ready{why}")),
    }
    plan.notes.iter().for_each(|note| say("note", note));
    text
}

/// What happens, in the order of time.
fn timeline(plan: &Plan) -> String {
    let mut lines: Vec<(f64, String)> = Vec::new();
    let mut at = |when: Option<f64>, what: String| {
        if let Some(when) = when {
            let place = lines.iter().position(|(later, _)| *later > when).unwrap_or(lines.len());
            lines.insert(place, (when, what));
        }
    };
    at(plan.window_seconds.map(|_| 0.0), "notice".to_owned());
    let out = if plan.out_of_load_balancers { ", out of load balancers" } else { "" };
    at(plan.cordoned_seconds, format!("node cordoned{out}"));
    plan.hooks.iter().for_each(|hook| at(hook.starts_seconds, hook_lines(hook, plan.hooks_run)));
    if plan.kubernetes.state == "ready" {
        at(plan.pods_asked_seconds, counted(plan));
        at(plan.drained_seconds, "all pods gone, at worst".to_owned());
    }
    at(plan.ended_seconds.filter(|ended| Some(*ended) != plan.window_seconds), "done, at worst".to_owned());
    at(plan.window_seconds, "deadline".to_owned());

    let mut text = if lines.is_empty() { String::new() } else { "\n".to_owned() };
    for (when, what) in lines {
        let mut lines = what.lines();
        let _ = write!(text, "{:>8} s  {}", plus(when), wrapped(lines.next().unwrap_or_default(), 12).trim_start());
        lines.for_each(|line| text.push_str(&wrapped(line, 14)));
    }
    for hook in plan.hooks.iter().filter(|hook| hook.starts_seconds.is_none()) {
        let why = hook.trouble.as_deref().unwrap_or("its phase would not come");
        not_run(&mut text, &format!("{}.d/{}: {why}", hook.phase, hook.name));
    }
    for hook in &plan.hooks_refused {
        not_run(&mut text, &format!("{}.d/{}: {}", hook.phase, hook.name, hook.reason));
    }
    for error in &plan.errors {
        let _ = write!(text, "{:>10}  {}", "error", wrapped(error, 12).trim_start());
    }
    text
}

fn not_run(text: &mut String, what: &str) {
    let _ = write!(text, "{:>10}  {}", "not run", wrapped(what, 12).trim_start());
}

/// When it runs, and below that the end of what it said.
fn hook_lines(hook: &HookPlan, run: bool) -> String {
    let argument = hook.argument.as_deref().map(|argument| format!(" {argument}")).unwrap_or_default();
    let ends = hook.ends_seconds.map(plus).unwrap_or_default();
    let trouble = hook.trouble.as_deref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    let how = match (run, hook.starts_seconds.zip(hook.ends_seconds)) {
        (true, Some((starts, ends))) => format!("ran for {:.1} s{trouble}", ends - starts),
        _ => format!("until {ends} s at worst"),
    };
    let said: Vec<&str> = hook.output.lines().collect();
    let said = said.iter().skip(said.len().saturating_sub(OUTPUT)).map(|line| format!("\n{line}"));
    let name = plain(&hook.name);
    format!("hook {}.d/{name}{argument}, {how}{}", hook.phase, said.collect::<String>())
}

/// `105 pods to stop, 6 stay (5 DaemonSet, 1 static)`
fn counted(plan: &Plan) -> String {
    let kinds = ["DaemonSet", "static", "skipped", "finished"];
    let count = |why: &str| plan.stay.iter().filter(|pod| pod.why == why).count();
    let names: Vec<String> =
        kinds.iter().filter(|why| count(why) > 0).map(|why| format!("{} {why}", count(why))).collect();
    let staying = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let pods = if plan.pods.len() == 1 { "pod" } else { "pods" };
    format!("{} {pods} to stop, {} stay{staying}", plan.pods.len(), plan.stay.len())
}

/// Pods that are alike, as one line; those that do not stop gracefully come last.
fn pods(plan: &Plan) -> String {
    if plan.pods.is_empty() {
        return String::new();
    }
    let mut groups: Vec<Vec<&PodPlan>> = Vec::new();
    for pod in &plan.pods {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| alike(first, pod))) {
            Some(group) => group.push(pod),
            None => groups.push(vec![pod]),
        }
    }
    let mut text =
        format!("\n{:<NAME$} {:>7} {:>9} {:>11} {:>13}\n", "pods", "grace", "asked", "force time", "gone by");
    for outcome in [Outcome::Graceful, Outcome::Killed, Outcome::Left] {
        let is = |group: &&Vec<&PodPlan>| group.first().is_some_and(|pod| pod.outcome == outcome);
        groups.iter().filter(is).for_each(|group| text.push_str(&group_lines(group)));
    }
    text
}

fn alike(one: &PodPlan, other: &PodPlan) -> bool {
    let of = |pod: &PodPlan| (pod.grace_seconds, pod.forced, pod.outcome);
    one.namespace == other.namespace && of(one) == of(other) && reason(one) == reason(other)
}

/// Without the pod's own name, which an API server may quote.
fn reason(pod: &PodPlan) -> Option<String> {
    pod.reason.as_deref().map(|reason| reason.replace(&pod.name, "…"))
}

fn group_lines(group: &[&PodPlan]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let name = match group.len() {
        1 => format!("{}/{}", first.namespace, first.name),
        count => format!("{} ×{count}", first.namespace),
    };
    let latest = |of: &dyn Fn(&PodPlan) -> Option<f64>| -> String {
        let all: Option<Vec<f64>> = group.iter().map(|pod| of(pod)).collect();
        all.map_or("never".to_owned(), |all| format!("{} s", plus(all.into_iter().fold(0.0, f64::max))))
    };
    let force_time = first.force_time_seconds.map_or("passed".to_owned(), |time| format!("{} s", plus(time)));
    let name = plain(&name);
    let mut text =
        if name.chars().count() > NAME { format!("{name}\n{:<NAME$}", "") } else { format!("{name:<NAME$}") };
    let _ = writeln!(
        text,
        " {:>7} {:>9} {:>11} {:>13}",
        format!("{} s", first.grace_seconds),
        latest(&|pod| pod.asked_seconds),
        force_time,
        latest(&|pod| pod.gone_seconds),
    );
    let what = match (first.outcome, first.forced) {
        (Outcome::Killed, _) => Some("cut: "),
        (Outcome::Left, _) => Some("left: "),
        (Outcome::Graceful, true) => Some("forced: "),
        (Outcome::Graceful, false) => None,
    };
    if let Some(what) = what {
        text.push_str(&wrapped(&format!("{what}{}", reason(first).unwrap_or_default()), 2));
    }
    text
}

/// `+30.0`
fn plus(seconds: f64) -> String {
    format!("+{seconds:.1}")
}

/// Lines of 80 columns at most, each indented by so much.
fn wrapped(text: &str, indent: usize) -> String {
    let lines = terminal::wrapped(&plain(text), WIDTH - indent);
    lines.iter().map(|line| format!("{:indent$}{line}\n", "")).collect()
}
