//! `spot-guard status`: what the daemon sees and is doing.

mod line;
mod page;
mod response;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::{fmt, fs};

use super::arguments::StatusCommand;
use super::drain::failed;
use super::screen::Screen;
use super::{WRONG, answer, complain};
use crate::config::{self, Sources};
use crate::control::{self, Answer, Request};
use crate::moment::Timestamp;
use crate::observe::status::Status;
use line::Line;

/// Of pods, where nothing is redrawn.
const PODS_SHOWN: usize = 12;

/// Where nothing is redrawn.
const WIDTH: usize = 80;

pub fn status(asked: &StatusCommand, sources: &Sources) -> ExitCode {
    if [asked.json, asked.metrics, asked.watch].iter().filter(|wanted| **wanted).count() > 1 {
        complain("spot-guard status takes one of --json, --metrics and --watch");
        return ExitCode::from(WRONG);
    }
    let runtime = config::load(sources).settings.folders.runtime;
    let screen = Screen::of(&sources.environment);
    match asked {
        StatusCommand { metrics: true, .. } => metrics(&runtime),
        StatusCommand { watch: true, .. } => watch::watch(&runtime, screen),
        _ => once(&runtime, asked.json, screen.is_live()),
    }
}

fn once(runtime: &Path, json: bool, colours: bool) -> ExitCode {
    match ask(runtime) {
        Ok(status) if json => answer(&object(&status)),
        Ok(status) => answer(&text(&page::page(&status, PODS_SHOWN), colours)),
        Err(Silence::Control(control::Error::NobodyListens(socket))) => {
            without_a_daemon(runtime, json, colours, &format!("nobody listens at {}", socket.display()))
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn object(status: &Status) -> String {
    serde_json::to_string(status).unwrap_or_default() + "\n"
}

fn text(lines: &[Line], colours: bool) -> String {
    lines.iter().flat_map(|line| line.wrapped(WIDTH, colours)).map(|line| line + "\n").collect()
}

/// What the last one has left to say.
fn without_a_daemon(runtime: &Path, json: bool, colours: bool, why: &str) -> ExitCode {
    let file = runtime.join("status.json");
    let left = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Status>(&text).ok());
    let Some(status) = left else {
        return failed(&format!("NOT protected: no daemon runs; {why}"));
    };
    if json {
        let _ = answer(&object(&status));
    } else {
        let _ = answer(&text(&page::of_what_was(&status, PODS_SHOWN), colours));
    }
    let age = Timestamp::now().later_than(status.at).unwrap_or_default();
    failed(&format!("NOT protected: no daemon runs; {why}. The above is of {}, {} ago", status.at, line::long(age)))
}

const OTHER_VERSION: &str = "the daemon has answered something else; it is of another version, restart it";

fn metrics(runtime: &Path) -> ExitCode {
    match control::ask(runtime, &Request::Metrics) {
        Ok(Answer::Metrics { text }) => answer(&text),
        Ok(Answer::Refused { why } | Answer::Wrong { why }) => failed(&why),
        Ok(_) => failed(OTHER_VERSION),
        Err(error) => failed(&error.to_string()),
    }
}

/// Why there is no status.
enum Silence {
    Control(control::Error),
    /// It does not tell this user, or is busy.
    Refused(String),
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Control(error) => error.fmt(f),
            Silence::Refused(why) => f.write_str(why),
        }
    }
}

fn ask(runtime: &Path) -> Result<Box<Status>, Silence> {
    match control::ask(runtime, &Request::Status).map_err(Silence::Control)? {
        Answer::Status(status) => Ok(status),
        Answer::Refused { why } | Answer::Wrong { why } => Err(Silence::Refused(why)),
        _ => Err(Silence::Refused(OTHER_VERSION.to_owned())),
    }
}
