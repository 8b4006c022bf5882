//! The control socket: what may be asked of a running daemon, who may ask, and how that goes over the wire.
//!
//! Knows both ends of the socket. Decides nothing: what is asked goes to whoever serves, by way of a [`Handle`].

mod ask;
mod drain;
mod handle;
mod serve;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use ask::{Error, ask, is_served};
pub use drain::{Drain, Wrong};
pub use handle::{Command, Handle, Unanswered};
pub use serve::serve;

use crate::moment::Timestamp;
use crate::observe::status::Status;

/// A request that is longer is none.
const LONGEST_REQUEST: usize = 64 * 1024;

/// What is asked: one JSON object on one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Respond as if there were a notice.
    Drain(Drain),
    /// Undo what was done to the node.
    Uncordon,
    /// What the status file says.
    Status,
    Metrics,
}

/// What is answered: one JSON object on one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// A response runs.
    Responding {
        id: String,
        /// It ran before this was asked.
        joined: bool,
        deadline: Timestamp,
        /// The file of its record.
        record: PathBuf,
    },
    /// What that response did to the node is being undone.
    Uncordoning { id: String, record: PathBuf },
    /// Read by [`read_answer`].
    #[serde(skip_deserializing)]
    Status(Box<Status>),
    Metrics {
        /// In Prometheus's text format.
        text: String,
    },
    /// It makes sense and cannot be done now.
    Refused { why: String },
    /// It makes no sense.
    Wrong { why: String },
}

/// Reads an answer from its line.
///
/// The status is read apart from the others: what a tag chooses serde reads by other code than what stands alone, and
/// all that reads a record would be in the program twice, 60 KiB of it.
///
/// # Errors
/// When it is none.
fn read_answer(line: &[u8]) -> serde_json::Result<Answer> {
    #[derive(Deserialize)]
    struct Which {
        answer: String,
    }
    match serde_json::from_slice::<Which>(line)?.answer.as_str() {
        "status" => serde_json::from_slice(line).map(|status| Answer::Status(Box::new(status))),
        _ => serde_json::from_slice(line),
    }
}

/// Reads a request from its line.
///
/// # Errors
/// Why it is none; one line.
pub fn read(line: &[u8]) -> Result<Request, String> {
    // serde's own words quote what they do not understand, whatever stands there.
    let short = |why: String| why.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    serde_json::from_slice(line).map_err(|error| format!("this is no request: {}", short(error.to_string())))
}

/// Where the socket of a runtime folder is.
fn socket(runtime: &Path) -> PathBuf {
    runtime.join("control.sock")
}

/// One line of the protocol, its end included.
fn line(message: &impl Serialize) -> Vec<u8> {
    // Fails for a path that is no UTF-8, and options that give one are not taken.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::notice::Kind;

    #[test]
    fn a_request_is_one_line_and_is_read_as_it_was_written() {
        let time = Timestamp::from_rfc3339("2026-11-22T20:33:43Z");
        let bare = Drain { notice: Kind::ByHand, window: None, until: None, since: None, reason: None };
        let whole = Drain {
            notice: Kind::AutoscalingTermination,
            window: Some(Duration::from_millis(90_500)),
            until: time,
            since: time,
            reason: Some("new\nkernel".to_owned()),
        };
        for request in
            [Request::Drain(bare), Request::Drain(whole), Request::Uncordon, Request::Status, Request::Metrics]
        {
            let line = line(&request);
            assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            assert_eq!(read(&line), Ok(request));
        }
    }

    #[test]
    fn what_is_no_request_is_told_in_a_short_line() {
        let table = [
            ("", "EOF"),
            ("{}", "request"),
            (r#"{"request":"reboot"}"#, "reboot"),
            (r#"{"request":"drain","windows_seconds":5}"#, "windows_seconds"),
            (r#"{"request":"drain","notice":"by hand"}"#, "by hand"),
            (r#"{"request":"drain","until":"noon"}"#, "RFC 3339"),
            ("{\"request\":\"\u{1b}[2J\"}", "control"),
        ];
        for (text, mentions) in table {
            let why = read(text.as_bytes()).expect_err(text);
            assert!(why.contains(mentions) && why.len() < 1000 && !why.contains('\u{1b}'), "{text}: {why}");
        }
    }
}
