//! The metrics: what a fleet's owner watches of each machine.
//!
//! Knows which there are and what each tells of plain data. Knows nothing of files, sockets and clocks.

mod exposition;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;

pub use self::exposition::{Metric, Sort};
use self::exposition::{Page, Sample};
use self::told::{Hook, Tally, Told, add};
use super::status::{Protection, Status};
use crate::instance::Instance;
use crate::moment::Timestamp;
use crate::notice::Kind;
use crate::record::{PhaseName, Record, ResponseOutcome};

/// What the daemon has counted since it was started.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// By path and code.
    pub imds_requests: BTreeMap<(String, String), u64>,
    pub imds_last_success: Option<Timestamp>,
    pub kubernetes_last_success: Option<Timestamp>,
    /// Responses that are over.
    pub responses: Tally<(Kind, &'static str)>,
    /// What is still told of the latest of them.
    pub latest: Option<Told>,
}

impl Counted {
    /// A response is over.
    pub fn count(&mut self, record: &Record) {
        if let Some(outcome) = record.outcome {
            add(&mut self.responses, (record.notice.kind, outcome.name()));
        }
        self.latest = Some(Told::of(record));
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
    let labels = |hook: &Hook| vec![("phase", hook.phase.to_owned()), ("hook", hook.name.clone())];
    let took = told.hooks.iter().map(|hook| Sample { labels: labels(hook), value: hook.seconds });
    page.add(&HOOK_DURATION, took);
    let exits = told.hooks.iter().filter_map(|hook| Some((hook, hook.exit?)));
    page.add(&HOOK_EXIT, exits.map(|(hook, exit)| Sample { labels: labels(hook), value: f64::from(exit) }));
    page.value(&TO_CORDON, told.notice_to_cordon);
    page.value(&ERRORS, told.errors as f64);
}

fn imds_request(((path, code), count): (&(String, String), &u64)) -> Sample {
    Sample { labels: vec![("path", path.clone()), ("code", code.clone())], value: *count as f64 }
}

/// Also those that there have not been: the first of a series that begins with 1 is no increase to Prometheus.
fn responses(counted: &Counted, instance: &Instance) -> Vec<Sample> {
    let usual = Kind::ALL.into_iter().flat_map(|kind| OUTCOMES.map(|outcome| (kind, outcome.name())));
    let unseen = usual.filter(|usual| counted.responses.iter().all(|(seen, _)| seen != usual)).map(|usual| (usual, 0));
    let all = counted.responses.iter().copied().chain(unseen);
    all.map(|((kind, outcome), count)| of_a_kind(kind, "outcome", outcome, instance, count)).collect()
}

fn notices(status: &Status) -> Vec<Sample> {
    let mut stand = Tally::new();
    status.notices.iter().for_each(|notice| add(&mut stand, (notice.kind, notice.action.name())));
    let sample = |((kind, action), count)| of_a_kind(kind, "action", action, &status.instance, count);
    stand.into_iter().map(sample).collect()
}

fn of_a_kind(kind: Kind, label: &'static str, of: &str, instance: &Instance, count: u64) -> Sample {
    let mut labels = vec![("kind", kind.name().to_owned()), (label, of.to_owned())];
    labels.extend(pool(instance));
    Sample { labels, value: count as f64 }
}

/// EC2 takes machines pool by pool: an instance type in an availability zone.
fn pool(instance: &Instance) -> [(&'static str, String); 2] {
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    [("instance_type", said(&instance.kind)), ("availability_zone", said(&instance.availability_zone))]
}

fn phases(record: Option<&Record>) -> Vec<Sample> {
    let under_way = record.map(Record::phases_under_way).unwrap_or_default();
    PHASES.map(|phase| labelled("phase", phase.name(), truth(under_way.contains(&phase)))).into()
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
