//! `spot-guard completions`: what a shell needs to complete commands, options and values, made from the definition.

mod bash;
mod fish;
mod zsh;

use std::process::ExitCode;

use super::arguments::CompletionsCommand;
use super::definition::{self, CommandInfoWithArgs, FlagInfo, SHELLS, Values};
use super::{answer, complain_of_usage};
use crate::config::nearest;

pub fn completions(asked: &CompletionsCommand) -> ExitCode {
    match script(&asked.shell) {
        Some(script) => answer(&script),
        None => {
            let meant = nearest(&asked.shell, SHELLS).map(|shell| format!("; did you mean {shell:?}?"));
            let names = SHELLS.join(", ");
            let wrong = format!("SHELL is {:?}; it must be one of {names}{}", asked.shell, meant.unwrap_or_default());
            complain_of_usage("completions", &wrong)
        }
    }
}

/// The script for the shell of this name.
pub fn script(shell: &str) -> Option<String> {
    let program = definition::program();
    Some(match shell {
        "bash" => bash::script(&program),
        "zsh" => zsh::script(&program),
        "fish" => fish::script(&program),
        _ => return None,
    })
}

/// What may stand for an option's value; `None`: it is a switch.
fn values_of(option: &FlagInfo<'static>) -> Option<Values> {
    definition::value_name(option).map(|name| definition::values(name).unwrap_or(Values::Free))
}

/// What may stand for the words of a command; of several kinds the last, which may repeat. `None`: it takes none.
fn values_of_words(command: &CommandInfoWithArgs) -> Option<Values> {
    command.positionals.last().map(|word| definition::values(word.name).unwrap_or(Values::Free))
}

/// A description as one phrase of a list.
fn phrase(description: &str) -> &str {
    description.trim().split([';', '(']).next().unwrap_or_default().trim_end_matches([' ', '.'])
}
