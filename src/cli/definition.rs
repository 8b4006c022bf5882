//! What may stand on the command line: the one definition from which arguments are read, and help, completions and
//! the manual are made.
//!
//! It is derived from the structures of `arguments`: a command or an option that is added there is in all of them.

use argh::ArgsInfo;
pub use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

use super::arguments::Arguments;
use crate::config::schema::LEVELS;
use crate::notice::Kind;

/// What every command answers instead of doing anything.
pub const ANSWERS: [Answer; 2] = [
    Answer { short: "-h", long: "--help", description: "print this help" },
    Answer { short: "-V", long: "--version", description: "print the version" },
];

/// An option that is answered wherever it stands.
#[derive(Debug)]
pub struct Answer {
    pub short: &'static str,
    pub long: &'static str,
    pub description: &'static str,
}

/// What a value may be, as far as a shell can help with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of these.
    Words(Vec<&'static str>),
    File,
    Folder,
    /// Anything: a time, a name, an address.
    Free,
}

/// Shells for which there are completions.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// The program: its options are those of all commands.
pub fn program() -> CommandInfoWithArgs {
    Arguments::get_args_info()
}

/// The commands, in the order of their definition.
pub fn commands(program: &CommandInfoWithArgs) -> impl Iterator<Item = &CommandInfoWithArgs> {
    program.commands.iter().map(|command| &command.command)
}

/// The command of this name.
pub fn command<'a>(program: &'a CommandInfoWithArgs, name: &str) -> Option<&'a CommandInfoWithArgs> {
    commands(program).find(|command| command.name == name)
}

/// The options of this command alone, of the program those of all; without [`ANSWERS`].
pub fn options(command: &CommandInfoWithArgs) -> impl Iterator<Item = &'static FlagInfo<'static>> + use<> {
    command.flags.iter().filter(|option| !option.hidden && option.long != "--help")
}

/// What stands for an option's value; `None`: it is a switch.
pub fn value_name(option: &FlagInfo<'static>) -> Option<&'static str> {
    match option.kind {
        FlagInfoKind::Switch => None,
        FlagInfoKind::Option { arg_name } => Some(arg_name),
    }
}

/// What a value of this name may be; `None` for a name that is not known here.
pub fn values(name: &str) -> Option<Values> {
    Some(match name {
        "FILE" => Values::File,
        "DIR" => Values::Folder,
        "KIND" => Values::Words(Kind::ALL.map(Kind::name).to_vec()),
        "LEVEL" => Values::Words(LEVELS.map(|(name, _)| name).to_vec()),
        "SHELL" => Values::Words(SHELLS.to_vec()),
        "TIME" | "NAME" | "URL" | "TEXT" | "ID" | "COUNT" => Values::Free,
        _ => return None,
    })
}

/// The first sentence of a description, or the question that it begins with, for a list.
pub fn first_sentence(description: &str) -> &str {
    let description = description.trim();
    match description.split_once("? ") {
        Some((question, _)) if !question.contains(". ") => description.get(..=question.len()).unwrap_or(question),
        _ => description.split_once(". ").map_or(description, |(first, _)| first).trim_end_matches('.'),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_value_is_of_a_known_kind_and_an_option_means_the_same_everywhere() {
        let program = program();
        let mut seen = BTreeMap::new();
        for command in commands(&program).chain([&program]) {
            for option in options(command) {
                let value = value_name(option);
                assert!(
                    value.is_none_or(|name| values(name).is_some()),
                    "{} {value:?}: add it to `values`",
                    option.long
                );
                let before = seen.insert(option.long, value);
                assert!(before.is_none_or(|before| before == value), "{} is {before:?} and {value:?}", option.long);
            }
            for word in command.positionals {
                assert!(values(word.name).is_some(), "{} {}: add it to `values`", command.name, word.name);
            }
        }
    }

    #[test]
    fn every_command_has_an_example_that_is_one_of_it() {
        for command in commands(&program()) {
            assert!(!command.examples.is_empty(), "{} has no example", command.name);
            for example in command.examples {
                assert!(example.contains(&format!("spot-guard {}", command.name)), "{}: {example}", command.name);
            }
        }
    }

    #[test]
    fn a_list_has_the_first_words_of_a_description() {
        let rows = [
            (" The daemon: waits for a notice. What the unit starts.", "The daemon: waits for a notice"),
            ("Undo what was done, and only that. The rest stays.", "Undo what was done, and only that"),
            ("Print it.", "Print it"),
            ("Is it ready? Looks at all of it. Changes nothing.", "Is it ready?"),
        ];
        for (description, first) in rows {
            assert_eq!(first_sentence(description), first);
        }
    }
}
