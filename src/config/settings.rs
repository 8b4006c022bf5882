//! The validated settings: what the rest of the program reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::moment;
use crate::notice::Kind;
use crate::objects::Taint;
use crate::secret::Secret;

/// Everything that can be set, with nothing left to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub imds: Imds,
    pub responses: Responses,
    pub kubernetes: Kubernetes,
    pub drain: Drain,
    pub hooks: Hooks,
    pub metrics: Metrics,
    pub webhook: Webhook,
    pub log: Log,
    pub folders: Folders,
    /// Nothing is changed: writes go to the API server with `dryRun=All`, hooks are named but not run.
    pub dry_run: bool,
}

/// `[imds]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imds {
    /// `http://host[:port]`, no path.
    pub endpoint: String,
    /// `AWS_EC2_METADATA_DISABLED=true`: never asked at all.
    pub disabled: bool,
    /// From 200 ms to 30 s.
    pub poll_interval: Duration,
    /// The same while a rebalance recommendation stands.
    pub poll_interval_at_risk: Duration,
    pub timeout: Duration,
}

/// `[responses.*]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responses {
    pub spot_interruption: Response,
    pub autoscaling_termination: Response,
    pub maintenance: Response,
    pub rebalance_recommendation: Response,
    pub by_hand: Response,
}

impl Responses {
    pub fn of(&self, kind: Kind) -> &Response {
        match kind {
            Kind::SpotInterruption => &self.spot_interruption,
            Kind::AutoscalingTermination => &self.autoscaling_termination,
            Kind::Maintenance => &self.maintenance,
            Kind::RebalanceRecommendation => &self.rebalance_recommendation,
            Kind::ByHand => &self.by_hand,
        }
    }
}

/// What one kind of notice leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub reaction: Reaction,
    /// How long a response may take; of maintenance events also how long before their time it begins. Of a Spot
    /// interruption EC2 decides that.
    pub window: Duration,
    pub force: Force,
}

/// What is done about a notice, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    Ignore,
    Observe,
    Cordon,
    Drain,
}

/// Whether disruption budgets are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Force {
    /// From the last moment on at which a pod can be asked and still have its grace.
    #[default]
    AtForceTime,
    Never,
}

impl Reaction {
    /// The word for it in settings and in a hook's environment.
    pub fn name(self) -> &'static str {
        match self {
            Reaction::Drain => "drain",
            Reaction::Cordon => "cordon",
            Reaction::Observe => "observe",
            Reaction::Ignore => "ignore",
        }
    }
}

/// `kubernetes.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Where a kubeconfig is there.
    Auto,
    /// A missing kubeconfig is an API server that does not answer yet.
    Required,
    /// Hooks only.
    Off,
}

impl Mode {
    /// The word for it in settings and in the status.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Required => "required",
            Mode::Off => "off",
        }
    }
}

/// `[kubernetes]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    pub mode: Mode,
    /// `None`: the first of the kubelet's known places.
    pub kubeconfig: Option<PathBuf>,
    /// `None`: asked of the API server.
    pub node_name: Option<String>,
    /// `None`: the kubeconfig's, else the environment's.
    pub proxy: Option<String>,
    pub exclude_from_load_balancers: bool,
    pub taints: Vec<Taint>,
    pub conditions: bool,
    pub events: bool,
}

/// `[drain]`
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drain {
    #[serde(rename = "delay_seconds", with = "moment::seconds")]
    pub delay: Duration,
    /// `None`: 15 s if there are post-drain hooks.
    #[serde(rename = "reserve_seconds", with = "moment::optional_seconds")]
    pub reserve: Option<Duration>,
    /// `None`: nothing caps a pod's own grace but the deadline.
    #[serde(rename = "grace_period_limit_seconds", with = "moment::optional_seconds")]
    pub grace_period_limit: Option<Duration>,
    pub respect_budgets: bool,
    /// `None`: no pod is left alone.
    pub skip: Option<Selector>,
    /// `None`: at the pods' force times.
    #[serde(rename = "local_after_seconds", with = "moment::optional_seconds")]
    pub local_after: Option<Duration>,
    pub volumes: bool,
}

/// `[hooks]`
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hooks {
    #[serde(rename = "timeout_seconds", with = "moment::seconds")]
    pub timeout: Duration,
    /// By the hook's name.
    #[serde(rename = "timeouts_seconds", with = "moment::named_seconds")]
    pub timeouts: BTreeMap<String, Duration>,
    /// `None`: a quarter of the window.
    #[serde(rename = "pre_drain_limit_seconds", with = "moment::optional_seconds")]
    pub pre_drain_limit: Option<Duration>,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where node_exporter's textfile collector reads them; `None`: they are written nowhere.
    pub textfile: Option<PathBuf>,
}

/// `[webhook]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhook {
    /// As good as a password, mostly.
    pub url: Option<Secret>,
    /// A file that holds it; goes before `url`.
    pub url_file: Option<PathBuf>,
    pub headers: BTreeMap<String, Header>,
    /// `None`: the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// `None`: the record.
    pub template: Option<PathBuf>,
    /// `None`: the environment's.
    pub proxy: Option<String>,
}

/// The value of a webhook's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    Is(Secret),
    StandsIn(PathBuf),
}

impl Webhook {
    pub fn is_wanted(&self) -> bool {
        self.url.is_some() || self.url_file.is_some()
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: log::LevelFilter,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Journald's priorities when standard error is the journal, else text.
    Auto,
    Text,
    Json,
}

/// Where things lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// Folders that hold `<phase>.d` folders; a name in an earlier one hides the same name in a later one.
    pub hooks: Vec<PathBuf>,
    pub state: PathBuf,
    pub runtime: PathBuf,
}

/// A label selector in the API server's syntax (`a=b,c!=d,e in (f,g),!h`), read once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    pub requirements: Vec<Requirement>,
    /// As it was written.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The key is there with one of the values.
    In(String, Vec<String>),
    /// The key is absent, or has none of the values.
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    /// The key's value is a whole number above this one.
    Greater(String, i64),
    /// The key's value is a whole number below this one.
    Less(String, i64),
}
