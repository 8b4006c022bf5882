//! For fish.

use std::fmt::Write;

use super::{phrase, values_of, values_of_words};
use crate::cli::definition::{ANSWERS, CommandInfoWithArgs, FlagInfo, Values, commands, first_sentence, options};

pub fn script(program: &CommandInfoWithArgs) -> String {
    let mut text =
        "# Completes spot-guard's commands, options and values in fish.\ncomplete -c spot-guard -f\n".to_owned();
    for answer in ANSWERS {
        let (short, long) = (answer.short.trim_start_matches('-'), answer.long.trim_start_matches('-'));
        let _ = writeln!(text, "complete -c spot-guard -s {short} -l {long} -d {}", quoted(answer.description));
    }
    options(program).for_each(|option| line(&mut text, "", option));
    for command in commands(program) {
        let about = quoted(first_sentence(command.description));
        let _ = writeln!(text, "complete -c spot-guard -n __fish_use_subcommand -a {} -d {about}", command.name);
        let after = format!(" -n '__fish_seen_subcommand_from {}'", command.name);
        options(command).for_each(|option| line(&mut text, &after, option));
        if let Some(values) = values_of_words(command) {
            let _ = writeln!(text, "complete -c spot-guard{after}{}", of_values(&values, false));
        }
    }
    text
}

fn line(text: &mut String, after: &str, option: &FlagInfo<'static>) {
    let values = values_of(option).map(|values| of_values(&values, true)).unwrap_or_default();
    let name = option.long.trim_start_matches('-');
    let _ = writeln!(text, "complete -c spot-guard{after} -l {name}{values} -d {}", quoted(phrase(option.description)));
}

/// `is_option`: the values are an option's, which needs one.
fn of_values(values: &Values, is_option: bool) -> String {
    let needed = if is_option { " -r" } else { "" };
    match values {
        Values::Words(words) => format!("{needed} -f -a '{}'", words.join(" ")),
        Values::File => format!("{needed} -F"),
        Values::Folder => format!("{needed} -f -a '(__fish_complete_directories)'"),
        Values::Free => format!("{needed} -f"),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
