//! The metrics: what a fleet's owner watches of each machine.
//!
//! Knows which there are and what each tells of plain data. Knows nothing of files, sockets and clocks.

mod exposition;

use std::collections::BTreeMap;

pub use self::exposition::{Metric, Sort};
use self::exposition::{Page, Sample};
use super::status::{Protection, Status};
use crate::instance::Instance;
use crate::moment::Timestamp;
use crate::notice::Kind;
use crate::record::{HookWritten, Outcome, PhaseName, Record, ResponseOutcome};

/// What the daemon has counted since it was started.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// By path and code.
    pub imds_requests: BTreeMap<(String, String), u64>,
    pub imds_last_success: Option<Timestamp>,
    pub kubernetes_last_success: Option<Timestamp>,
    /// Responses that are over.
    pub responses: BTreeMap<(Kind, &'static str), u64>,
    /// What is still told of the latest of them.
    pub latest: Option<Told>,
}

impl Counted {
    /// A response is over.
    pub fn count(&mut self, record: &Record) {
        if let Some(outcome) = record.outcome {
            *self.responses.entry((record.notice.kind, outcome_name(outcome))).or_default() += 1;
        }
        self.latest = Some(Told::of(record));
    }
}

/// What is told of a response, also when it is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// By outcome; `None` for a response that stops no pods.
    pods: Option<BTreeMap<&'static str, usize>>,
    forced: usize,
    /// By phase and name.
    hooks: BTreeMap<(&'static str, String), Hook>,
    notice_to_cordon: Option<f64>,
    errors: usize,
}

/// All runs of a hook in one response.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Hook {
    /// Of the longest.
    seconds: f64,
    /// Of the latest that failed, else of the latest.
    exit: Option<i32>,
}

impl Told {
    pub fn of(record: &Record) -> Told {
        let mut pods = BTreeMap::from(["pending", "graceful", "killed", "left"].map(|outcome| (outcome, 0)));
        for pod in &record.pods {
            *pods.entry(pod_outcome(pod.outcome)).or_default() += 1;
        }
        let mut hooks: BTreeMap<_, Hook> = BTreeMap::new();
        for hook in &record.hooks {
            if let Some(seconds) = hook.seconds {
                hooks.entry((hook.phase.name(), hook.name.clone())).or_default().ran(seconds, exit(hook));
            }
        }
        let settled = record.node.settled_at.filter(|_| record.node.cordoned_by_us);
        // A notice that took over found the node cordoned.
        let after = |settled: Timestamp| settled.later_than(record.notice.first_seen).unwrap_or_default().as_secs_f64();
        Told {
            pods: record.terms.drains().then_some(pods),
            forced: record.pods.iter().filter(|pod| pod.forced).count(),
            hooks,
            notice_to_cordon: settled.map(after),
            errors: record.errors.len(),
        }
    }
}

impl Hook {
    fn ran(&mut self, seconds: f64, exit: Option<i32>) {
        self.seconds = self.seconds.max(seconds);
        if exit.is_some_and(|code| code != 0 || self.exit.is_none()) {
            self.exit = exit;
        }
    }
}

fn pod_outcome(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "pending",
        Some(Outcome::Graceful) => "graceful",
        Some(Outcome::Killed) => "killed",
        Some(Outcome::Left) => "left",
    }
}

fn outcome_name(outcome: ResponseOutcome) -> &'static str {
    match outcome {
        ResponseOutcome::Complete => "complete",
        ResponseOutcome::Incomplete => "incomplete",
        ResponseOutcome::Withdrawn => "withdrawn",
        ResponseOutcome::InterruptedByReboot => "interrupted-by-reboot",
    }
}

fn phase_name(phase: PhaseName) -> &'static str {
    match phase {
        PhaseName::PreDrain => "pre-drain",
        PhaseName::Drain => "drain",
        PhaseName::PostDrain => "post-drain",
        PhaseName::Done => "done",
        PhaseName::Uncordon => "uncordon",
    }
}

/// Its exit code, as a shell has it where a signal ended it; -1 where it has none, such as one that was not started.
/// `None` for one that was stopped because it was no longer needed.
fn exit(hook: &HookWritten) -> Option<i32> {
    match (hook.exit, hook.signal) {
        _ if hook.stopped && !hook.timed_out => None,
        // Whatever it says: it was stopped in the middle.
        (Some(0), _) if hook.timed_out => Some(-1),
        (Some(code), _) => Some(code),
        (None, Some(signal)) => Some(128_i32.saturating_add(signal)),
        (None, None) => Some(-1),
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, sort: Sort::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, sort: Sort::Counter, help }
}

const UP: Metric = gauge("spot_guard_up", "1 while the daemon runs, 0 once it was ended.");
const PROTECTED: Metric = gauge("spot_guard_protected", "1 while a notice would be seen and the node drained.");
const BUILD_INFO: Metric = gauge("spot_guard_build_info", "The version that runs.");
const INSTANCE_INFO: Metric = gauge("spot_guard_instance_info", "What this machine is.");
const CONFIG_VALID: Metric = gauge("spot_guard_config_valid", "0 while broken settings are left out.");
const RECORD_OK: Metric = gauge("spot_guard_record_ok", "0 while responses cannot be recorded on the disk.");
const IMDS_READY: Metric =
    gauge("spot_guard_imds_ready", "1 while the metadata service answers about every kind of notice, and sensibly.");
const IMDS_REQUESTS: Metric =
    counter("spot_guard_imds_requests_total", "Requests to the metadata service by path and HTTP status.");
const IMDS_LAST: Metric = gauge(
    "spot_guard_imds_last_success_timestamp_seconds",
    "When the metadata service last answered; 0 if it never did.",
);
const KUBERNETES_READY: Metric = gauge("spot_guard_kubernetes_ready", "1 while the API server answers for this node.");
const KUBERNETES_LAST: Metric = gauge(
    "spot_guard_kubernetes_last_success_timestamp_seconds",
    "When the API server last accepted a request; 0 if it never did.",
);
const NOTICE_ACTIVE: Metric = gauge("spot_guard_notice_active", "How many notices of this kind and action stand.");
const DEADLINE: Metric =
    gauge("spot_guard_deadline_timestamp_seconds", "By when all of the running response must be done.");
const PHASE: Metric =
    gauge("spot_guard_response_phase", "1 for the phases of the running response that are under way.");
const RESPONSES: Metric = counter("spot_guard_responses_total", "Responses that are over.");
const PODS: Metric = gauge("spot_guard_pods", "Pods that the latest response was to stop, by what became of them.");
const FORCED: Metric = gauge("spot_guard_pods_forced", "Those of them that were deleted past their disruption budget.");
const HOOK_DURATION: Metric =
    gauge("spot_guard_hook_duration_seconds", "How long each hook of the latest response took.");
const HOOK_EXIT: Metric = gauge("spot_guard_hook_exit_code", "Its exit code; 128 and more: a signal; -1: it has none.");
const TO_CORDON: Metric = gauge(
    "spot_guard_notice_to_cordon_seconds",
    "From first sight of the latest response's notice until the node was cordoned.",
);
const ERRORS: Metric = gauge("spot_guard_response_errors", "What went wrong in the latest response, counted.");

/// All metrics, in their order in the text.
pub static METRICS: [Metric; 21] = [
    BUILD_INFO,
    INSTANCE_INFO,
    CONFIG_VALID,
    RECORD_OK,
    IMDS_REQUESTS,
    IMDS_LAST,
    IMDS_READY,
    KUBERNETES_LAST,
    KUBERNETES_READY,
    RESPONSES,
    PODS,
    FORCED,
    HOOK_DURATION,
    HOOK_EXIT,
    TO_CORDON,
    ERRORS,
    NOTICE_ACTIVE,
    DEADLINE,
    PHASE,
    PROTECTED,
    UP,
];

const PHASES: [PhaseName; 5] =
    [PhaseName::PreDrain, PhaseName::Drain, PhaseName::PostDrain, PhaseName::Done, PhaseName::Uncordon];

/// A response that was interrupted by a reboot is counted only where there was one.
const OUTCOMES: [ResponseOutcome; 3] =
    [ResponseOutcome::Complete, ResponseOutcome::Incomplete, ResponseOutcome::Withdrawn];

/// The metrics of a running daemon.
pub fn text(status: &Status, counted: &Counted) -> String {
    let mut page = Page::default();
    of_the_machine(&mut page, &status.instance);
    page.value(&CONFIG_VALID, truth(status.configuration_problems.is_empty()));
    page.value(&RECORD_OK, truth(status.record.ok));
    page.add(&IMDS_REQUESTS, counted.imds_requests.iter().map(imds_request));
    page.value(&IMDS_LAST, seconds(counted.imds_last_success));
    page.value(&IMDS_READY, truth(status.imds.ok));
    if status.kubernetes.is_wanted() {
        page.value(&KUBERNETES_LAST, seconds(counted.kubernetes_last_success));
        page.value(&KUBERNETES_READY, truth(status.kubernetes.state == "ready"));
    }
    page.add(&RESPONSES, responses(counted, &status.instance));
    let running = status.response.as_ref().map(Told::of);
    if let Some(told) = running.as_ref().or(counted.latest.as_ref()) {
        of_a_response(&mut page, told);
    }
    page.add(&NOTICE_ACTIVE, notices(status));
    page.value(&DEADLINE, status.response.as_ref().map(|record| seconds(Some(record.deadline))));
    page.add(&PHASE, phases(status.response.as_ref()));
    page.value(&PROTECTED, truth(status.protection() == Protection::Whole));
    page.value(&UP, truth(true));
    page.text
}

/// What is left when the daemon has ended: that it has.
pub fn ended(instance: &Instance) -> String {
    let mut page = Page::default();
    of_the_machine(&mut page, instance);
    page.value(&PROTECTED, truth(false));
    page.value(&UP, truth(false));
    page.text
}

fn of_the_machine(page: &mut Page, instance: &Instance) {
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    page.add(&BUILD_INFO, [Sample { labels: vec![("version", version)], value: 1.0 }]);
    let labels = vec![
        ("instance_id", said(&instance.id)),
        ("instance_type", said(&instance.kind)),
        ("availability_zone", said(&instance.availability_zone)),
        ("life_cycle", said(&instance.life_cycle)),
    ];
    page.add(&INSTANCE_INFO, [Sample { labels, value: 1.0 }]);
}

fn of_a_response(page: &mut Page, told: &Told) {
    let pods = told.pods.iter().flatten();
    page.add(&PODS, pods.map(|(outcome, count)| labelled("outcome", outcome, *count as f64)));
    page.value(&FORCED, told.pods.as_ref().map(|_| told.forced as f64));
    let labels = |(phase, name): &(&str, String)| vec![("phase", (*phase).to_owned()), ("hook", name.clone())];
    let took = told.hooks.iter().map(|(hook, ran)| Sample { labels: labels(hook), value: ran.seconds });
    page.add(&HOOK_DURATION, took);
    let exits = told.hooks.iter().filter_map(|(hook, ran)| Some((hook, ran.exit?)));
    page.add(&HOOK_EXIT, exits.map(|(hook, exit)| Sample { labels: labels(hook), value: f64::from(exit) }));
    page.value(&TO_CORDON, told.notice_to_cordon);
    page.value(&ERRORS, told.errors as f64);
}

fn imds_request(((path, code), count): (&(String, String), &u64)) -> Sample {
    Sample { labels: vec![("path", path.clone()), ("code", code.clone())], value: *count as f64 }
}

/// Also those that there have not been: the first of a series that begins with 1 is no increase to Prometheus.
fn responses(counted: &Counted, instance: &Instance) -> Vec<Sample> {
    let usual = Kind::ALL.into_iter().flat_map(|kind| OUTCOMES.map(|outcome| ((kind, outcome_name(outcome)), 0)));
    let mut responses: BTreeMap<(Kind, &str), u64> = usual.collect();
    responses.extend(counted.responses.iter());
    let sample = |((kind, outcome), count): ((Kind, &str), u64)| {
        let mut labels = vec![("kind", kind.name().to_owned()), ("outcome", outcome.to_owned())];
        labels.extend(pool(instance));
        Sample { labels, value: count as f64 }
    };
    responses.into_iter().map(sample).collect()
}

fn notices(status: &Status) -> Vec<Sample> {
    let mut stand: BTreeMap<(Kind, &str), u32> = BTreeMap::new();
    for notice in &status.notices {
        *stand.entry((notice.kind, notice.action.name())).or_default() += 1;
    }
    let sample = |((kind, action), count): ((Kind, &str), u32)| {
        let mut labels = vec![("kind", kind.name().to_owned()), ("action", action.to_owned())];
        labels.extend(pool(&status.instance));
        Sample { labels, value: f64::from(count) }
    };
    stand.into_iter().map(sample).collect()
}

/// EC2 takes machines pool by pool: an instance type in an availability zone.
fn pool(instance: &Instance) -> [(&'static str, String); 2] {
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    [("instance_type", said(&instance.kind)), ("availability_zone", said(&instance.availability_zone))]
}

fn phases(record: Option<&Record>) -> Vec<Sample> {
    let under_way = record.map(Record::phases_under_way).unwrap_or_default();
    PHASES.map(|phase| labelled("phase", phase_name(phase), truth(under_way.contains(&phase)))).into()
}

fn labelled(label: &'static str, value: &str, sample: f64) -> Sample {
    Sample { labels: vec![(label, value.to_owned())], value: sample }
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn seconds(time: Option<Timestamp>) -> f64 {
    time.map_or(0.0, |time| time.unix_seconds() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn status(changed: &Value) -> Status {
        let mut status = json!({
            "version": 1, "at": "2026-11-22T20:33:45.250Z", "pid": 1, "state": "watching", "words": "", "dry_run": false,
            "instance": {"id": "i-0", "type": "m5.large", "availability_zone": "eu-west-1a", "region": "eu-west-1",
                         "life_cycle": "spot"},
            "notices": [], "imds": {"ok": true, "trouble": null},
            "kubernetes": {"state": "ready", "mode": "auto", "node_name": "n", "why": null},
            "record": {"ok": true, "trouble": null}, "configuration_problems": [], "response": null,
        });
        for (field, value) in changed.as_object().unwrap() {
            status[field] = value.clone();
        }
        serde_json::from_value(status).unwrap()
    }

    fn has(text: &str, series: &str) -> bool {
        text.lines().any(|line| line == series)
    }

    #[test]
    fn what_is_protected_is_what_would_be_seen_and_drained() {
        let kubernetes =
            |state: &str, mode: &str| json!({"state": state, "mode": mode, "node_name": null, "why": null});
        let rows = [
            (json!({}), Protection::Whole, Some(1)),
            (json!({"kubernetes": kubernetes("unready", "auto")}), Protection::None, Some(0)),
            (json!({"kubernetes": kubernetes("unknown", "required")}), Protection::None, Some(0)),
            (json!({"kubernetes": kubernetes("none", "auto")}), Protection::HooksOnly, Some(0)),
            (json!({"kubernetes": kubernetes("none", "off")}), Protection::Whole, None),
            (json!({"imds": {"ok": false, "trouble": "x"}}), Protection::None, Some(1)),
            (json!({"dry_run": true}), Protection::None, Some(1)),
            (json!({"record": {"ok": false, "trouble": "x"}}), Protection::Whole, Some(1)),
            (json!({"configuration_problems": ["x"]}), Protection::Whole, Some(1)),
        ];
        for (changed, protection, ready) in rows {
            let status = status(&changed);
            assert_eq!(status.protection(), protection, "{changed}");
            let text = text(&status, &Counted::default());
            assert!(
                has(&text, &format!("spot_guard_protected {}", u8::from(protection == Protection::Whole))),
                "{text}"
            );
            let told = text.contains("spot_guard_kubernetes_ready").then_some(());
            assert_eq!(told.map(|()| u8::from(has(&text, "spot_guard_kubernetes_ready 1"))), ready, "{changed}");
        }
    }

    #[test]
    fn notices_of_one_kind_are_one_series_and_each_kind_of_response_is_there_before_the_first() {
        let event = |id| json!({"kind": "maintenance", "action": "reboot", "event_id": id, "time": null});
        let rebalance = json!({"kind": "rebalance-recommendation", "action": "none", "event_id": null, "time": null});
        let mut counted = Counted::default();
        counted.responses.insert((Kind::Maintenance, "complete"), 3);
        counted.responses.insert((Kind::ByHand, "interrupted-by-reboot"), 1);
        let text = text(&status(&json!({"notices": [event("a"), rebalance, event("b")]})), &counted);
        let pool = "instance_type=\"m5.large\",availability_zone=\"eu-west-1a\"";
        for (series, value) in [
            (format!("spot_guard_notice_active{{kind=\"maintenance\",action=\"reboot\",{pool}}}"), 2),
            (format!("spot_guard_notice_active{{kind=\"rebalance-recommendation\",action=\"none\",{pool}}}"), 1),
            (format!("spot_guard_responses_total{{kind=\"maintenance\",outcome=\"complete\",{pool}}}"), 3),
            (format!("spot_guard_responses_total{{kind=\"maintenance\",outcome=\"withdrawn\",{pool}}}"), 0),
            (format!("spot_guard_responses_total{{kind=\"by-hand\",outcome=\"interrupted-by-reboot\",{pool}}}"), 1),
            ("spot_guard_imds_last_success_timestamp_seconds".to_owned(), 0),
        ] {
            assert!(has(&text, &format!("{series} {value}")), "no {series} {value}:\n{text}");
        }
        assert_eq!(text.matches("\nspot_guard_responses_total{").count(), 16);
        assert!(!text.contains("spot_guard_pods") && !text.contains("deadline"), "{text}");
    }

    /// A hook's end, of which some fields are others than those of one that went well.
    fn ended(changed: &Value) -> HookWritten {
        let mut hook = json!({
            "phase": "local-drain", "name": "50-x", "argument": "start", "wave": 1, "started_at": null, "seconds": 1.0,
            "exit": 0, "signal": null, "reason": null, "timed_out": false, "stopped": false, "output_tail": "",
            "process": null,
        });
        for (field, value) in changed.as_object().unwrap() {
            hook[field] = value.clone();
        }
        serde_json::from_value(hook).unwrap()
    }

    #[test]
    fn a_hook_that_did_not_end_well_has_no_zero() {
        let rows = [
            (json!({}), Some(0)),
            (json!({"exit": 3}), Some(3)),
            (json!({"exit": null, "signal": 9}), Some(137)),
            (json!({"exit": null, "reason": "no such file"}), Some(-1)),
            (json!({"exit": null, "timed_out": true}), Some(-1)),
            (json!({"exit": 0, "timed_out": true}), Some(-1)),
            (json!({"exit": null, "signal": 15, "timed_out": true}), Some(143)),
            (json!({"exit": null, "signal": 15, "stopped": true}), None),
            (json!({"exit": 1, "stopped": true}), None),
        ];
        for (changed, code) in rows {
            assert_eq!(exit(&ended(&changed)), code, "{changed}");
        }
    }

    #[test]
    fn of_several_runs_of_a_hook_the_latest_that_failed_and_the_longest_count() {
        let of = |runs: &[(f64, Option<i32>)]| {
            let mut hook = Hook::default();
            runs.iter().for_each(|(seconds, exit)| hook.ran(*seconds, *exit));
            (hook.seconds, hook.exit)
        };
        assert_eq!(of(&[(2.0, Some(0)), (1.0, Some(0))]), (2.0, Some(0)));
        assert_eq!(of(&[(1.0, Some(0)), (3.0, Some(4)), (1.0, Some(0))]), (3.0, Some(4)));
        assert_eq!(of(&[(1.0, Some(4)), (1.0, Some(5))]), (1.0, Some(5)));
        assert_eq!(of(&[(1.0, None), (2.0, Some(0))]), (2.0, Some(0)));
        assert_eq!(of(&[(1.0, Some(0)), (2.0, None)]), (2.0, Some(0)));
        assert_eq!(of(&[(1.0, None)]), (1.0, None));
    }

    #[test]
    fn each_metric_has_a_name_and_a_help_as_the_format_wants_them() {
        for (place, metric) in METRICS.iter().enumerate() {
            assert!(
                metric
                    .name
                    .strip_prefix("spot_guard_")
                    .is_some_and(|name| { name.chars().all(|c| c.is_ascii_lowercase() || c == '_') })
            );
            assert_eq!(metric.name.ends_with("_total"), metric.sort == Sort::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{}", metric.help);
            assert!(METRICS.iter().skip(place + 1).all(|other| other.name != metric.name), "{} twice", metric.name);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_metadata_service_says_this_is_no_series_is_there_twice(
            id in "\\PC{0,20}|[\"\\\\\n]{0,4}", kind in "\\PC{0,20}", life_cycle in "[\"\\\\\n,}=]{0,8}",
        ) {
            let instance = json!({"id": id, "type": kind, "availability_zone": null, "region": null,
                                  "life_cycle": life_cycle});
            let text = text(&status(&json!({"instance": instance})), &Counted::default());
            let series: Vec<&str> = text.lines().filter(|line| !line.starts_with("# ")).collect();
            let known = |line: &&str| METRICS.iter().any(|metric| line.starts_with(metric.name));
            prop_assert!(series.iter().all(known), "{}", text);
            let once: std::collections::BTreeSet<&str> = series.iter().copied().collect();
            prop_assert_eq!(once.len(), series.len());
        }
    }
}
