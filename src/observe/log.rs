//! The log on standard error.
//!
//! Knows how a line looks to a person, to a program and to the journal, and never holds anybody up: when standard
//! error does not take a line, the line is lost and counted.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use serde::Serialize;

use crate::config::{Log, LogFormat};
use crate::hooks::LOG_TARGET;
use crate::moment::Timestamp;

/// At most this many bytes a line, so that it is written at once and no line of another thread gets into it (PIPE_BUF
/// is 4096).
const LONGEST_LINE: usize = 4000;

/// How long standard error may take to accept a line, in milliseconds; after a lost line it gets no time at all.
const PATIENCE: u8 = 100;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    Text,
    Json,
    /// With journald's priority in front; the journal knows the time (sd-daemon(3)).
    Journal,
}

/// The id of the response that is under way; empty without one.
static RESPONSE: Mutex<String> = Mutex::new(String::new());

static FORM: AtomicU8 = AtomicU8::new(Form::Text as u8);

/// Makes the log as the settings say, now or from now on: a later call changes it.
pub fn set_up(settings: &Log) {
    let form = match settings.format {
        LogFormat::Json => Form::Json,
        LogFormat::Text => Form::Text,
        LogFormat::Auto if stderr_is_journal() => Form::Journal,
        LogFormat::Auto => Form::Text,
    };
    FORM.store(form as u8, Ordering::Relaxed);
    let inner = env_logger::Builder::new()
        .filter_level(LevelFilter::Trace)
        .target(env_logger::Target::Pipe(Box::new(Patient { out: io::stderr(), lost: 0 })))
        .format(|out, record| {
            out.write_all(line(current_form(), record, &current_response(), Timestamp::now()).as_bytes())
        })
        .build();
    // Fails when the logger is there already, whose form and level are now changed.
    let _ = log::set_boxed_logger(Box::new(Filtered(inner)));
    log::set_max_level(settings.level);
}

/// From now on every line is said to be of this response, or of none.
pub fn set_response(id: Option<&str>) {
    let mut response = RESPONSE.lock().unwrap_or_else(PoisonError::into_inner);
    let id = id.unwrap_or_default();
    if *response != id {
        *response = id.to_owned();
    }
}

fn current_response() -> String {
    RESPONSE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn current_form() -> Form {
    match FORM.load(Ordering::Relaxed) {
        form if form == Form::Json as u8 => Form::Json,
        form if form == Form::Journal as u8 => Form::Journal,
        _ => Form::Text,
    }
}

/// Whether standard error is the stream to the journal: systemd names its device and inode (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Leaves out what other crates say below a warning.
struct Filtered(env_logger::Logger);

impl log::Log for Filtered {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        wanted(metadata.target(), metadata.level(), log::max_level())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {}
}

fn wanted(target: &str, level: Level, limit: LevelFilter) -> bool {
    level <= limit && (is_ours(target) || level <= Level::Warn)
}

fn is_ours(target: &str) -> bool {
    target == "spot_guard" || target.starts_with("spot_guard::") || target.starts_with("hook")
}

/// One line, its end included. `response`: the id of the one that is under way, or empty.
fn line(form: Form, record: &Record<'_>, response: &str, time: Timestamp) -> String {
    let of = if response.is_empty() { String::new() } else { format!("response {response}: ") };
    let mut line = match form {
        Form::Json => json(record, response, time),
        Form::Journal => format!("<{}>{of}{}", priority(record.level()), told(record)),
        Form::Text => format!("{time} {:<5} {of}{}", level_name(record.level()), told(record)),
    };
    if line.len() > LONGEST_LINE {
        shorten(&mut line, LONGEST_LINE);
        line.push('…');
    }
    line.push('\n');
    line
}

/// Cuts the text to at most so many bytes, between two characters.
fn shorten(text: &mut String, bytes: usize) {
    let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// As in syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The message on one line, with who says it in front where that is not spot-guard itself.
fn told(record: &Record<'_>) -> String {
    let mut told = match record.target() {
        target if target.starts_with(LOG_TARGET) => format!("hook {}: ", target.trim_start_matches(LOG_TARGET)),
        target if is_ours(target) => String::new(),
        target => format!("{target}: "),
    };
    for c in record.args().to_string().chars() {
        // A hook's output may hold anything; nothing of it may look like another line or speak to a terminal.
        match c {
            '\t' => told.push(c),
            c if c.is_control() => told.extend(c.escape_default()),
            c => told.push(c),
        }
    }
    told
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    level: &'static str,
    target: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    response: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<&'a str>,
    message: &'a str,
}

fn json(record: &Record<'_>, response: &str, time: Timestamp) -> String {
    let mut message = record.args().to_string();
    let target = record.target();
    let hook = target.strip_prefix(LOG_TARGET);
    let target = if hook.is_some() { "hook" } else { target };
    loop {
        let line = Line { time, level: level_name(record.level()), target, response, hook, message: &message };
        let json = serde_json::to_string(&line).unwrap_or_default();
        if json.len() <= LONGEST_LINE || message.is_empty() {
            return json;
        }
        let half = message.len() / 2;
        shorten(&mut message, half);
    }
}

/// The line that stands for those which were lost.
fn lost_lines(count: u64) -> String {
    let message = format_args!("{count} lines of this log were lost: standard error did not take them");
    line(
        current_form(),
        &Record::builder().level(Level::Warn).target("spot_guard").args(message).build(),
        &current_response(),
        Timestamp::now(),
    )
}

/// An output to which nobody is bound: a reader that does not read, or is gone, costs lines and no time.
struct Patient<W> {
    out: W,
    lost: u64,
}

impl<W: AsFd> Patient<W> {
    fn takes_a_line(&self) -> bool {
        let patience = if self.lost == 0 { PATIENCE } else { 0 };
        let mut wanted = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
        // A signal may end the wait early.
        let answers = (0..3).map(|_| poll(&mut wanted, PollTimeout::from(patience)));
        answers.flatten().next().is_some_and(|ready| ready > 0)
    }
}

impl<W: AsFd + Write> Write for Patient<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.takes_a_line() {
            self.lost = self.lost.saturating_add(1);
            return Ok(line.len());
        }
        if self.lost > 0 {
            let told = lost_lines(self.lost);
            self.lost = 0;
            let _ = self.out.write_all(told.as_bytes());
            // That line may have taken the room.
            return self.write(line);
        }
        let _ = self.out.write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use proptest::prelude::*;

    use super::*;

    fn written(form: Form, level: Level, target: &str, message: &str) -> String {
        written_in("", form, level, target, message)
    }

    fn written_in(response: &str, form: Form, level: Level, target: &str, message: &str) -> String {
        let time = Timestamp::from_rfc3339("2026-11-22T20:33:43.250Z").unwrap();
        let args = format_args!("{message}");
        line(form, &Record::builder().level(level).target(target).args(args).build(), response, time)
    }

    #[test]
    fn while_there_is_a_response_every_line_has_its_id() {
        let id = "20261122T203343Z";
        let rows = [
            (Form::Text, "2026-11-22T20:33:43.250Z info  response 20261122T203343Z: hook 10-a: bye\n"),
            (Form::Journal, "<6>response 20261122T203343Z: hook 10-a: bye\n"),
            (
                Form::Json,
                "{\"time\":\"2026-11-22T20:33:43.250Z\",\"level\":\"info\",\"target\":\"hook\",\
                 \"response\":\"20261122T203343Z\",\"hook\":\"10-a\",\"message\":\"bye\"}\n",
            ),
        ];
        for (form, expected) in rows {
            assert_eq!(written_in(id, form, Level::Info, "hook:10-a", "bye"), expected);
        }
    }

    #[test]
    fn a_line_looks_as_its_reader_wants_it() {
        let rows = [
            (Form::Text, Level::Info, "spot_guard::imds", "hello", "2026-11-22T20:33:43.250Z info  hello\n"),
            (Form::Text, Level::Error, "rustls::client", "x", "2026-11-22T20:33:43.250Z error rustls::client: x\n"),
            (Form::Text, Level::Info, "hook:20-nginx", "bye", "2026-11-22T20:33:43.250Z info  hook 20-nginx: bye\n"),
            (Form::Journal, Level::Error, "spot_guard", "no", "<3>no\n"),
            (Form::Journal, Level::Warn, "spot_guard", "hm", "<4>hm\n"),
            (Form::Journal, Level::Info, "hook:20-nginx", "bye", "<6>hook 20-nginx: bye\n"),
            (Form::Journal, Level::Debug, "spot_guard", "a\n<0>b\x1b[1m", "<7>a\\n<0>b\\u{1b}[1m\n"),
            (
                Form::Json,
                Level::Info,
                "spot_guard::imds",
                "a \"b\"\n",
                "{\"time\":\"2026-11-22T20:33:43.250Z\",\"level\":\"info\",\"target\":\"spot_guard::imds\",\
                 \"message\":\"a \\\"b\\\"\\n\"}\n",
            ),
            (
                Form::Json,
                Level::Warn,
                "hook:20-nginx",
                "bye",
                "{\"time\":\"2026-11-22T20:33:43.250Z\",\"level\":\"warn\",\"target\":\"hook\",\
                 \"hook\":\"20-nginx\",\"message\":\"bye\"}\n",
            ),
        ];
        for (form, level, target, message, expected) in rows {
            assert_eq!(written(form, level, target, message), expected);
        }
    }

    #[test]
    fn other_crates_are_not_heard_below_a_warning() {
        let rows = [
            ("spot_guard", Level::Info, LevelFilter::Info, true),
            ("spot_guard::imds", Level::Debug, LevelFilter::Info, false),
            ("spot_guard::imds", Level::Debug, LevelFilter::Debug, true),
            ("hook:a", Level::Info, LevelFilter::Info, true),
            ("spot_guardian", Level::Info, LevelFilter::Info, false),
            ("ureq", Level::Info, LevelFilter::Info, false),
            ("ureq", Level::Warn, LevelFilter::Info, true),
            ("ureq", Level::Warn, LevelFilter::Error, false),
            ("ureq", Level::Debug, LevelFilter::Debug, false),
        ];
        for (target, level, limit, heard) in rows {
            assert_eq!(wanted(target, level, limit), heard, "{target} {level} at {limit}");
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time_and_is_told_how_many() {
        let (reader, writer) = io::pipe().unwrap();
        let mut log = Patient { out: writer, lost: 0 };
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let mut sent = 0_u64;
        while log.lost < 500 {
            log.write_all(&line).unwrap();
            sent += 1;
        }
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        for _ in 0..sent - 500 {
            assert_eq!(lines.next().unwrap().len(), 999);
        }
        log.write_all(b"again\n").unwrap();
        assert!(lines.next().unwrap().contains("500 lines of this log were lost"));
        assert_eq!(lines.next().unwrap(), "again");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut log = Patient { out: writer, lost: 0 };
        for _ in 0..3 {
            assert_eq!(log.write(b"line\n").unwrap(), 5);
        }
    }

    proptest! {
        #[test]
        fn every_message_becomes_one_line_that_is_written_at_once(
            message in prop_oneof![r"(\PC|[\x00-\x1f]){0,40}", r"[\x00-\x1fä]{3900,4100}"],
            target in "(hook:|spot_guard|x)[a-z]{0,9}",
        ) {
            for form in [Form::Text, Form::Json, Form::Journal] {
                let line = written(form, Level::Info, &target, &message);
                prop_assert!(line.len() <= 4096, "{} bytes", line.len());
                prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
                if form == Form::Json {
                    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
                    prop_assert!(message.starts_with(object["message"].as_str().unwrap()));
                }
            }
        }
    }
}
