//! The command line: what was asked for, by whom it is done, and the exit code.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Answers go to standard output, everything else to
//! standard error.

mod arguments;
mod check;
mod completions;
mod config;
pub mod definition;
mod doer;
mod drain;
mod follow;
mod help;
mod rehearse;
mod report;
mod run;
mod screen;
mod sort;
mod status;
mod summary;
mod uncordon;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Asked, Command};
use sort::{Wrong, what_to_do};

/// Wrong usage or configuration.
const WRONG: u8 = 2;

/// Does what the arguments (without the program's name) ask for.
pub fn main(
    arguments: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let (command, sources) = match arguments::read(arguments, environment) {
        Asked::Command(command, sources) => (command, *sources),
        Asked::Answer(text) => return answer(&text),
        Asked::Wrong(usage) => {
            complain(usage.trim_end());
            return ExitCode::from(WRONG);
        }
    };
    match command {
        Command::Run(_) => run::run(sources),
        Command::Check(asked) => check::check(&asked, &sources),
        Command::Drain(asked) => drain::drain(asked, sources),
        Command::Uncordon(_) => uncordon::uncordon(sources),
        Command::Rehearse(asked) => rehearse::rehearse(&asked, &sources),
        Command::Status(asked) => status::status(&asked, &sources),
        Command::Report(asked) => report::report(&asked, &sources),
        Command::Config(asked) => config::config(&asked, &sources),
        Command::Completions(asked) => completions::completions(&asked),
    }
}

/// Says what is wrong with the arguments of a command, on one line with what to do.
fn complain_of_usage(command: &'static str, wrong: &str) -> ExitCode {
    complain(&what_to_do(&Wrong { what: wrong.to_owned(), command: Some(command) }));
    ExitCode::from(WRONG)
}

/// Writes an answer to standard output; failed if nobody takes it.
fn answer(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes a line to standard error, if anybody takes it.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
