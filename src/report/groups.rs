//! Pods that had the same fate and come from the same owner, to be shown as one.

use std::cmp::Reverse;
use std::time::Duration;

use super::timeline::Times;
use super::words::length;
use crate::record::{Outcome, PodWritten};

/// From one moment to another, both since first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Duration,
    pub to: Duration,
}

/// What became of a pod, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The worst first: not gone, killed, nothing known yet, graceful.
    severity: u8,
    pub outcome: Option<Outcome>,
    pub locally: bool,
    pub forced: bool,
    pub waited: bool,
    pub unasked: bool,
}

impl Fate {
    fn of(pod: &PodWritten) -> Fate {
        let severity = match pod.outcome {
            Some(Outcome::Left) => 0,
            Some(Outcome::Killed) => 1,
            None => 2,
            Some(Outcome::Graceful) => 3,
        };
        Fate {
            severity,
            outcome: pod.outcome,
            locally: pod.locally_at.is_some(),
            forced: pod.forced,
            waited: pod.refused_at.is_some(),
            unasked: pod.asked_at.is_none() && pod.locally_at.is_none(),
        }
    }

    /// `graceful, forced past its budget`
    pub fn words(&self) -> String {
        let outcome = match self.outcome {
            Some(Outcome::Left) => "left",
            Some(Outcome::Killed) => "killed",
            Some(Outcome::Graceful) => "graceful",
            None => "still there",
        };
        let how = match self {
            Fate { locally: true, .. } => ", stopped on the machine",
            Fate { forced: true, .. } => ", forced past its budget",
            Fate { waited: true, unasked: true, .. } => ", its budget never allowed it",
            Fate { waited: true, .. } => ", waited for its budget",
            Fate { unasked: true, outcome: Some(Outcome::Graceful | Outcome::Killed), .. } => ", stopped by others",
            Fate { unasked: true, .. } => ", never asked",
            _ => "",
        };
        format!("{outcome}{how}")
    }
}

/// A pod's way: held by a budget, then stopping.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    pub pod: &'a PodWritten,
    pub waits: Option<Span>,
    pub stops: Option<Span>,
}

impl Course<'_> {
    fn of<'a>(pod: &'a PodWritten, times: &Times) -> Course<'a> {
        let end = times.maybe(pod.gone_at).unwrap_or(times.over);
        let first = [pod.asked_at, pod.locally_at].into_iter().flatten().min();
        let begins = times.maybe(first).or(pod.gone_at.map(|_| end));
        let waits = times.maybe(pod.refused_at).map(|from| Span { from, to: begins.unwrap_or(end).max(from) });
        let stops = begins.map(|from| Span { from, to: end.max(from) });
        Course { pod, waits, stops }
    }
}

/// Pods that are shown as one.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    pub namespace: &'a str,
    /// Of their owner; of a pod that is alone, its own.
    pub name: &'a str,
    pub grace: Duration,
    pub fate: Fate,
    pub courses: Vec<Course<'a>>,
}

impl Group<'_> {
    /// `web ×60`
    pub fn label(&self) -> String {
        match self.courses.len() {
            1 => self.name.to_owned(),
            count => format!("{} ×{count}", self.name),
        }
    }

    /// From when on the first of them was held by its budget, until the last was not.
    pub fn waits(&self) -> Option<Span> {
        hull(self.courses.iter().filter_map(|course| course.waits))
    }

    pub fn stops(&self) -> Option<Span> {
        hull(self.courses.iter().filter_map(|course| course.stops))
    }

    /// What happened to them in one sentence, for those who do not see the bars.
    pub fn story(&self) -> String {
        let mut story = format!("{}, grace {}", self.label(), length(self.grace));
        if let Some(waits) = self.waits() {
            story += &format!(", held by a budget from +{:.1} s", waits.from.as_secs_f64());
        }
        if let Some(stops) = self.stops() {
            story += &format!(", stopping from +{:.1} s to +{:.1} s", stops.from.as_secs_f64(), stops.to.as_secs_f64());
        }
        format!("{story}: {}", self.fate.words())
    }
}

fn hull(spans: impl Iterator<Item = Span>) -> Option<Span> {
    spans.reduce(|a, b| Span { from: a.from.min(b.from), to: a.to.max(b.to) })
}

/// The pods in groups: the worst fate first, then the one that took longest.
pub fn groups<'a>(pods: &'a [PodWritten], times: &Times) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for pod in pods {
        let (fate, name) = (Fate::of(pod), owner(&pod.name));
        let (namespace, grace) = (pod.namespace.as_str(), Duration::from_secs(pod.grace_seconds));
        let is_its = |group: &&mut Group| {
            (group.fate, group.namespace, group.name, group.grace) == (fate, namespace, name, grace)
        };
        let course = Course::of(pod, times);
        match groups.iter_mut().find(is_its) {
            Some(group) => group.courses.push(course),
            None => groups.push(Group { namespace, name, grace, fate, courses: vec![course] }),
        }
    }
    for group in &mut groups {
        if let [only] = group.courses.as_slice() {
            group.name = &only.pod.name;
        }
    }
    groups.sort_by_key(|group| (group.fate.severity, Reverse(group.stops().map(|span| span.to)), group.name));
    groups
}

/// The name of what made a pod, as the names of pods are made (kubernetes/kubernetes
/// `staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go` and `staging/src/k8s.io/apiserver/pkg/storage/names`): a
/// ReplicaSet's `-7f9c5d8b4-x2x8k`, a Job's or DaemonSet's `-x2x8k`, a CronJob's `-28391820-x2x8k`, a StatefulSet's `-0`.
fn owner(pod: &str) -> &str {
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod };
    if is_number(last) && !rest.is_empty() {
        return rest;
    }
    if last.len() != 5 || !last.chars().all(is_random) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((owner, hash)) if is_number(hash) && hash.len() == 8 => owner,
        Some((owner, hash)) if (8..=10).contains(&hash.len()) && hash.chars().all(is_random) => owner,
        _ => rest,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// The letters and digits of made-up names: no vowels, so that they make no words.
fn is_random(c: char) -> bool {
    "bcdfghjklmnpqrstvwxz2456789".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::made_up::{record, span};
    use crate::report::timeline::Timeline;

    #[test]
    fn owners_are_read_from_the_names_of_their_pods() {
        for (pod, name) in [
            ("web-7f9c5d8b4-x2x8k", "web"),
            ("checkout-api-6d4cf56db6-zz9q2", "checkout-api"),
            ("report-28391820-x2x8k", "report"),
            ("node-agent-x2x8k", "node-agent"),
            ("db-0", "db"),
            ("db-11", "db"),
            ("shell", "shell"),
            ("my-shell", "my-shell"),
            ("web-7f9c5d8b4-hello", "web-7f9c5d8b4-hello"),
            ("-0", "-0"),
            ("", ""),
        ] {
            assert_eq!(owner(pod), name, "{pod}");
        }
    }

    #[test]
    fn pods_of_one_owner_with_the_same_fate_are_one_group_and_the_worst_comes_first() {
        let record = record();
        let groups = Timeline::of(&record).groups;
        let seen: Vec<(String, String)> = groups.iter().map(|group| (group.label(), group.fate.words())).collect();
        let expected = [
            ("cache-2", "left"),
            ("queue-0", "killed"),
            ("batch-x2x8k", "graceful, stopped on the machine"),
            ("db ×2", "graceful, forced past its budget"),
            ("gone-by-itself", "graceful, stopped by others"),
            ("web ×3", "graceful"),
        ];
        let mut expected = expected.map(|(label, fate)| (label.to_owned(), fate.to_owned())).to_vec();
        let mut sorted = seen.clone();
        expected[2..].sort();
        sorted[2..].sort();
        assert_eq!(sorted, expected, "{seen:?}");
    }

    #[test]
    fn a_pods_way_is_from_the_refusal_to_the_ask_and_from_there_until_it_is_gone() {
        let record = record();
        let timeline = Timeline::of(&record);
        let of = |label: &str| {
            let group = timeline.groups.iter().find(|group| group.label() == label).unwrap();
            (group.waits(), group.stops())
        };
        assert_eq!(of("db ×2"), (Some(span(0.4, 87.8)), Some(span(87.8, 95.0))));
        assert_eq!(of("web ×3"), (None, Some(span(0.3, 6.0))));
        assert_eq!(of("cache-2"), (None, Some(span(0.3, 120.0))), "until the deadline");
        assert_eq!(of("batch-x2x8k"), (None, Some(span(50.0, 52.0))));
        assert_eq!(of("gone-by-itself"), (None, Some(span(3.0, 3.0))));
    }
}
