//! Every setting, one row each: where it is written, what it means, what it is if nobody sets it, how it is taken.
//!
//! A new setting is a row here, its field in [`Settings`], and its line in docs/configuration.md.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::accept::{
    Accepted, absolute_path, address, endpoint, header, node_name, optional, proxy, selector, switch, taints, textfile,
    time, word,
};
use super::nearest::nearest;
use super::problem::Hint;
use super::settings::*;
use super::value::Value;
use crate::notice::SPOT_WINDOW;

/// One setting.
#[derive(Debug)]
pub struct Row {
    pub table: &'static str,
    /// `*`: the table is open, and its keys are names that the user chooses.
    pub key: &'static str,
    /// One short phrase, with the range.
    pub meaning: &'static str,
    /// `None`: an open table is empty.
    pub built_in: Option<Value>,
    /// The flag that stands for it, without dashes.
    pub flag: Option<&'static str>,
    /// Its values are never shown.
    pub secret: bool,
    /// Takes the value for the key of this name.
    pub put: fn(&mut Settings, &str, &Value) -> Accepted<()>,
}

pub static SCHEMA: [Row; 45] = [
    row("imds", "endpoint", said("http://169.254.169.254"), "the metadata service, http://HOST[:PORT]", |s, _, v| {
        endpoint(v).map(|it| s.imds.endpoint = it)
    })
    .flag("imds-endpoint"),
    row("imds", "poll-interval", said("1s"), "how often a notice is looked for, 200ms to 30s", |s, _, v| {
        time(v, ms(200), secs(30)).map(|it| s.imds.poll_interval = it)
    }),
    row(
        "imds",
        "poll-interval-at-risk",
        said("500ms"),
        "beside a rebalance recommendation, 200ms to 30s",
        |s, _, v| time(v, ms(200), secs(30)).map(|it| s.imds.poll_interval_at_risk = it),
    ),
    row("imds", "timeout", said("1s"), "the limit of one request, 100ms to 30s", |s, _, v| {
        time(v, ms(100), secs(30)).map(|it| s.imds.timeout = it)
    }),
    row("responses.spot-interruption", "action", said("drain"), ACTION, |s, _, v| {
        word(v, &REACTIONS).map(|it| s.responses.spot_interruption.reaction = it)
    }),
    row("responses.spot-interruption", "force", said("at-force-time"), FORCE, |s, _, v| {
        word(v, &FORCES).map(|it| s.responses.spot_interruption.force = it)
    }),
    row("responses.autoscaling-termination", "action", said("drain"), ACTION, |s, _, v| {
        word(v, &REACTIONS).map(|it| s.responses.autoscaling_termination.reaction = it)
    }),
    row("responses.autoscaling-termination", "window", said("5m"), WINDOW, |s, _, v| {
        window(v).map(|it| s.responses.autoscaling_termination.window = it)
    }),
    row("responses.autoscaling-termination", "force", said("at-force-time"), FORCE, |s, _, v| {
        word(v, &FORCES).map(|it| s.responses.autoscaling_termination.force = it)
    }),
    row("responses.maintenance", "action", said("drain"), ACTION, |s, _, v| {
        word(v, &REACTIONS).map(|it| s.responses.maintenance.reaction = it)
    }),
    row("responses.maintenance", "lead", said("10m"), "acted on so long before its time, 10s to 24h", |s, _, v| {
        window(v).map(|it| s.responses.maintenance.window = it)
    }),
    row("responses.maintenance", "force", said("at-force-time"), FORCE, |s, _, v| {
        word(v, &FORCES).map(|it| s.responses.maintenance.force = it)
    }),
    row("responses.rebalance-recommendation", "action", said("observe"), ACTION, |s, _, v| {
        word(v, &REACTIONS).map(|it| s.responses.rebalance_recommendation.reaction = it)
    }),
    row("responses.rebalance-recommendation", "window", said("10m"), WINDOW, |s, _, v| {
        window(v).map(|it| s.responses.rebalance_recommendation.window = it)
    }),
    row("responses.rebalance-recommendation", "force", said("never"), FORCE, |s, _, v| {
        word(v, &FORCES).map(|it| s.responses.rebalance_recommendation.force = it)
    }),
    row("responses.by-hand", "action", said("drain"), ACTION, |s, _, v| {
        word(v, &REACTIONS).map(|it| s.responses.by_hand.reaction = it)
    }),
    row("responses.by-hand", "window", said("2m"), WINDOW, |s, _, v| {
        window(v).map(|it| s.responses.by_hand.window = it)
    }),
    row("responses.by-hand", "force", said("never"), FORCE, |s, _, v| {
        word(v, &FORCES).map(|it| s.responses.by_hand.force = it)
    }),
    row("kubernetes", "mode", said("auto"), "auto (if a kubeconfig is there), required or off", |s, _, v| {
        word(v, &MODES).map(|it| s.kubernetes.mode = it)
    }),
    row("kubernetes", "kubeconfig", said(""), "a path; empty: the first of the kubelet's places", |s, _, v| {
        optional(v, absolute_path).map(|it| s.kubernetes.kubeconfig = it)
    })
    .flag("kubeconfig"),
    row("kubernetes", "node-name", said(""), "empty: asked of the API server", |s, _, v| {
        optional(v, node_name).map(|it| s.kubernetes.node_name = it)
    })
    .flag("node-name"),
    row("kubernetes", "proxy", said(""), "a URL; empty: the kubeconfig's, else HTTPS_PROXY", |s, _, v| {
        optional(v, proxy).map(|it| s.kubernetes.proxy = it)
    }),
    row("kubernetes", "exclude-from-load-balancers", IS, "label the node so when draining", |s, _, v| {
        switch(v).map(|it| s.kubernetes.exclude_from_load_balancers = it)
    }),
    row("kubernetes", "taints", NO_LIST, "list of KEY=VALUE:EFFECT, set beside the cordon", |s, _, v| {
        taints(v).map(|it| s.kubernetes.taints = it)
    }),
    row("kubernetes", "conditions", IS, "a Node condition TerminationNotice", |s, _, v| {
        switch(v).map(|it| s.kubernetes.conditions = it)
    }),
    row("kubernetes", "events", IS, "Events on the Node", |s, _, v| switch(v).map(|it| s.kubernetes.events = it)),
    row("drain", "delay", said("0s"), "load balancers left to first pod asked, 0s to 1h", |s, _, v| {
        time(v, ZERO, HOUR).map(|it| s.drain.delay = it)
    }),
    row("drain", "reserve", said(""), "kept for post-drain hooks, 0s to 1h; empty: auto", |s, _, v| {
        optional(v, |v| time(v, ZERO, HOUR)).map(|it| s.drain.reserve = it)
    }),
    row("drain", "grace-period-limit", said(""), "cap on a pod's own grace, 1s to 24h; empty: none", |s, _, v| {
        optional(v, |v| time(v, secs(1), DAY)).map(|it| s.drain.grace_period_limit = it)
    }),
    row("drain", "respect-budgets", IS, "wait for budgets until a pod's force time", |s, _, v| {
        switch(v).map(|it| s.drain.respect_budgets = it)
    }),
    row("drain", "skip", said(""), "label selector of pods left alone; empty: none", |s, _, v| {
        optional(v, selector).map(|it| s.drain.skip = it)
    }),
    row("drain", "local-after", said(""), "first sight to local stop when silent, 0s to 1h", |s, _, v| {
        optional(v, |v| time(v, ZERO, HOUR)).map(|it| s.drain.local_after = it)
    }),
    row("drain", "volumes", IS, "wait for volumes to be released", |s, _, v| switch(v).map(|it| s.drain.volumes = it)),
    row("hooks", "timeout", said("30s"), "one hook's limit, 1s to 24h", |s, _, v| {
        time(v, secs(1), DAY).map(|it| s.hooks.timeout = it)
    }),
    row("hooks", "pre-drain-limit", said(""), "all pre-drain hooks, 0s to 24h; empty: window/4", |s, _, v| {
        optional(v, |v| time(v, ZERO, DAY)).map(|it| s.hooks.pre_drain_limit = it)
    }),
    open("hooks.timeouts", "the limit of the hook of this name, 1s to 24h", |s, name, v| {
        let it = time(v, secs(1), DAY)?;
        s.hooks.timeouts.insert(name.to_owned(), it);
        Ok(())
    }),
    row("metrics", "textfile", said(""), "a file PATH.prom for node_exporter; empty: none", |s, _, v| {
        optional(v, textfile).map(|it| s.metrics.textfile = it)
    }),
    row("webhook", "url", said(""), "a secret: https://HOST/PATH; empty: none", |s, _, v| {
        optional(v, address).map(|it| s.webhook.url = it)
    })
    .secret(),
    row("webhook", "url-file", said(""), "a file that holds it, and goes before url", |s, _, v| {
        optional(v, absolute_path).map(|it| s.webhook.url_file = it)
    }),
    row("webhook", "ca-file", said(""), "authorities in PEM; empty: the system's", |s, _, v| {
        optional(v, absolute_path).map(|it| s.webhook.ca_file = it)
    }),
    row("webhook", "template", said(""), "a file with the body; empty: the record", |s, _, v| {
        optional(v, absolute_path).map(|it| s.webhook.template = it)
    }),
    row("webhook", "proxy", said(""), "a URL; empty: HTTPS_PROXY", |s, _, v| {
        optional(v, proxy).map(|it| s.webhook.proxy = it)
    }),
    open("webhook.headers", "the header of this name: a text or { file = PATH }", |s, name, v| {
        match header(name, v)? {
            Some(it) => drop(s.webhook.headers.insert(name.to_owned(), it)),
            None => drop(s.webhook.headers.remove(name)),
        }
        Ok(())
    })
    .secret(),
    row("log", "level", said("info"), "error, warn, info or debug", |s, _, v| {
        word(v, &LEVELS).map(|it| s.log.level = it)
    })
    .flag("log-level"),
    row("log", "format", said("auto"), "auto (journald's priorities there), text or json", |s, _, v| {
        word(v, &FORMATS).map(|it| s.log.format = it)
    }),
];

const REACTIONS: [(&str, Reaction); 4] = [
    ("drain", Reaction::Drain),
    ("cordon", Reaction::Cordon),
    ("observe", Reaction::Observe),
    ("ignore", Reaction::Ignore),
];
const FORCES: [(&str, Force); 2] = [("at-force-time", Force::AtForceTime), ("never", Force::Never)];
const MODES: [(&str, Mode); 3] = [("auto", Mode::Auto), ("required", Mode::Required), ("off", Mode::Off)];
const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
/// Not `trace`: nothing is said below `debug`, and rustls would print session tickets.
pub const LEVELS: [(&str, LevelFilter); 4] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
];

const ACTION: &str = "drain, cordon, observe or ignore";
const WINDOW: &str = "how long a response may take, 10s to 24h";
const FORCE: &str = "pass over budgets at-force-time or never";

fn window(value: &Value) -> Accepted<Duration> {
    time(value, secs(10), DAY)
}

const ZERO: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const IS: Value = Value::Bool(true);
const NO_LIST: Value = Value::List(Vec::new());

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn said(text: &'static str) -> Value {
    Value::Text(Cow::Borrowed(text))
}

type Put = fn(&mut Settings, &str, &Value) -> Accepted<()>;

const fn row(table: &'static str, key: &'static str, built_in: Value, meaning: &'static str, put: Put) -> Row {
    Row { table, key, meaning, built_in: Some(built_in), flag: None, secret: false, put }
}

const fn open(table: &'static str, meaning: &'static str, put: Put) -> Row {
    Row { table, key: "*", meaning, built_in: None, flag: None, secret: false, put }
}

impl Row {
    const fn flag(mut self, flag: &'static str) -> Row {
        self.flag = Some(flag);
        self
    }

    const fn secret(mut self) -> Row {
        self.secret = true;
        self
    }

    /// The keys are names that the user chooses.
    pub fn is_open(&self) -> bool {
        self.key == "*"
    }

    /// `SPOT_GUARD_CONFIG_<TABLE>_<KEY>`; an open table is set as a whole.
    pub fn variable(&self) -> String {
        let key = if self.is_open() { String::new() } else { format!("_{}", self.key) };
        format!("SPOT_GUARD_CONFIG_{}{key}", self.table).to_uppercase().replace(['.', '-'], "_")
    }
}

/// The row of a key, by its place in the schema.
pub fn find(table: &str, key: &str) -> Option<usize> {
    SCHEMA.iter().position(|row| row.table == table && (row.key == key || row.is_open()))
}

/// Whether this names a table, or what a table's name begins with.
pub fn is_table(name: &str) -> bool {
    SCHEMA.iter().any(|row| row.table.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The table that was probably meant.
pub fn nearest_table(name: &str) -> Option<&'static str> {
    nearest(name, SCHEMA.iter().map(|row| row.table))
}

/// The key that was probably meant, or the table into which it belongs.
pub fn hint(table: &str, key: &str) -> Hint {
    let closed = || SCHEMA.iter().filter(|row| !row.is_open());
    let within = closed().filter(|row| row.table == table).map(|row| row.key);
    if let Some(known) = nearest(key, within) {
        return Hint::Nearest(known);
    }
    let mut elsewhere = closed().filter(|row| row.key == key);
    match (elsewhere.next(), elsewhere.next()) {
        (Some(row), None) => Hint::BelongsTo(row.table),
        _ => Hint::None,
    }
}

fn response() -> Response {
    Response { reaction: Reaction::Ignore, window: ZERO, force: Force::Never }
}

/// Settings before anything is put into them, the built-in values included: the fields that rows fill are empty, the
/// others are as they stay without flags.
pub fn blank() -> Settings {
    Settings {
        imds: Imds {
            endpoint: String::new(),
            disabled: false,
            poll_interval: ZERO,
            poll_interval_at_risk: ZERO,
            timeout: ZERO,
        },
        responses: Responses {
            spot_interruption: Response { window: SPOT_WINDOW, ..response() },
            autoscaling_termination: response(),
            maintenance: response(),
            rebalance_recommendation: response(),
            by_hand: response(),
        },
        kubernetes: Kubernetes {
            mode: Mode::Off,
            kubeconfig: None,
            node_name: None,
            proxy: None,
            exclude_from_load_balancers: false,
            taints: Vec::new(),
            conditions: false,
            events: false,
        },
        drain: Drain {
            delay: ZERO,
            reserve: None,
            grace_period_limit: None,
            respect_budgets: false,
            skip: None,
            local_after: None,
            volumes: false,
        },
        hooks: Hooks { timeout: ZERO, timeouts: BTreeMap::new(), pre_drain_limit: None },
        metrics: Metrics { textfile: None },
        webhook: Webhook::default(),
        log: Log { level: LevelFilter::Off, format: LogFormat::Auto },
        folders: Folders {
            hooks: vec![PathBuf::from("/etc/spot-guard/hooks"), PathBuf::from("/usr/lib/spot-guard/hooks")],
            state: PathBuf::from("/var/lib/spot-guard"),
            runtime: PathBuf::from("/run/spot-guard"),
        },
        dry_run: false,
    }
}
