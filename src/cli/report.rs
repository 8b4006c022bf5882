//! `spot-guard report`: what became of past responses. Reads records and changes nothing; no daemon is needed.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::ReportCommand;
use super::drain::failed;
use super::{WRONG, answer, complain, screen};
use crate::config::{Sources, built_in};
use crate::record::{Kept, Record, Store};
use crate::report;

pub fn report(asked: &ReportCommand, sources: &Sources) -> ExitCode {
    if let Some(wrong) = wrong_usage(asked) {
        complain(wrong);
        complain("Run spot-guard report --help for what there is.");
        return ExitCode::from(WRONG);
    }
    let state = sources.flags.state.clone().unwrap_or_else(|| built_in().folders.state);
    if state.try_exists().is_ok_and(|exists| !exists) {
        return failed(&format!("there is no folder {}; --state-dir says where records are", state.display()));
    }
    let store = Store::new(&state);
    let kept = match store.all() {
        Ok(kept) => kept,
        Err(error) => {
            return failed(&format!("{error}; run it as root, or on a copy of the folder, with --state-dir"));
        }
    };
    let (sound, broken): (Vec<Kept>, Vec<Kept>) = kept.into_iter().partition(|kept| kept.record.is_ok());
    for kept in &broken {
        let why = kept.record.as_ref().err().map(String::as_str).unwrap_or_default();
        complain(&format!("{} cannot be read: {why}", kept.path.display()));
    }
    let all_broken = sound.is_empty() && !broken.is_empty();
    match choose(&sound, asked) {
        _ if all_broken => ExitCode::FAILURE,
        Ok(chosen) if asked.json => answer(&json(&chosen)),
        Ok(chosen) if chosen.shown.is_empty() => nothing(asked, store.folder()),
        Ok(chosen) => show(&chosen, asked, sources),
        Err(why) => failed(&why),
    }
}

fn wrong_usage(asked: &ReportCommand) -> Option<&'static str> {
    match (asked.json, asked.html.is_some(), asked.all, asked.id.is_some()) {
        (true, true, ..) => Some("spot-guard report takes either --json or --html, not both"),
        (_, _, true, true) => Some("spot-guard report takes either an ID or --all, not both"),
        _ => None,
    }
}

/// Which are told in full, and which in a line each; the oldest first.
struct Chosen<'a> {
    shown: Vec<&'a Kept>,
    others: Vec<&'a Kept>,
}

fn choose<'a>(kept: &'a [Kept], asked: &ReportCommand) -> Result<Chosen<'a>, String> {
    let all: Vec<&Kept> = kept.iter().collect();
    match &asked.id {
        Some(id) => {
            let shown = of_id(&all, id)?;
            Ok(Chosen { shown: vec![shown], others: Vec::new() })
        }
        // For programs all of them, as they can choose themselves.
        None if asked.all || asked.json => Ok(Chosen { shown: all, others: Vec::new() }),
        None => {
            let (others, shown) = all.split_at(all.len().saturating_sub(1));
            Ok(Chosen { shown: shown.to_vec(), others: others.to_vec() })
        }
    }
}

/// The one response whose id begins so.
fn of_id<'a>(kept: &[&'a Kept], id: &str) -> Result<&'a Kept, String> {
    let name = |kept: &Kept| kept.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let begins: Vec<&&Kept> = kept.iter().filter(|kept| name(kept).starts_with(id)).collect();
    let short: String = id.chars().take(40).collect();
    match begins.as_slice() {
        [only] => Ok(only),
        [] => Err(format!("there is no response {short:?}; spot-guard report lists those that there are")),
        several => match several.iter().find(|kept| name(kept) == id) {
            Some(exactly) => Ok(exactly),
            None => Err(format!("{} responses begin with {short:?}; say more of its id", several.len())),
        },
    }
}

/// The records as they are on disk, in one array.
fn json(chosen: &Chosen) -> String {
    let texts: Vec<String> = chosen.shown.iter().map(|kept| String::from_utf8_lossy(&kept.text).into_owned()).collect();
    format!("[{}]\n", texts.iter().map(|text| text.trim()).collect::<Vec<_>>().join(",\n"))
}

fn nothing(asked: &ReportCommand, folder: &Path) -> ExitCode {
    let words = format!("no response so far: there is no record in {}", folder.display());
    if asked.html.is_some() { failed(&words) } else { answer(&format!("{words}\n")) }
}

fn show(chosen: &Chosen, asked: &ReportCommand, sources: &Sources) -> ExitCode {
    let (shown, others) = (records(&chosen.shown), records(&chosen.others));
    match asked.html.as_deref() {
        None => answer(&report::text(&shown, &others, screen::width(), screen::is_colourful(&sources.environment))),
        Some("-") => answer(&report::html(&shown, &others)),
        Some(file) => match fs::write(file, report::html(&shown, &others)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("cannot write {file}: {error}")),
        },
    }
}

fn records<'a>(kept: &[&'a Kept]) -> Vec<&'a Record> {
    kept.iter().filter_map(|kept| kept.record.as_ref().ok()).collect()
}
