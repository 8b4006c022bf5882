//! One connection, one request, one answer, as IMDS gives it or as a fault spoils it.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use time::OffsetDateTime;

use super::{Date, Fault, Shared, State, fresh_number};
use crate::http::{self, Request};

const TOKEN_LIFE: &str = "X-aws-ec2-metadata-token-ttl-seconds";

pub fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // A client that goes away in the middle is its own business.
        thread::spawn(move || stream.and_then(|stream| answer(&stream, &shared)).ok());
    }
}

fn answer(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(request) = Request::read(&mut BufReader::new(stream))? else { return Ok(()) };
    let at = Instant::now();
    let path = request.path.strip_prefix("/latest/").unwrap_or(&request.path).to_owned();
    let fault = shared.fault_of(&path);
    let (status, body) = match fault {
        Some(Fault::Hang) => return hang(stream, at, &request, &path, shared),
        Some(Fault::Reset) => {
            shared.note(at, &request, &path, 0);
            // Closing with a linger of nothing sends a reset.
            return Ok(setsockopt(stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?);
        }
        Some(Fault::Status(status)) => (status, page(status)),
        Some(Fault::Html) => (200, page(200)),
        Some(Fault::BigBody(size)) => (200, "x".repeat(size)),
        Some(Fault::SlowBytes(_)) | None => item(&request, &path, shared),
    };
    shared.note(at, &request, &path, status);
    // How long a token is good is said with it, and some SDKs take none without that.
    let life = request.header(TOKEN_LIFE).filter(|_| path == "api/token" && status == 200);
    send(stream, shared, status, &body, life, fault)
}

/// Holds the connection open until the client gives it up, the fault is healed, or the stand-in ends.
fn hang(stream: &TcpStream, at: Instant, request: &Request, path: &str, shared: &Shared) -> io::Result<()> {
    shared.note(at, request, path, 0);
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    while shared.fault_of(path) == Some(Fault::Hang) && !shared.ended.load(Ordering::SeqCst) {
        if matches!(stream.peek(&mut [0]), Ok(0)) {
            return Ok(());
        }
    }
    Ok(())
}

fn send(
    stream: &TcpStream,
    shared: &Shared,
    status: u16,
    body: &str,
    token_life: Option<&str>,
    fault: Option<Fault>,
) -> io::Result<()> {
    let ahead = match shared.state().date {
        Date::Right => Some(0),
        Date::Ahead(seconds) => Some(seconds),
        Date::Absent => None,
    };
    let date = ahead.map(|seconds| http_date(OffsetDateTime::now_utc() + time::Duration::seconds(seconds)));
    let kind = if status == 200 { "text/plain" } else { "text/html" };
    let mut headers = vec![("Content-Type", kind), ("Connection", "close"), ("Server", "EC2ws")];
    headers.extend(token_life.map(|seconds| (TOKEN_LIFE, seconds)));
    headers.extend(date.as_deref().map(|date| ("Date", date)));
    let mut wire = Vec::new();
    http::respond(&mut wire, status, &headers, body.as_bytes())?;
    let mut stream = stream;
    if let Some(Fault::SlowBytes(wait)) = fault {
        for byte in wire {
            thread::sleep(wait);
            stream.write_all(&[byte])?;
        }
        return Ok(());
    }
    stream.write_all(&wire)
}

/// What IMDS answers when nothing is wrong with it.
fn item(request: &Request, path: &str, shared: &Shared) -> (u16, String) {
    let mut state = shared.state();
    if path == "api/token" {
        return match request.method.as_str() {
            "PUT" => state.give_token(request),
            _ => (405, page(405)),
        };
    }
    if request.method != "GET" {
        return (405, page(405));
    }
    let token = request.header("X-aws-ec2-metadata-token").and_then(|token| state.tokens.get(token));
    if token.is_none_or(|end| Instant::now() >= *end) {
        return (401, page(401));
    }
    state.look_up(path).map_or_else(|| (404, page(404)), |body| (200, body))
}

impl State {
    fn give_token(&mut self, request: &Request) -> (u16, String) {
        if request.header("X-Forwarded-For").is_some() {
            return (403, page(403));
        }
        let seconds = request.header(TOKEN_LIFE).and_then(|v| v.parse::<u64>().ok());
        let Some(seconds) = seconds.filter(|s| (1..=21600).contains(s)) else { return (400, page(400)) };
        // As long as those of EC2.
        let token = format!("AQAAA-{:020}-{:027}==", fresh_number(), self.tokens.len());
        self.tokens.insert(token.clone(), Instant::now() + Duration::from_secs(seconds));
        (200, token)
    }

    fn look_up(&self, path: &str) -> Option<String> {
        let inside = !path.split('/').any(|part| part == "..");
        let file = self.folder.as_ref().filter(|_| inside).map(|folder| folder.join(path));
        file.and_then(|file| std::fs::read_to_string(file).ok()).or_else(|| self.items.get(path).cloned())
    }
}

/// The body of every answer that is no item: IMDS sends a web page.
fn page(status: u16) -> String {
    format!("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><head><title>{status}</title></head></html>\n")
}

fn http_date(time: OffsetDateTime) -> String {
    format!("{}, {}", &time.weekday().to_string()[..3], day_and_time(time))
}

/// `21 Jan 2019 09:00:43 GMT`
pub fn day_and_time(time: OffsetDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{day:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", &month.to_string()[..3])
}
