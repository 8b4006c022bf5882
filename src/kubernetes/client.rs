//! One request and what comes back.
//!
//! Knows HTTP, the Status object, and when a request is worth repeating at once. Knows no path of the API.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::CertificateError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Request as HttpRequest, Response, StatusCode, header};
use ureq::{Agent, Body, Timeout};

use super::link::Link;
use crate::moment::Timestamp;
use crate::objects::{Answer, Refusal};

/// The largest answer that is read, in bytes. A node has tens of kilobytes; etcd takes objects of 1.5 MiB, and a page of
/// pods has a few of ten or twenty kilobytes each.
const ANSWER_LIMIT: u64 = 16 << 20;

/// The largest answer that is read only to keep the connection.
const UNREAD_LIMIT: u64 = 1 << 20;

/// A refusal is a short text.
const REFUSAL_LIMIT: u64 = 64 << 10;

/// As much of a message as is kept, in characters.
const MESSAGE_LENGTH: usize = 300;

/// Asks for as little as possible where nothing of the answer is looked at.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Sends requests over connections of its own, which it keeps.
pub struct Client {
    pub link: Arc<Link>,
    line: Mutex<Line>,
    /// How many clients for the same link came before this one.
    turn: usize,
    /// One of its connections came about.
    reached: Arc<AtomicBool>,
}

/// The agent that holds the connections, which of this client's agents it is, and the number of the keys that the
/// connections were made with.
#[derive(Clone)]
struct Line {
    agent: Agent,
    which: u64,
    number: u64,
}

/// A request that may be sent more than once without harm.
pub struct Request {
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Content type and JSON.
    pub body: Option<(&'static str, Value)>,
}

impl Request {
    pub fn get(path: String) -> Request {
        Request { method: Method::GET, path, body: None }
    }

    pub fn with_body(method: Method, path: String, content_type: &'static str, body: Value) -> Request {
        Request { method, path, body: Some((content_type, body)) }
    }
}

impl Client {
    pub fn new(link: Arc<Link>) -> Client {
        Client::of_turn(link, 0)
    }

    fn of_turn(link: Arc<Link>, turn: usize) -> Client {
        // The number before the agent: keys that change in between only lead to one agent more.
        let number = link.hold().number;
        let reached: Arc<AtomicBool> = Arc::default();
        let line = Line { agent: link.agent(turn, reached.clone()), which: 0, number };
        Client { link, line: Mutex::new(line), turn, reached }
    }

    /// Whether a connection of its own came about.
    pub fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    fn agent(&self) -> Agent {
        self.link.agent(self.turn, self.reached.clone())
    }

    /// The same link over new connections, which begin with another of the server's addresses.
    pub fn afresh(&self) -> Client {
        Client::of_turn(self.link.clone(), self.turn.wrapping_add(1))
    }

    /// The answer to `request`.
    pub fn read<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Answer> {
        let response = self.send(request, "application/json")?;
        let mut body = Vec::new();
        // Whole and then parsed: parsing as it comes in is slower, and one more copy of each parser in the program.
        let read = limited(response, ANSWER_LIMIT).read_to_end(&mut body);
        read.map_err(|e| e.to_string())
            .and_then(|_| understood(&body))
            .map_err(|e| Answer::Nothing(format!("{}: the answer cannot be understood ({e})", self.what(request))))
    }

    /// Whether `request` was accepted.
    pub fn answer(&self, request: &Request) -> Answer {
        match self.send(request, METADATA_ONLY) {
            Ok(response) => {
                // Accepted is accepted; reading the rest only lets the connection be kept.
                let _ = io::copy(&mut limited(response, UNREAD_LIMIT), &mut io::sink());
                Answer::Accepted
            }
            Err(answer) => answer,
        }
    }

    /// Sends `request`. A 401 renews the keys, a connection that broke is left for a new one; either leads to one more
    /// attempt.
    fn send(&self, request: &Request, accept: &str) -> Result<Response<Body>, Answer> {
        let (mut renewed, mut reconnected) = (false, false);
        loop {
            let line = self.line();
            match self.attempt(&line.agent, request, accept) {
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !renewed => {
                    renewed = true;
                    self.renew(request, line.number, response)?;
                }
                Ok(response) if response.status().is_success() => {
                    self.link.was_accepted();
                    return Ok(response);
                }
                Ok(response) => return Err(Answer::Refused(refusal(response))),
                Err(error) if broke(&error) && !reconnected => {
                    reconnected = true;
                    self.leave(&line);
                }
                Err(error) => return Err(Answer::Nothing(format!("{}: {}", self.what(request), reason(&error)))),
            }
        }
    }

    /// Opens a stream on a connection of its own; its reads end with an error that [`is_pace`] knows after
    /// [`super::link::PACE`].
    pub fn stream(&self, request: &Request) -> Result<impl Read + use<>, Answer> {
        let mut renewed = false;
        loop {
            let number = self.link.hold().number;
            let agent = self.link.streaming_agent(self.turn, self.reached.clone());
            match self.attempt(&agent, request, "application/json") {
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !renewed => {
                    renewed = true;
                    self.renew(request, number, response)?;
                }
                Ok(response) if response.status().is_success() => return Ok(limited(response, u64::MAX)),
                Ok(response) => return Err(Answer::Refused(refusal(response))),
                Err(error) => return Err(Answer::Nothing(format!("{}: {}", self.what(request), reason(&error)))),
            }
        }
    }

    fn attempt(&self, agent: &Agent, request: &Request, accept: &str) -> Result<Response<Body>, ureq::Error> {
        let mut builder = HttpRequest::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", self.link.server, request.path))
            .header(header::ACCEPT, accept);
        if let Some(authorization) = self.link.hold().authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        match &request.body {
            Some((content_type, body)) => {
                agent.run(builder.header(header::CONTENT_TYPE, *content_type).body(body.to_string())?)
            }
            None => agent.run(builder.body(())?),
        }
    }

    /// Ok if there are other keys to try than those that `response` (a 401) refused.
    fn renew(&self, request: &Request, number: u64, response: Response<Body>) -> Result<(), Answer> {
        match self.link.renew(number) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Answer::Refused(refusal(response))),
            Err(e) => Err(Answer::Nothing(format!("{}: the API server answered 401 and {e}", self.what(request)))),
        }
    }

    /// The connections in use; new ones once the keys they were made with are no longer those of the link.
    fn line(&self) -> Line {
        let number = self.link.hold().number;
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.number != number {
            *line = Line { agent: self.agent(), which: line.which.wrapping_add(1), number };
        }
        line.clone()
    }

    /// Gives up the kept connections of which one broke: where one is dead, the others are too.
    fn leave(&self, broken: &Line) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.which == broken.which {
            line.agent = self.agent();
            line.which = line.which.wrapping_add(1);
        }
    }

    /// What was tried, on what, for an error.
    pub fn what(&self, request: &Request) -> String {
        let path = request.path.split('?').next().unwrap_or_default();
        format!("{} {}{path}", request.method, self.link.server)
    }
}

/// The object that the body of an answer, or an event, is. The error is a short line, whatever stands in the body.
pub fn understood<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // serde's own words quote what they do not understand, which may be megabytes.
    serde_json::from_slice(body).map_err(|e| short(&e.to_string()))
}

/// The beginning of a text, on one line.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_LENGTH).collect()
}

fn limited(response: Response<Body>, limit: u64) -> impl Read + use<> {
    response.into_body().into_with_config().limit(limit).reader()
}

/// The connection ended under the request, as a kept one does that the server had given up.
fn broke(error: &ureq::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error, ureq::Error::Io(e)
        if matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof))
}

/// The error of a read that only came back because of its pace.
pub fn is_pace(error: &io::Error) -> bool {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>())
        .is_some_and(|e| matches!(e, ureq::Error::Timeout(Timeout::PerRead)))
}

/// Whether a certificate was refused for the time of day.
fn is_about_time(error: &io::Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let why = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        why,
        Some(rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        ))
    )
}

/// What went wrong, for a person. ureq's errors hold no header and no body.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(Timeout::Connect) => "no connection in time".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the server's name has no address".to_owned(),
        ureq::Error::Io(e) if is_about_time(e) => {
            let now = Timestamp::now();
            format!("the server's certificate is not valid at {now}; is this machine's clock right? ({e})")
        }
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// The Status object of a refusal, as far as it is looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Status {
    message: String,
    code: u16,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Option<Vec<Cause>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

fn refusal(response: Response<Body>) -> Refusal {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    // What was read before an error says more than the error.
    let _ = limited(response, REFUSAL_LIMIT).read_to_end(&mut body);
    Refusal { retry_after: retry_after.map(Duration::from_secs), ..worded(status, &body) }
}

/// A refusal as its body words it: a Status object, or any text.
pub fn worded(status: u16, body: &[u8]) -> Refusal {
    match serde_json::from_slice::<Status>(body) {
        Ok(parsed) => parsed.refusal(status),
        Err(_) => {
            Status { message: String::from_utf8_lossy(body).trim().to_owned(), ..Status::default() }.refusal(status)
        }
    }
}

impl Status {
    /// `status` is that of HTTP; 0 where there is none but the object's own.
    pub fn refusal(self, status: u16) -> Refusal {
        let causes = self.details.and_then(|details| details.causes).unwrap_or_default();
        // Which budget it is stands in the cause alone.
        let budgets = causes.iter().filter(|cause| cause.reason == "DisruptionBudget");
        let message = budgets.fold(self.message, |message, cause| message + " " + &cause.message);
        Refusal {
            status: if status == 0 { self.code } else { status },
            message: short(message.trim_end()),
            causes: causes.into_iter().map(|cause| cause.reason).filter(|reason| !reason.is_empty()).collect(),
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_keeps_the_servers_words_and_causes() {
        let body = json!({"kind": "Status", "status": "Failure", "code": 429,
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget db needs 1."}, {}]}});
        let refusal = worded(429, body.to_string().as_bytes());
        let message =
            "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget db needs 1.";
        assert_eq!(refusal.message, message);
        assert_eq!((refusal.status, refusal.causes), (429, vec!["DisruptionBudget".to_owned()]));
    }

    #[test]
    fn a_refusal_that_is_no_status_object_is_cut_to_a_line() {
        let refusal = worded(429, "too many\nrequests ".repeat(100).as_bytes());
        assert!(refusal.message.starts_with("too manyrequests"), "{refusal:?}");
        assert_eq!(refusal.message.chars().count(), 300);
        assert_eq!(worded(500, &[0xff, 0]).message, "\u{fffd}");
    }
}
