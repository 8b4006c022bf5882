//! `spot-guard config`: the effective settings, and what is wrong with them.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::ConfigCommand;
use super::{WRONG, answer, complain, complain_of_usage};
use crate::config::schema::{self, SCHEMA};
use crate::config::{
    Entry, Files, Flags, Loaded, Problem, Settings, Sources, Value, check_file, key_text, load, quoted,
    without_password,
};
use crate::terminal::plain;

/// Origins begin no further to the right than this, so that one long value does not push all of them away.
const WIDEST: usize = 60;

pub fn config(asked: &ConfigCommand, sources: &Sources) -> ExitCode {
    let wrong = match (asked.check, asked.files.is_empty(), &sources.files) {
        (false, true, _) => return show(sources),
        (true, true, _) => return check(sources),
        (true, false, Files::Places(_)) => return check_files(&asked.files),
        (true, false, Files::One(_)) => "spot-guard config --check takes either files or --config, not both",
        (false, false, _) => "spot-guard config takes files only with --check",
    };
    complain_of_usage("config", wrong)
}

/// All settings with their meaning, for the help.
pub fn settings_help() -> String {
    let mut text = "\nSettings, each also as a variable SPOT_GUARD_CONFIG_<TABLE>_<KEY>:\n".to_owned();
    let mut table = "";
    for row in &SCHEMA {
        if row.table != table {
            let _ = writeln!(text, "  [{}]", row.table);
            table = row.table;
        }
        let key = if row.is_open() { "NAME" } else { row.key };
        let _ = writeln!(text, "  {key:<27} {}", row.meaning);
    }
    text
}

/// Prints what `run` would use, beside what it would leave out.
fn show(sources: &Sources) -> ExitCode {
    let loaded = load(sources);
    let answered = answer(&effective(&loaded, &sources.flags));
    verdict(&loaded.problems, answered)
}

fn check(sources: &Sources) -> ExitCode {
    let loaded = load(sources);
    let files: Vec<String> = loaded.files.iter().map(|file| file.display().to_string()).collect();
    let read = if files.is_empty() { "no files: built-in settings".to_owned() } else { files.join("\n") };
    let answered = if loaded.problems.is_empty() { answer(&format!("{read}\nok\n")) } else { ExitCode::SUCCESS };
    verdict(&loaded.problems, answered)
}

fn check_files(files: &[String]) -> ExitCode {
    let problems: Vec<Problem> = files.iter().flat_map(|file| check_file(Path::new(file))).collect();
    let answered = if problems.is_empty() { answer(&format!("{}\nok\n", files.join("\n"))) } else { ExitCode::SUCCESS };
    verdict(&problems, answered)
}

fn verdict(problems: &[Problem], otherwise: ExitCode) -> ExitCode {
    problems.iter().for_each(|problem| complain(&problem.to_string()));
    if problems.is_empty() { otherwise } else { ExitCode::from(WRONG) }
}

/// The settings as TOML. Secrets and passwords in URLs are not shown.
fn effective(loaded: &Loaded, flags: &Flags) -> String {
    let lines: Vec<(&Entry, String)> = loaded.entries.iter().map(|entry| (entry, line(entry))).collect();
    let widths = lines.iter().map(|(_, line)| line.chars().count()).filter(|width| *width <= WIDEST);
    let width = widths.max().unwrap_or(0);
    let mut text = String::new();
    let mut table = "";
    for (entry, line) in &lines {
        if entry.table != table {
            let gap = if table.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{}]", entry.table);
            table = entry.table;
        }
        let _ = writeln!(text, "{line:width$}  # {}", plain(&entry.origin.to_string()));
    }
    text.push_str(&by_flag_only(&loaded.settings, flags));
    text
}

fn line(entry: &Entry) -> String {
    let key = key_text(&entry.key);
    let row = schema::find(entry.table, &entry.key).and_then(|row| SCHEMA.get(row));
    match &entry.value {
        // As a comment: who takes this for a file of settings is to miss the secret, not to send a wrong one.
        Value::Text(text) if !text.is_empty() && row.is_some_and(|row| row.secret) => format!("# {key} = (set)"),
        Value::Text(text) => format!("{key} = {}", quoted(&without_password(text))),
        value => format!("{key} = {value}"),
    }
}

/// What no file can set, as comments.
fn by_flag_only(settings: &Settings, flags: &Flags) -> String {
    let folders = &settings.folders;
    let hooks: Vec<String> = folders.hooks.iter().map(|folder| folder.display().to_string()).collect();
    let changes = if settings.dry_run { "nothing is changed" } else { "no" };
    let rows = [
        ("hooks-dir", hooks.join(", "), flags.hooks.is_some()),
        ("state-dir", folders.state.display().to_string(), flags.state.is_some()),
        ("runtime-dir", folders.runtime.display().to_string(), flags.runtime.is_some()),
        ("dry-run", changes.to_owned(), flags.dry_run),
    ];
    let rows = rows.map(|(flag, value, is_set)| (format!("# {flag:<11}  {}", plain(&value)), flag, is_set));
    let width = rows.iter().map(|(line, ..)| line.chars().count()).max().unwrap_or(0);
    let mut text = "\n# by flag only\n".to_owned();
    for (line, flag, is_set) in rows {
        let origin = if is_set { format!("--{flag}") } else { "built-in".to_owned() };
        let _ = writeln!(text, "{line:width$}  # {origin}");
    }
    if settings.imds.disabled {
        text.push_str("# the metadata service is never asked  # environment AWS_EC2_METADATA_DISABLED\n");
    }
    text
}
