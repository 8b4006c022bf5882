//! `spot-guard uncordon`: the node as it was.

use std::process::ExitCode;

use super::answer;
use super::doer::{Doer, Wants};
use super::drain::failed;
use super::follow::{Followed, follow};
use super::screen::Screen;
use crate::config::Sources;
use crate::control::{Answer, Request};
use crate::record::{Record, WayBack};
use crate::signals;

pub fn uncordon(sources: Sources) -> ExitCode {
    let screen = Screen::of(&sources.environment);
    let wants = Wants { no_wait: false, whatever_the_settings: false };
    let (doer, signals) = match Doer::find(sources, wants, signals::catch()) {
        Ok(found) => found,
        Err(error) => return error.tell(),
    };
    match doer.ask(Request::Uncordon) {
        Ok(Answer::Uncordoning { id, record }) => {
            let is_over = |record: &Record| matches!(record.way_back(), WayBack::Done | WayBack::Failed);
            match follow(doer, id, &record, &is_over, screen, signals) {
                Followed::ToTheEnd(record) if record.way_back() == WayBack::Failed => failed(&not_undone(&record)),
                Followed::ToTheEnd(record) => answer(&undone(&record)),
                Followed::NoMore(why) => failed(&why),
            }
        }
        Ok(Answer::Refused { why } | Answer::Wrong { why }) => failed(&format!("cannot uncordon: {why}")),
        Ok(_) => failed("the daemon has answered something else; it is of another version, restart it"),
        Err(error) => error.tell(),
    }
}

fn not_undone(record: &Record) -> String {
    record.errors.last().cloned().unwrap_or_else(|| "the node could not be brought back".to_owned())
}

fn undone(record: &Record) -> String {
    let node = record.node.name.as_deref().unwrap_or("of this machine");
    match record.node.nothing_to_undo {
        true => {
            format!("node {node}: nothing on it is spot-guard's to undo; kubectl uncordon undoes what others did\n")
        }
        false => format!("node {node}: what spot-guard did to it is undone\n"),
    }
}
