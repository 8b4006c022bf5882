//! Help for a terminal of 80 columns.

use std::fmt::Write;

use super::config::settings_help;
use super::definition::{ANSWERS, CommandInfoWithArgs, Optionality, PositionalInfo};
use super::definition::{command, commands, first_sentence, options, value_name};
use crate::terminal::wrapped;

const WIDTH: usize = 80;

/// Where descriptions begin.
const COLUMN: usize = 24;

/// The help of the command of this name, else of the program.
pub fn help(program: &CommandInfoWithArgs, name: Option<&str>) -> String {
    match name.and_then(|name| command(program, name)) {
        Some(command) => of_command(program, command),
        None => of_program(program),
    }
}

/// The commands, each with a few words.
pub fn list(program: &CommandInfoWithArgs) -> String {
    let mut text = String::new();
    commands(program).for_each(|command| row(&mut text, command.name, first_sentence(command.description)));
    text
}

fn of_program(program: &CommandInfoWithArgs) -> String {
    let mut text = "Usage: spot-guard [OPTIONS] COMMAND [OPTIONS]\n\n".to_owned();
    paragraph(&mut text, program.description);
    let _ = write!(text, "\nCommands:\n{}", list(program));
    text.push_str("\nOptions of all commands:\n");
    rows_of_options(&mut text, program);
    rows_of_answers(&mut text);
    ending(&mut text, program);
    text
}

fn of_command(program: &CommandInfoWithArgs, command: &CommandInfoWithArgs) -> String {
    let mut text = format!("Usage: {}\n\n", usage(command));
    paragraph(&mut text, command.description);
    if !command.positionals.is_empty() || options(command).next().is_some() {
        text.push_str("\nOptions:\n");
        let words = command.positionals.iter().filter(|word| !word.hidden);
        words.for_each(|word| row(&mut text, word.name, word.description));
        rows_of_options(&mut text, command);
    }
    text.push_str("\nOptions of all commands:\n");
    rows_of_options(&mut text, program);
    rows_of_answers(&mut text);
    ending(&mut text, command);
    if command.name == "config" {
        text.push_str(&settings_help());
    }
    text
}

/// `spot-guard config [OPTIONS] [FILE...]`.
pub fn usage(command: &CommandInfoWithArgs) -> String {
    let words = command.positionals.iter().filter(|word| !word.hidden).map(|word| format!(" {}", written(word)));
    format!("spot-guard {} [OPTIONS]{}", command.name, words.collect::<String>())
}

fn written(word: &PositionalInfo<'static>) -> String {
    match word.optionality {
        Optionality::Required => word.name.to_owned(),
        Optionality::Optional => format!("[{}]", word.name),
        Optionality::Repeating | Optionality::Greedy => format!("[{}...]", word.name),
    }
}

fn rows_of_options(text: &mut String, command: &CommandInfoWithArgs) {
    for option in options(command) {
        let value = value_name(option).map(|name| format!(" {name}")).unwrap_or_default();
        row(text, &format!("{}{value}", option.long), option.description);
    }
}

fn rows_of_answers(text: &mut String) {
    ANSWERS.iter().for_each(|answer| row(text, &format!("{}, {}", answer.short, answer.long), answer.description));
}

/// Examples, and what else there is to know.
fn ending(text: &mut String, command: &CommandInfoWithArgs) {
    if !command.examples.is_empty() {
        text.push_str("\nExamples:\n");
        let lines = command.examples.iter().flat_map(|example| example.lines());
        lines.for_each(|line| text.extend(["  ", line, "\n"]));
    }
    for note in command.notes {
        text.push('\n');
        paragraph(text, note);
    }
}

fn paragraph(text: &mut String, words: &str) {
    wrapped(words, WIDTH).iter().for_each(|line| text.extend([line, "\n"]));
}

/// A name and what it means, which begins on the next line where the name is too long.
fn row(text: &mut String, name: &str, meaning: &str) {
    let mut lines = wrapped(meaning, WIDTH - COLUMN).into_iter();
    let gap = COLUMN - 4;
    if name.chars().count() <= gap {
        let _ = writeln!(text, "  {name:gap$}  {}", lines.next().unwrap_or_default());
    } else {
        let _ = writeln!(text, "  {name}");
    }
    for line in lines {
        let _ = writeln!(text, "{:COLUMN$}{line}", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::definition;

    #[test]
    fn no_help_is_wider_than_a_terminal_and_every_command_and_option_is_in_it() {
        let program = definition::program();
        for command in commands(&program) {
            let text = help(&program, Some(command.name));
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            for option in options(command).chain(options(&program)) {
                assert!(text.contains(&format!("\n  {}", option.long)), "{} {}", command.name, option.long);
            }
            assert!(help(&program, None).contains(&format!("\n  {} ", command.name)));
        }
        assert!(help(&program, None).lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn a_name_that_is_too_long_stands_on_a_line_of_its_own() {
        let mut text = String::new();
        row(&mut text, "--a-name-that-is-too-long VALUE", &"word ".repeat(13));
        let words = ["word"; 11].join(" ");
        assert_eq!(text, format!("  --a-name-that-is-too-long VALUE\n{0:24}{words}\n{0:24}word word\n", ""));
    }
}
