//! For zsh: a file `_spot-guard` in a folder of `$fpath`, or to be sourced after `compinit`.

use std::fmt::Write;

use super::{phrase, values_of, values_of_words};
use crate::cli::definition::value_name;
use crate::cli::definition::{ANSWERS, CommandInfoWithArgs, FlagInfo, Values, commands, first_sentence, options};

pub fn script(program: &CommandInfoWithArgs) -> String {
    let mut text = "#compdef spot-guard\n# Completes spot-guard's commands, options and values in zsh.\n".to_owned();
    text.push_str("_spot-guard() {\n    local state line ret=1\n    local -a common commands\n    common=(\n");
    options(program).for_each(|option| spec(&mut text, option));
    for answer in ANSWERS {
        let about = in_brackets(answer.description);
        let _ = writeln!(text, "        '(- *){}[{about}]' '(- *){}[{about}]'", answer.short, answer.long);
    }
    text.push_str("    )\n    commands=(\n");
    for command in commands(program) {
        let about = quoted(first_sentence(command.description)).replace(':', "\\:");
        let _ = writeln!(text, "        '{}:{about}'", command.name);
    }
    text.push_str("    )\n    _arguments -C $common '1:command:->command' '*:::argument:->argument' && ret=0\n");
    text.push_str("    case $state in\n        command) _describe command commands && ret=0 ;;\n");
    text.push_str("        argument)\n            words=($line[1] $words)\n            ((CURRENT += 1))\n            case $line[1] in\n");
    for command in commands(program) {
        let _ = writeln!(text, "    {}) _arguments $common \\", command.name);
        options(command).for_each(|option| {
            spec(&mut text, option);
            text.truncate(text.trim_end().len());
            text.push_str(" \\\n");
        });
        if let (Some(values), Some(word)) = (values_of_words(command), command.positionals.last()) {
            let _ = writeln!(text, "        '*:{}:{}' \\", word.name, action(&values));
        }
        text.push_str("        && ret=0 ;;\n");
    }
    text.push_str("            esac ;;\n    esac\n    return ret\n}\n");
    text.push_str("if [[ $funcstack[1] == _spot-guard ]]; then\n    _spot-guard \"$@\"\nelse\n");
    text + "    compdef _spot-guard spot-guard\nfi\n"
}

/// An option as `_arguments` wants it.
fn spec(text: &mut String, option: &FlagInfo<'static>) {
    let about = in_brackets(phrase(option.description));
    let _ = match values_of(option).zip(value_name(option)) {
        Some((values, name)) => writeln!(text, "        '{}=[{about}]:{name}:{}'", option.long, action(&values)),
        None => writeln!(text, "        '{}[{about}]'", option.long),
    };
}

fn action(values: &Values) -> String {
    match values {
        Values::Words(words) => format!("({})", words.join(" ")),
        Values::File => "_files".to_owned(),
        Values::Folder => "_files -/".to_owned(),
        Values::Free => " ".to_owned(),
    }
}

fn in_brackets(text: &str) -> String {
    quoted(text).replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

/// Inside of single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
