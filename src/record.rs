//! The record of a response: what is kept on disk so that a crash, a restart or a reboot loses nothing.
//!
//! Knows the shape of the file and how to write it so that it is never half there. What it means belongs to
//! [`crate::response`].

mod store;
mod writer;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Terms;
use crate::hooks::Phase;
use crate::instance::Instance;
use crate::moment::Timestamp;
use crate::notice::{InstanceAction, Key, Kind};
use crate::process::Started;

pub use store::{Error, Kept, Newest, Store};
pub use writer::Writer;

/// The version of the record and of the status file. Readers ignore fields that they do not know.
pub const VERSION: u32 = 1;

/// A response as it is written. Times are RFC 3339 in UTC with milliseconds, durations end in `_seconds`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    pub id: String,
    pub clock: ClockWritten,
    pub notice: NoticeWritten,
    pub earlier_notices: Vec<NoticeWritten>,
    /// Others that stood at the same time, and asked for less or came later.
    #[serde(default)]
    pub notices_beside: Vec<NoticeWritten>,
    pub deadline: Timestamp,
    /// The announced time had passed at first sight.
    pub overdue: bool,
    /// The settings that the response keeps to its end.
    pub terms: Terms,
    pub instance: Instance,
    pub node: NodeWritten,
    pub pods: Vec<PodWritten>,
    /// Pods that stay where they are, as counted when the drain began; `None` without a drain, or without a cluster.
    #[serde(default)]
    pub staying: Option<StayingWritten>,
    pub hooks: Vec<HookWritten>,
    pub phases: Vec<PhaseWritten>,
    pub local_drain: LocalDrainWritten,
    /// When others did not answer, in the order in which that began; at most 50.
    #[serde(default)]
    pub troubles: Vec<TroubleWritten>,
    /// What a webhook was to be told.
    #[serde(default)]
    pub webhook: Vec<WebhookWritten>,
    /// `None` while the response runs.
    pub outcome: Option<ResponseOutcome>,
    pub errors: Vec<String>,
}

impl Record {
    /// What only matters to one who writes it again.
    fn forget_details(&mut self) {
        (self.pods, self.hooks) = (Vec::new(), Vec::new());
    }
}

/// Reads a record from its text.
///
/// # Errors
/// Why this is no record of this version; one line.
pub fn read(text: &[u8]) -> Result<Record, String> {
    // serde's own words quote what they do not understand, whatever stands there.
    let short = |why: String| why.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    let record: Record = serde_json::from_slice(text).map_err(|error| short(error.to_string()))?;
    if record.version == VERSION { Ok(record) } else { Err(format!("version {}", record.version)) }
}

/// Where undoing what was done to the node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayBack {
    NotBegun,
    UnderWay,
    Done,
    /// What was done to the node could not be undone, or not in time.
    Failed,
}

impl Record {
    pub fn way_back(&self) -> WayBack {
        match self.phases.iter().rfind(|phase| phase.name == PhaseName::Uncordon) {
            None => WayBack::NotBegun,
            Some(phase) if phase.ended_at.is_none() => WayBack::UnderWay,
            Some(_) if self.node.restored_at.is_none() => WayBack::Failed,
            Some(_) => WayBack::Done,
        }
    }

    /// The phases that are under way: drain and post-drain may be beside each other, after the end there is only the
    /// end, and on the way back that.
    pub fn phases_under_way(&self) -> Vec<PhaseName> {
        let begun = |name| self.phases.iter().any(|phase| phase.name == name);
        let last = [PhaseName::Uncordon, PhaseName::Done].into_iter().find(|name| begun(*name));
        let open = self.phases.iter().filter(|phase| phase.ended_at.is_none()).map(|phase| phase.name);
        open.filter(|name| last.is_none_or(|last| last == *name)).collect()
    }
}

/// What became of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Gone before the deadline, no container cut.
    Graceful,
    /// Gone, but a container was cut at the end of its grace.
    Killed,
    /// Not gone.
    Left,
}

impl Outcome {
    /// The word for it in the record.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Graceful => "graceful",
            Outcome::Killed => "killed",
            Outcome::Left => "left",
        }
    }
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseOutcome {
    /// Every pod that was to stop is gone.
    Complete,
    /// Some pods were not gone at the deadline.
    Incomplete,
    /// The notice was taken back in the middle.
    Withdrawn,
    /// The machine was rebooted in the middle.
    InterruptedByReboot,
}

impl ResponseOutcome {
    /// The word for it in the record.
    pub fn name(self) -> &'static str {
        match self {
            ResponseOutcome::Complete => "complete",
            ResponseOutcome::Incomplete => "incomplete",
            ResponseOutcome::Withdrawn => "withdrawn",
            ResponseOutcome::InterruptedByReboot => "interrupted-by-reboot",
        }
    }
}

/// The clocks at first sight: what the record's times are true to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockWritten {
    pub boot_id: String,
    pub boottime_seconds: f64,
    pub wall: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoticeWritten {
    pub kind: Kind,
    pub action: InstanceAction,
    /// Only some kinds of notices have one.
    pub event_id: Option<String>,
    /// As the notice said it; absent if it could not be read.
    pub time: Option<Timestamp>,
    pub first_seen: Timestamp,
}

impl NoticeWritten {
    pub fn key(&self) -> Key {
        Key { kind: self.kind, event_id: self.event_id.clone() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeWritten {
    pub name: Option<String>,
    /// When the cordon was accepted, or refused for good.
    pub settled_at: Option<Timestamp>,
    pub cordoned_by_us: bool,
    pub labelled_by_us: bool,
    /// When what was ours on it had been undone.
    #[serde(default)]
    pub restored_at: Option<Timestamp>,
    /// On the way back nothing on it was ours.
    #[serde(default)]
    pub nothing_to_undo: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodWritten {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub priority: i32,
    pub grace_seconds: u64,
    /// `drain.grace-period-limit` made the grace shorter than the pod's own.
    pub capped: bool,
    pub asked_at: Option<Timestamp>,
    /// When its eviction was first refused, by its budget for instance.
    #[serde(default)]
    pub refused_at: Option<Timestamp>,
    pub forced: bool,
    /// Its containers were stopped on the machine itself, from then on.
    pub locally_at: Option<Timestamp>,
    pub gone_at: Option<Timestamp>,
    /// A container was cut at the end of its grace.
    pub cut: bool,
    pub has_claims: bool,
    pub outcome: Option<Outcome>,
    pub reason: Option<String>,
}

/// How many pods stay, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayingWritten {
    pub daemon_set: usize,
    #[serde(rename = "static")]
    pub static_pods: usize,
    /// `drain.skip` names them.
    pub skipped: usize,
}

/// `6 stay (5 DaemonSet, 1 static)`
impl fmt::Display for StayingWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [(self.daemon_set, "DaemonSet"), (self.static_pods, "static"), (self.skipped, "skipped")];
        let names: Vec<String> =
            kinds.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        write!(f, "{} stay{names}", self.daemon_set + self.static_pods + self.skipped)
    }
}

/// A while in which another did not answer, or not as it should.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TroubleWritten {
    pub with: Other,
    pub started_at: Timestamp,
    /// Absent while it lasts.
    pub ended_at: Option<Timestamp>,
    /// What was wrong at first; absent where there was only silence.
    pub reason: Option<String>,
}

/// Whom a response depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Other {
    ApiServer,
    MetadataService,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HookWritten {
    pub phase: Phase,
    pub name: String,
    /// `start` or `end`, for local-drain.
    pub argument: Option<String>,
    /// Which wave of local-drain, from 1; 0 for other phases.
    pub wave: u32,
    pub started_at: Option<Timestamp>,
    /// Absent while it runs.
    pub seconds: Option<f64>,
    /// Its exit code; absent if it was ended by a signal or never started.
    pub exit: Option<i32>,
    pub signal: Option<i32>,
    /// Why it was not started.
    pub reason: Option<String>,
    pub timed_out: bool,
    /// Told to end because the response ended.
    pub stopped: bool,
    pub output_tail: String,
    /// The process, as long as it may still live.
    pub process: Option<Started>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseWritten {
    pub name: PhaseName,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseName {
    PreDrain,
    Drain,
    PostDrain,
    Done,
    /// The way back.
    Uncordon,
}

impl PhaseName {
    /// The word for it in the record.
    pub fn name(self) -> &'static str {
        match self {
            PhaseName::PreDrain => "pre-drain",
            PhaseName::Drain => "drain",
            PhaseName::PostDrain => "post-drain",
            PhaseName::Done => "done",
            PhaseName::Uncordon => "uncordon",
        }
    }
}

/// Something that a webhook was to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookWritten {
    pub stage: Stage,
    pub attempts: u32,
    pub delivered_at: Option<Timestamp>,
    /// Why it was given up.
    pub reason: Option<String>,
}

/// What of a response a webhook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It has begun, or another notice has taken over.
    Notice,
    End,
}

impl Stage {
    /// The word for it in a message.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Notice => "notice",
            Stage::End => "end",
        }
    }
}

/// Where the local drain stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LocalDrainWritten {
    pub wave: u32,
    /// Started and not ended.
    pub active: bool,
    /// Started without a list of the pods.
    pub blind: bool,
    /// When the pods became known after that.
    #[serde(default)]
    pub blind_until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_is_no_record_is_told_in_one_line() {
        for (text, why) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\n}", "missing field `version` at line 2 column 1"),
        ] {
            assert_eq!(read(text.as_bytes()), Err(why.to_owned()));
        }
    }
}
