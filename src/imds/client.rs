//! One request at a time, with a token that is fetched before it is needed.

use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::{Counts, Error, Item};
use crate::config;
use crate::moment::{Moment, Timestamp};

const TOKEN_PATH: &str = "api/token";

/// The longest life that IMDS gives a token.
const TOKEN_LIFE: Duration = Duration::from_secs(21_600);

/// A token of this age is renewed; the old one serves until that worked.
const RENEWED_AFTER: Duration = Duration::from_secs(10_800);

/// How long after a renewal that failed the next one is tried.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

/// How many times the usual timeout a patient attempt has for each step, but no longer than this.
const PATIENT: u32 = 3;
const LONGEST_PATIENCE: Duration = Duration::from_secs(5);

/// Of a body, in bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// How much of a refusal is shown, in characters.
const LONGEST_EXCERPT: usize = 100;

/// The metadata service, one request at a time.
pub struct Client {
    /// `http://host[:port]/latest/`
    base: String,
    disabled: bool,
    agent: Agent,
    /// For a service that answers, but later than the settings allow for.
    patient: Agent,
    timeout: Duration,
    /// How many items, in a row, were not answered.
    unanswered: u32,
    /// The latest item was answered, but later than the settings allow for.
    late: bool,
    token: Option<Token>,
    counts: Arc<Mutex<Counts>>,
}

/// Not to be shown: hence no `Debug`.
struct Token {
    text: String,
    /// When a new one is asked for.
    renewal: Moment,
    /// When it is used no more.
    end: Moment,
}

impl Client {
    /// Nothing is asked yet. No proxy is used and no redirect followed, whatever the environment says.
    pub fn new(settings: &config::Imds) -> Client {
        let patience = (settings.timeout * PATIENT).min(LONGEST_PATIENCE).max(settings.timeout);
        let base = format!("{}/latest/", settings.endpoint.trim_end_matches('/'));
        Client {
            base,
            disabled: settings.disabled,
            agent: agent(settings.timeout),
            patient: agent(patience),
            timeout: settings.timeout,
            unanswered: 0,
            late: false,
            token: None,
            counts: Arc::default(),
        }
    }

    /// Reads the item at `path` (under `/latest/`); `None` if there is none.
    ///
    /// Takes at most a few times the timeout of the settings; after two that were not answered in time, once, a few
    /// times three of it: a service that is always late by a little must not hide a notice for ever. As long as it is,
    /// and answers, that is what everything has.
    pub fn get(&mut self, path: &str) -> Result<Option<Item>, Error> {
        if self.disabled {
            return Err(Error::Disabled);
        }
        let began = Moment::now();
        let item = self.try_to_get(path);
        let is_answered = !matches!(item, Err(Error::NoAnswer { .. }));
        self.unanswered = if is_answered { 0 } else { self.unanswered.wrapping_add(1) };
        self.late = is_answered && Moment::now().since(began) > self.timeout;
        item
    }

    fn try_to_get(&mut self, path: &str) -> Result<Option<Item>, Error> {
        let mut answer = self.ask(path)?;
        if answer.status() == 401 {
            self.token = None;
            answer = self.ask(path)?;
        }
        let item = match answer.status().as_u16() {
            200 => Some(Item { date: date(&answer), body: text(answer, || self.url(path))? }),
            404 => None,
            _ => return Err(refusal(answer, self.url(path))),
        };
        self.counts().last_success = Some(Timestamp::now());
        Ok(item)
    }

    /// What is counted, also while the client is at work elsewhere.
    pub(super) fn shared_counts(&self) -> Arc<Mutex<Counts>> {
        Arc::clone(&self.counts)
    }

    fn ask(&mut self, path: &str) -> Result<Response<Body>, Error> {
        let token = self.token()?;
        let request = self.agent().get(self.url(path)).header("X-aws-ec2-metadata-token", token);
        self.count(path, request.call())
    }

    /// A token that is still good.
    fn token(&mut self) -> Result<String, Error> {
        let now = Moment::now();
        match &self.token {
            Some(token) if now < token.renewal => Ok(token.text.clone()),
            Some(token) if now < token.end => {
                let old = token.text.clone();
                Ok(self.renew(now).unwrap_or(old))
            }
            _ => self.fetch_token(now),
        }
    }

    /// A new token, if there is one to be had.
    fn renew(&mut self, now: Moment) -> Option<String> {
        let renewed = self.fetch_token(now);
        if let (Err(error), Some(token)) = (&renewed, &mut self.token) {
            log::debug!("the token of the metadata service is not renewed yet: {error}");
            token.renewal = now + RENEWAL_PAUSE;
        }
        renewed.ok()
    }

    fn fetch_token(&mut self, now: Moment) -> Result<String, Error> {
        let life = TOKEN_LIFE.as_secs().to_string();
        let request = self.agent().put(self.url(TOKEN_PATH)).header("X-aws-ec2-metadata-token-ttl-seconds", life);
        let answer = self.count(TOKEN_PATH, request.send_empty())?;
        if answer.status() != 200 {
            return Err(refusal(answer, self.url(TOKEN_PATH)));
        }
        let text = text(answer, || self.url(TOKEN_PATH))?;
        let text = text.trim().to_owned();
        // It goes into a header: no spaces, no line ends.
        if text.is_empty() || text.len() > 1024 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::NoToken { url: self.url(TOKEN_PATH) });
        }
        let end = now + (TOKEN_LIFE - RENEWAL_PAUSE);
        self.token = Some(Token { text: text.clone(), renewal: now + RENEWED_AFTER, end });
        Ok(text)
    }

    fn agent(&self) -> &Agent {
        if self.late || self.unanswered % 3 == 2 { &self.patient } else { &self.agent }
    }

    fn count(&self, path: &str, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Error> {
        let code = match &answer {
            Ok(answer) => answer.status().as_str().to_owned(),
            Err(ureq::Error::Timeout(_)) => "timeout".to_owned(),
            Err(_) => "error".to_owned(),
        };
        *self.counts().requests.entry((path.to_owned(), code)).or_default() += 1;
        answer.map_err(|error| Error::NoAnswer { url: self.url(path), reason: error.to_string() })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What requests are made with. Each step has the whole time, because a service that hangs does so in one of them.
fn agent(timeout: Duration) -> Agent {
    let timeout = Some(timeout);
    // None of the timeouts that make ureq start a thread for each request; and none for sending, since a new connection
    // takes what is shorter than its buffer at once.
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_connect(timeout)
        .timeout_recv_response(timeout)
        .timeout_recv_body(timeout)
        // A request is one packet, so there is nothing that it could wait for.
        .no_delay(false)
        // Filled with zeroes at each request; the head of an answer, of some 250 bytes, must fit in.
        .input_buffer_size(2 * 1024)
        .output_buffer_size(1024)
        // IMDS closes each connection itself, and one that it closes a moment too late would look like a fault.
        .max_idle_connections(0)
        .user_agent(concat!("spot-guard/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn date(answer: &Response<Body>) -> Option<Timestamp> {
    answer.headers().get(header::DATE)?.to_str().ok().and_then(Timestamp::from_http_date)
}

/// The whole body.
fn text(answer: Response<Body>, url: impl Fn() -> String) -> Result<String, Error> {
    let mut body = Vec::new();
    // One byte more than is allowed shows that there is more.
    let mut reader = answer.into_body().into_reader().take(LONGEST_BODY as u64 + 1);
    reader.read_to_end(&mut body).map_err(|error| Error::NoAnswer { url: url(), reason: error.to_string() })?;
    if body.len() > LONGEST_BODY {
        return Err(Error::TooLarge { url: url() });
    }
    String::from_utf8(body).map_err(|_| Error::NotText { url: url() })
}

fn refusal(answer: Response<Body>, url: String) -> Error {
    let status = answer.status().as_u16();
    let body = text(answer, || url.clone()).unwrap_or_default();
    let excerpt: String = body.trim().chars().take(LONGEST_EXCERPT).collect();
    Error::Refused { url, status, body: excerpt.escape_debug().to_string() }
}

#[cfg(test)]
impl Client {
    /// As if so much time had passed since the token was fetched.
    pub(super) fn age_token(&mut self, age: Duration) {
        if let Some(token) = &mut self.token {
            (token.renewal, token.end) = (token.renewal - age, token.end - age);
        }
    }
}
