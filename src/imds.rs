//! The instance metadata service: IMDSv2, and the poll that watches for every kind of notice.
//!
//! Knows HTTP and the paths of the service. Knows nothing of what a notice means, and gives bodies on as they came.

mod client;
mod health;
mod instance;
mod poll;
mod side;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use self::client::Client;
pub use self::instance::{INSTANCE_ITEMS, Reader};
pub use self::poll::{News, Poll, poll};
pub use self::side::{SIDE_PATHS, SidePath};
use crate::moment::Timestamp;

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

/// Why an item could not be read. Nothing of a token is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No connection, no answer in time, an answer that is cut or no HTTP.
    NoAnswer { url: String, reason: String },
    /// A status that means neither "here it is" nor "there is none", and the beginning of what came with it.
    Refused { url: String, status: u16, body: String },
    /// More than 64 KiB.
    TooLarge { url: String },
    /// A body that is not text.
    NotText { url: String },
    /// What came as a token cannot be one.
    NoToken { url: String },
    /// The environment says `AWS_EC2_METADATA_DISABLED=true`.
    Disabled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoAnswer { url, reason } => write!(f, "cannot read {url}: {reason}"),
            Error::Refused { url, status, body } => {
                write!(f, "cannot read {url}: the metadata service answered {status}{}", advice(*status))?;
                if body.is_empty() { Ok(()) } else { write!(f, " ({body})") }
            }
            Error::TooLarge { url } => write!(f, "cannot read {url}: the answer is longer than 64 KiB"),
            Error::NotText { url } => write!(f, "cannot read {url}: the answer is not text"),
            Error::NoToken { url } => write!(f, "cannot read {url}: the answer is no token; is this IMDS?"),
            Error::Disabled => f.write_str("the metadata service is not asked: AWS_EC2_METADATA_DISABLED is true"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether the service asks to be asked less (EC2 User Guide, "Query throttling").
    fn is_throttling(&self) -> bool {
        matches!(self, Error::Refused { status: 429 | 503, .. })
    }

    /// The same word for errors between which only an excerpt of the answer or the system's wording differs.
    fn kind(&self) -> String {
        match self {
            Error::NoAnswer { .. } => "no answer".to_owned(),
            Error::Refused { status, .. } => format!("refused {status}"),
            Error::TooLarge { .. } => "too large".to_owned(),
            Error::NotText { .. } => "not text".to_owned(),
            Error::NoToken { .. } => "no token".to_owned(),
            Error::Disabled => "disabled".to_owned(),
        }
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        403 => "; is it switched off for this instance?",
        429 | 503 => "; too much asks it on this machine",
        _ => "",
    }
}

/// What was asked so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many requests by path (under `/latest/`) and answer (`200`, `404`, …; `timeout` or `error` without).
    pub requests: BTreeMap<(String, String), u64>,
    /// When an item was last given, or said to be absent, by the wall clock.
    pub last_success: Option<Timestamp>,
}
