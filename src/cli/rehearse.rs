//! `spot-guard rehearse`: what a notice now would do.

mod text;

use std::process::ExitCode;

use super::arguments::RehearseCommand;
use super::drain::{failed, kind, window};
use super::follow::stop;
use super::{WRONG, answer, complain};
use crate::config::{self, Log, Sources};
use crate::control::Drain;
use crate::notice::Kind;
use crate::observe;
use crate::rehearsal::{self, Error, Plan};
use crate::signals;

pub fn rehearse(asked: &RehearseCommand, sources: &Sources) -> ExitCode {
    let notice = match read(asked) {
        Ok(notice) => notice,
        Err(wrong) => return complain_of_usage(&wrong),
    };
    let loaded = config::load(sources);
    let by_flag = sources.flags.settings.iter().any(|(flag, _)| *flag == "log-level");
    let log = &loaded.settings.log;
    // What goes well is in the plan.
    let level = if by_flag { log.level } else { log.level.min(log::LevelFilter::Warn) };
    observe::log::set_up(&Log { level, ..log.clone() });
    loaded.problems.iter().for_each(|problem| complain(&format!("{problem}; rehearsed without it, as run does")));
    // Hooks that run would outlive this process.
    let signals = if asked.run_hooks { signals::catch().ok() } else { None };
    match rehearsal::rehearse(&loaded.settings, &notice, asked.run_hooks, &stop(signals)) {
        Ok(plan) => show(&plan, asked.json),
        Err(Error::Wrong(wrong)) => complain_of_usage(&wrong.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

fn show(plan: &Plan, json: bool) -> ExitCode {
    let text = if json { serde_json::to_string(plan).unwrap_or_default() + "\n" } else { text::of(plan) };
    let answered = answer(&text);
    if plan.ready { answered } else { ExitCode::FAILURE }
}

fn read(asked: &RehearseCommand) -> Result<Drain, String> {
    let notice = asked.notice.as_deref().map(kind).transpose()?.unwrap_or(Kind::SpotInterruption);
    let window = asked.window.as_deref().map(window).transpose()?;
    Ok(Drain { notice, window, until: None, since: None, reason: None })
}

fn complain_of_usage(wrong: &str) -> ExitCode {
    complain(wrong);
    complain("Run spot-guard rehearse --help for what there is.");
    ExitCode::from(WRONG)
}
