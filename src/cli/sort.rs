//! Sorts what was written: finds the command, holds each option and word to the definition, and puts all into the one
//! order that argh takes.

use super::definition::{ANSWERS, CommandInfoWithArgs, FlagInfo, Optionality};
use super::definition::{command, commands, options, value_name};
use crate::config::nearest;

/// What was written, as far as the definition tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Sorted {
    /// For argh: options of all commands, the command, its options and words.
    Arguments(Vec<String>),
    /// Help was asked for, of a command or of the program.
    Help(Option<&'static str>),
    Version,
}

/// What is wrong with the arguments, and of which command, if one is known.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub what: String,
    pub command: Option<&'static str>,
}

/// # Errors
/// For what is not in the definition, with the nearest that is; and for what is missing.
pub fn sort(written: &[String], program: &CommandInfoWithArgs) -> Result<Sorted, Wrong> {
    let mut sorter = Sorter::of(program);
    let result = sorter.take_all(written);
    if result.is_err() {
        // Whoever asks for help need not have written all else right.
        sorter.answer = sorter.answer.or_else(|| asks(written));
    }
    let command = sorter.command.map(|command| command.name);
    match (result, sorter.answer) {
        (_, Some("--version")) => Ok(Sorted::Version),
        (_, Some(_)) => Ok(Sorted::Help(command)),
        (Err(what), None) => Err(Wrong { what, command }),
        (Ok(()), None) => {
            let name = command.map(str::to_owned);
            Ok(Sorted::Arguments(sorter.common.into_iter().chain(name).chain(sorter.own).collect()))
        }
    }
}

struct Sorter<'a> {
    program: &'a CommandInfoWithArgs,
    command: Option<&'a CommandInfoWithArgs>,
    /// Help or the version, whichever was asked for first.
    answer: Option<&'static str>,
    common: Vec<String>,
    own: Vec<String>,
    words: usize,
    given: Vec<&'static str>,
}

impl<'a> Sorter<'a> {
    fn of(program: &'a CommandInfoWithArgs) -> Sorter<'a> {
        let (common, own, given) = (Vec::new(), Vec::new(), Vec::new());
        Sorter { program, command: None, answer: None, common, own, words: 0, given }
    }

    fn take_all(&mut self, written: &[String]) -> Result<(), String> {
        let mut rest = written.iter().cloned();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                self.own.push(argument);
                rest.by_ref().try_for_each(|word| self.word(word))?;
            } else if argument.starts_with("--") {
                self.option(&argument, &mut rest)?;
            } else if argument.len() > 1 && argument.starts_with('-') {
                self.short(&argument)?;
            } else if argument == "help" && self.command.is_none() {
                self.answer = self.answer.or(Some("--help"));
            } else {
                self.word(argument)?;
            }
        }
        self.nothing_is_missing()
    }

    /// The command, or what follows it.
    fn word(&mut self, word: String) -> Result<(), String> {
        let Some(of) = self.command else {
            self.command = command(self.program, &word);
            let names = commands(self.program).map(|command| command.name);
            return match self.command {
                Some(_) => Ok(()),
                None => Err(format!("there is no command {word:?}{}", meant(&word, names))),
            };
        };
        let repeats = of.positionals.last().is_some_and(|last| last.optionality == Optionality::Repeating);
        if self.words >= of.positionals.len() && !repeats {
            return Err(format!("spot-guard {} does not take {word:?}", of.name));
        }
        self.words += 1;
        self.own.push(word);
        Ok(())
    }

    fn option(&mut self, argument: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let (long, value) = argument.split_once('=').map_or((argument, None), |(long, value)| (long, Some(value)));
        if let Some(answer) = ANSWERS.iter().find(|answer| answer.long == long) {
            if value.is_some() {
                return Err(format!("{long} takes no value"));
            }
            self.answer = self.answer.or(Some(answer.long));
            return Ok(());
        }
        let named = |option: &&FlagInfo<'static>| option.long == long;
        let of_all = options(self.program).find(named);
        let of_command = self.command.and_then(|command| options(command).find(named));
        let option = of_all.or(of_command).ok_or_else(|| self.unknown(long))?;
        let repeats = option.optionality == Optionality::Repeating;
        if self.given.contains(&option.long) && !repeats {
            return Err(format!("{long} is given twice"));
        }
        self.given.push(option.long);
        let sorted = if of_all.is_some() { &mut self.common } else { &mut self.own };
        sorted.push(option.long.to_owned());
        match (value_name(option), value) {
            (None, None) => {}
            (None, Some(_)) => return Err(format!("{long} takes no value")),
            (Some(_), Some(value)) => sorted.push(value.to_owned()),
            (Some(name), None) => sorted.push(rest.next().ok_or_else(|| format!("{long} needs a value, {name}"))?),
        }
        Ok(())
    }

    fn short(&mut self, argument: &str) -> Result<(), String> {
        let answer = ANSWERS.iter().find(|answer| answer.short == argument);
        let answer = answer.ok_or_else(|| format!("there is no option {argument:?}"))?;
        self.answer = self.answer.or(Some(answer.long));
        Ok(())
    }

    fn unknown(&self, long: &str) -> String {
        let has = |command: &&CommandInfoWithArgs| options(command).any(|option| option.long == long);
        let known = [Some(self.program), self.command].into_iter().flatten().flat_map(options);
        let known = known.map(|option| option.long).chain(ANSWERS.iter().map(|answer| answer.long));
        let here = match self.command {
            Some(command) => format!("spot-guard {} has no option {long:?}", command.name),
            None => format!("there is no option {long:?} before the command"),
        };
        match commands(self.program).find(has) {
            Some(owner) => format!("{here}; it is one of spot-guard {}", owner.name),
            None => here + &meant(long, known),
        }
    }

    fn nothing_is_missing(&self) -> Result<(), String> {
        let Some(command) = self.command else { return Err("spot-guard needs a command".to_owned()) };
        let mut needed = command.positionals.iter().filter(|word| word.optionality == Optionality::Required);
        if let Some(missing) = needed.nth(self.words) {
            return Err(format!("spot-guard {} needs {}, {}", command.name, missing.name, missing.description));
        }
        let is_missing = |option: &&FlagInfo<'static>| {
            option.optionality == Optionality::Required
                && value_name(option).is_some()
                && !self.given.contains(&option.long)
        };
        match options(command).find(is_missing) {
            Some(missing) => Err(format!("spot-guard {} needs {}", command.name, missing.long)),
            None => Ok(()),
        }
    }
}

/// The first option that is answered, before `--`.
fn asks(written: &[String]) -> Option<&'static str> {
    let options = written.iter().take_while(|argument| *argument != "--");
    let mut answers = options.filter_map(|argument| {
        ANSWERS.iter().find(|answer| answer.long == argument || answer.short == argument).map(|answer| answer.long)
    });
    answers.next()
}

/// What is wrong, and where to read what would be right.
pub fn what_to_do(wrong: &Wrong) -> String {
    let stop = if wrong.what.ends_with('?') { "" } else { "." };
    let command = wrong.command.map(|command| format!(" {command}")).unwrap_or_default();
    format!("{}{stop} Run spot-guard{command} --help for what there is.", wrong.what)
}

fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(word, known).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::definition;

    fn sorted(written: &str) -> Result<Sorted, Wrong> {
        sort(&written.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), &definition::program())
    }

    #[test]
    fn options_stand_anywhere_and_with_or_without_an_equals_sign() {
        let rows = [
            ("drain", "drain"),
            ("drain --config=a --window 2m", "--config a drain --window 2m"),
            ("--config a drain --window=2m --no-wait", "--config a drain --window 2m --no-wait"),
            ("--dry-run drain --window= --reason=a=b", ""),
            ("drain --reason --x", "drain --reason --x"),
            ("drain --reason -h", "drain --reason -h"),
            ("config --check -- --config=x -h", "config --check -- --config=x -h"),
            ("config --check a - b", "config --check a - b"),
        ];
        for (written, expected) in rows.iter().filter(|(_, expected)| !expected.is_empty()) {
            let expected = expected.split_whitespace().map(str::to_owned).collect();
            assert_eq!(sorted(written), Ok(Sorted::Arguments(expected)), "{written}");
        }
        let empty = ["--dry-run", "drain", "--window", "", "--reason", "a=b"].map(str::to_owned).to_vec();
        assert_eq!(sorted("--dry-run drain --window= --reason=a=b"), Ok(Sorted::Arguments(empty)));
    }

    #[test]
    fn help_and_version_are_asked_for_anywhere() {
        let rows = [
            ("-h", Sorted::Help(None)),
            ("--help", Sorted::Help(None)),
            ("help", Sorted::Help(None)),
            ("help drain", Sorted::Help(Some("drain"))),
            ("drain -h", Sorted::Help(Some("drain"))),
            ("-h drain", Sorted::Help(Some("drain"))),
            ("drain --window 2m --help", Sorted::Help(Some("drain"))),
            ("drain --frob --help", Sorted::Help(Some("drain"))),
            ("jump --help", Sorted::Help(None)),
            ("-V", Sorted::Version),
            ("drain --version", Sorted::Version),
        ];
        for (written, expected) in rows {
            assert_eq!(sorted(written), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_is_unknown_is_told_with_the_nearest() {
        let rows = [
            ("", "spot-guard needs a command"),
            ("--dry-run", "spot-guard needs a command"),
            ("drian", "there is no command \"drian\"; did you mean \"drain\"?"),
            ("nonsense", "there is no command \"nonsense\""),
            ("drain --windw 2m", "spot-guard drain has no option \"--windw\"; did you mean \"--window\"?"),
            ("drain --dryrun", "spot-guard drain has no option \"--dryrun\"; did you mean \"--dry-run\"?"),
            ("run --window 2m", "spot-guard run has no option \"--window\"; it is one of spot-guard drain"),
            ("--no-wait drain", "there is no option \"--no-wait\" before the command; it is one of spot-guard drain"),
            ("run -x", "there is no option \"-x\""),
            ("run now", "spot-guard run does not take \"now\""),
            ("drain --no-wait=yes", "--no-wait takes no value"),
            ("drain --help=yes", "--help takes no value"),
            ("drain --window", "--window needs a value, TIME"),
            ("drain --window=1s --window 2s", "--window is given twice"),
        ];
        for (written, expected) in rows {
            assert_eq!(sorted(written).unwrap_err().what, expected, "{written}");
        }
        assert_eq!(sorted("drain --frob").unwrap_err().command, Some("drain"));
    }
}
