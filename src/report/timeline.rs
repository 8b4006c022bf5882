//! What happened in a response and when, counted from the moment at which its notice was first seen.

use std::time::Duration;

use super::groups::{Group, groups};
use super::scale::Scale;
use super::words::{kind_words, length, other_words};
use crate::hooks::Phase;
use crate::moment::{Moment, Timestamp, from_seconds};
use crate::record::{HookWritten, NoticeWritten, PhaseName, Record, ResponseOutcome};
use crate::response::plan;

/// Of a kind of step that comes in more bursts than this, one line tells all.
const BURSTS: usize = 4;

/// What is closer together belongs to one burst.
const BURST: Duration = Duration::from_secs(1);

/// Turns times of day into times since first sight.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub start: Timestamp,
    /// When what had not ended is taken to end: at the deadline, or in a response that goes on, at the last that is
    /// known of it.
    pub over: Duration,
}

impl Times {
    pub fn at(&self, time: Timestamp) -> Duration {
        time.later_than(self.start).unwrap_or_default()
    }

    pub fn maybe(&self, time: Option<Timestamp>) -> Option<Duration> {
        time.map(|time| self.at(time))
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: Duration,
    pub what: String,
}

pub struct Timeline<'a> {
    pub record: &'a Record,
    pub times: Times,
    /// From first sight to the deadline.
    pub window: Duration,
    pub scale: Scale,
    pub steps: Vec<Step>,
    pub groups: Vec<Group<'a>>,
}

impl Timeline<'_> {
    pub fn of(record: &Record) -> Timeline<'_> {
        let notices = record.earlier_notices.iter().chain([&record.notice]);
        let start = notices.map(|notice| notice.first_seen).min().unwrap_or(record.deadline);
        let mut times = Times { start, over: Duration::MAX };
        let window = times.at(record.deadline);
        let last = last(record, &times);
        let went_to_the_end = matches!(record.outcome, Some(ResponseOutcome::Complete | ResponseOutcome::Incomplete));
        times.over = if went_to_the_end { window } else { last };
        let scale = Scale::of(window, last);
        let steps = steps(record, &times, window);
        Timeline { record, times, window, scale, steps, groups: groups(&record.pods, &times) }
    }

    /// When the response had done all, if it has.
    pub fn ended(&self) -> Option<Duration> {
        let done = self.record.phases.iter().rfind(|phase| phase.name == PhaseName::Done);
        done.map(|phase| self.times.at(phase.started_at))
    }

    /// The last moment at which pods with this grace could be asked and still have all of it; nothing if that was
    /// before first sight.
    pub fn force_time(&self, grace: Duration) -> Option<Duration> {
        let deadline = Moment::after_boot(self.window);
        let force_time = plan::force_time(grace, plan::drain_end(deadline)).uptime();
        (force_time > Duration::ZERO).then_some(force_time)
    }

    /// Until when a pod's grace lasts that was asked at that moment.
    pub fn grace_ends(&self, grace: Duration, asked: Duration) -> Duration {
        let drain_end = plan::drain_end(Moment::after_boot(self.window));
        asked + plan::fitted_grace(grace, drain_end, Moment::after_boot(asked))
    }

    /// Hooks in the order in which they ran: those that began before the pods were asked, and the others.
    pub fn hooks(&self) -> (Vec<&HookWritten>, Vec<&HookWritten>) {
        let mut hooks: Vec<&HookWritten> = self.record.hooks.iter().collect();
        hooks.sort_by_key(|hook| hook.started_at.unwrap_or(self.record.deadline));
        hooks.into_iter().partition(|hook| matches!(hook.phase, Phase::Notice | Phase::During | Phase::PreDrain))
    }

    /// From when to when a hook ran.
    pub fn hook_span(&self, hook: &HookWritten) -> Option<(Duration, Duration)> {
        let from = self.times.maybe(hook.started_at)?;
        Some((from, hook.seconds.map_or(self.times.over.max(from), |seconds| from + from_seconds(seconds))))
    }
}

/// The last that a record tells of.
fn last(record: &Record, times: &Times) -> Duration {
    let pods = record.pods.iter().flat_map(|pod| [pod.asked_at, pod.refused_at, pod.locally_at, pod.gone_at]);
    let phases = record.phases.iter().filter(|phase| phase.name != PhaseName::Uncordon);
    let phases = phases.flat_map(|phase| [Some(phase.started_at), phase.ended_at]);
    let troubles = record.troubles.iter().flat_map(|trouble| [Some(trouble.started_at), trouble.ended_at]);
    let hooks = record
        .hooks
        .iter()
        .filter(|hook| hook.phase != Phase::Uncordon)
        .filter_map(|hook| Some(times.at(hook.started_at?) + from_seconds(hook.seconds.unwrap_or(0.0))));
    let others = [record.node.settled_at, Some(record.notice.first_seen)];
    let times_of_day = pods.chain(phases).chain(troubles).chain(others).flatten();
    times_of_day.map(|time| times.at(time)).chain(hooks).max().unwrap_or_default()
}

fn steps(record: &Record, times: &Times, window: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    of_notices(record, times, window, &mut steps);
    of_pods(record, times, &mut steps);
    of_phases(record, times, &mut steps);
    for trouble in &record.troubles {
        let at = times.at(trouble.started_at);
        let lasted = times
            .maybe(trouble.ended_at)
            .map_or("to the end".to_owned(), |end| format!("for {}", length(end.saturating_sub(at))));
        let reason = trouble.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        steps.push(Step { at, what: format!("{}, {lasted}{reason}", other_words(trouble.with)) });
    }
    steps.push(Step { at: window, what: "deadline".to_owned() });
    steps.sort_by_key(|step| step.at);
    steps
}

fn of_notices(record: &Record, times: &Times, window: Duration, steps: &mut Vec<Step>) {
    let mut latest: Option<(&NoticeWritten, Duration)> = None;
    for notice in record.earlier_notices.iter().chain([&record.notice]) {
        let at = times.at(notice.first_seen);
        // Of one that gave way or changed the deadline is not recorded.
        let left = if std::ptr::eq(notice, &record.notice) {
            format!(", {} left", length(window.saturating_sub(at)))
        } else {
            String::new()
        };
        match latest {
            None => steps.push(Step { at, what: format!("notice: {}{left}", kind_words(notice)) }),
            Some((before, _)) if before.kind != notice.kind || before.event_id != notice.event_id => {
                steps.push(Step { at, what: format!("another notice takes over: {}{left}", kind_words(notice)) });
            }
            // When a notice changes is not recorded.
            Some((_, at)) => steps.push(Step { at, what: format!("the notice changed: {}", kind_words(notice)) }),
        }
        latest = Some((notice, at));
    }
    for notice in &record.notices_beside {
        steps.push(Step { at: times.at(notice.first_seen), what: format!("there is a {} too", kind_words(notice)) });
    }
}

fn of_pods(record: &Record, times: &Times, steps: &mut Vec<Step>) {
    let of = |pick: &dyn Fn(&crate::record::PodWritten) -> Option<Timestamp>| -> Vec<Duration> {
        record.pods.iter().filter_map(|pod| times.maybe(pick(pod))).collect()
    };
    let asked = of(&|pod| pod.asked_at.filter(|_| !pod.forced && pod.refused_at.is_none()));
    bursts(asked, steps, |count| format!("{} asked to stop", pods(count)));
    let held = of(&|pod| pod.refused_at);
    if let Some(at) = held.iter().min() {
        steps.push(Step { at: *at, what: format!("{} refused, asked again and again", pods(held.len())) });
    }
    let let_go = of(&|pod| pod.asked_at.filter(|_| !pod.forced && pod.refused_at.is_some()));
    bursts(let_go, steps, |count| format!("{} let go after all", pods(count)));
    let forced = of(&|pod| pod.asked_at.filter(|_| pod.forced));
    bursts(forced, steps, |count| format!("{} forced past a budget", pods(count)));
    let locally = of(&|pod| pod.locally_at);
    bursts(locally, steps, |count| format!("{} stopped on the machine itself", pods(count)));
    if record.pods.iter().all(|pod| pod.gone_at.is_some()) {
        let last = of(&|pod| pod.gone_at).into_iter().max();
        steps.extend(last.map(|at| Step { at, what: "all pods gone".to_owned() }));
    }
}

/// One line for each burst, at its end; where there are too many of them, one for all.
fn bursts(mut times: Vec<Duration>, steps: &mut Vec<Step>, what: impl Fn(usize) -> String) {
    times.sort();
    let all: Vec<&[Duration]> = times.chunk_by(|a, b| b.saturating_sub(*a) < BURST).collect();
    if all.len() <= BURSTS {
        let lines = all.iter().filter_map(|burst| Some(Step { at: *burst.last()?, what: what(burst.len()) }));
        return steps.extend(lines);
    }
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        let since = format!("{}, one after the other from +{:.1} s on", what(times.len()), first.as_secs_f64());
        steps.push(Step { at: *last, what: since });
    }
}

pub fn pods(count: usize) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

fn of_phases(record: &Record, times: &Times, steps: &mut Vec<Step>) {
    if let Some(at) = times.maybe(record.node.settled_at) {
        let what = match (record.node.cordoned_by_us, record.node.labelled_by_us) {
            (true, true) => "node cordoned, out of load balancers",
            (true, false) => "node cordoned",
            (false, true) => "node out of load balancers; it was cordoned already",
            (false, false) => "nothing changed on the node",
        };
        steps.push(Step { at, what: what.to_owned() });
    }
    for phase in &record.phases {
        let at = times.at(phase.started_at);
        let what = match phase.name {
            PhaseName::PreDrain => continue,
            PhaseName::Drain => {
                let staying = record.staying.map(|staying| format!(", {staying}")).unwrap_or_default();
                format!("drain begins: {} to stop{staying}", pods(record.pods.len()))
            }
            PhaseName::PostDrain => "post-drain begins".to_owned(),
            PhaseName::Done => format!("done: {}", super::words::outcome(record.outcome)),
            PhaseName::Uncordon => "the way back begins".to_owned(),
        };
        steps.push(Step { at, what });
    }
    if let Some(at) = times.maybe(record.node.restored_at) {
        let nothing = record.node.nothing_to_undo;
        let what = if nothing { "nothing on the node was ours to undo" } else { "what was done to the node is undone" };
        steps.push(Step { at, what: what.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{InstanceAction, Kind};
    use crate::report::tests::made_up::{at, record, seconds};

    #[test]
    fn what_happened_is_told_in_order_and_counted_from_the_notice() {
        let record = record();
        let steps = Timeline::of(&record).steps;
        let told: Vec<String> =
            steps.iter().map(|step| format!("{:.3} {}", step.at.as_secs_f64(), step.what)).collect();
        let expected = [
            "0.000 notice: spot interruption (terminate), 2 min left",
            "0.012 node cordoned, out of load balancers",
            "0.250 drain begins: 9 pods to stop, 6 stay (5 DaemonSet, 1 static)",
            "0.300 5 pods asked to stop",
            "0.400 2 pods refused, asked again and again",
            "45.000 the API server was silent, for 10 s",
            "50.000 1 pod stopped on the machine itself",
            "87.800 2 pods forced past a budget",
            "105.000 post-drain begins",
            "120.000 done: incomplete",
            "120.000 deadline",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_was_left_is_told_only_of_the_notice_that_the_deadline_is_of() {
        let mut record = record();
        let former = NoticeWritten { first_seen: at(-476.0), ..record.notice.clone() };
        record.earlier_notices =
            vec![NoticeWritten { kind: Kind::Maintenance, action: InstanceAction::Reboot, ..former }];
        let told: Vec<String> = Timeline::of(&record).steps.into_iter().map(|step| step.what).collect();
        assert_eq!(told[0], "notice: maintenance event (reboot)");
        assert_eq!(told[1], "another notice takes over: spot interruption (terminate), 2 min left");
        record.earlier_notices = vec![NoticeWritten { time: Some(at(200.0)), ..record.notice.clone() }];
        let told: Vec<String> = Timeline::of(&record).steps.into_iter().map(|step| step.what).collect();
        assert_eq!(
            told[..2],
            ["notice: spot interruption (terminate)", "the notice changed: spot interruption (terminate)"]
        );
    }

    #[test]
    fn many_bursts_are_one_line() {
        for (times, lines) in [
            (vec![], vec![]),
            (vec![0.1, 0.2, 0.9, 1.5], vec!["1.5: 4"]),
            (vec![5.0, 0.0], vec!["0.0: 1", "5.0: 1"]),
            (vec![0.0, 5.0, 10.0, 15.0, 20.0], vec!["20.0: 5, one after the other from +0.0 s on"]),
        ] {
            let mut steps = Vec::new();
            bursts(times.into_iter().map(seconds).collect(), &mut steps, |count| count.to_string());
            let told: Vec<String> =
                steps.iter().map(|step| format!("{:.1}: {}", step.at.as_secs_f64(), step.what)).collect();
            assert_eq!(told, lines);
        }
    }

    #[test]
    fn force_times_and_graces_are_those_of_the_plan() {
        let record = record();
        let timeline = Timeline::of(&record);
        assert_eq!(timeline.force_time(seconds(30.0)), Some(seconds(87.8)));
        assert_eq!(timeline.force_time(seconds(300.0)), None);
        assert_eq!(timeline.grace_ends(seconds(30.0), seconds(10.0)), seconds(40.0));
        assert_eq!(timeline.grace_ends(seconds(300.0), seconds(10.0)), seconds(118.0));
    }

    #[test]
    fn a_response_without_an_end_reaches_to_the_last_that_is_known() {
        let mut record = record();
        record.outcome = None;
        record.phases.retain(|phase| phase.name == PhaseName::PreDrain);
        record.pods.retain(|pod| pod.name.starts_with("cache"));
        record.hooks.clear();
        record.troubles.clear();
        record.pods[0].outcome = None;
        let timeline = Timeline::of(&record);
        assert_eq!(timeline.groups[0].stops().unwrap().to, seconds(0.3));
        assert_eq!(timeline.groups[0].fate.words(), "still there");
        assert_eq!(timeline.ended(), None);
    }
}
