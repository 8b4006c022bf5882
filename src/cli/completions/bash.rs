//! For bash, without the package bash-completion.

use std::fmt::Write;

use super::{values_of, values_of_words};
use crate::cli::definition::{ANSWERS, CommandInfoWithArgs, FlagInfo, Values, commands, options};

/// `--name=value` is three words to bash, as `=` is in COMP_WORDBREAKS.
const WORDS: &str = r#"_spot_guard() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i
    if [[ $word == = ]]; then
        word=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
"#;

const REPLY: &str = r#"    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _spot_guard spot-guard
"#;

pub fn script(program: &CommandInfoWithArgs) -> String {
    let all: Vec<&FlagInfo<'_>> = commands(program).chain([program]).flat_map(options).collect();
    let mut text = format!("# Completes spot-guard's commands, options and values in bash.\n{WORDS}");
    let valued: Vec<&str> = distinct(all.iter().filter(|option| values_of(option).is_some()).map(|option| option.long));
    let _ = write!(
        text,
        r"    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            {})
                [[ ${{COMP_WORDS[i + 1]}} == = ]] && ((i++))
                ((i++))
                ;;
            -*) ;;
            *)
                command=${{COMP_WORDS[i]}}
                break
                ;;
        esac
    done
    case $before in
",
        valued.join(" | ")
    );
    for name in valued {
        let option = all.iter().find(|option| option.long == name);
        if let Some(values) = option.and_then(|option| values_of(option)) {
            let _ = writeln!(text, "        {name}) {} ;;", reply(&values));
        }
    }
    text.push_str("    esac\n    case $command in\n");
    let names: Vec<&str> = commands(program).map(|command| command.name).collect();
    let _ = writeln!(text, "        '') words='{} {}' ;;", names.join(" "), options_of(&[program]));
    for command in commands(program) {
        let _ = writeln!(text, "        {})", command.name);
        match values_of_words(command) {
            Some(Values::Words(words)) => {
                let _ = writeln!(text, "            [[ $word == -* ]] || words='{}'", words.join(" "));
            }
            Some(values @ (Values::File | Values::Folder)) => {
                let _ = writeln!(text, "            if [[ $word != -* ]]; then {}; fi", reply(&values));
            }
            Some(Values::Free) | None => {}
        }
        let _ = writeln!(text, "            words+=' {}'", options_of(&[command, program]));
        text.push_str("            ;;\n");
    }
    text.push_str("    esac\n");
    text + REPLY
}

/// Options as words, those that are answered last.
fn options_of(commands: &[&CommandInfoWithArgs]) -> String {
    let own = commands.iter().flat_map(|command| options(command)).map(|option| option.long);
    distinct(own.chain(ANSWERS.iter().map(|answer| answer.long))).join(" ")
}

fn reply(values: &Values) -> String {
    let files = |what| format!("compopt -o filenames; mapfile -t COMPREPLY < <(compgen -{what} -- \"$word\"); return");
    match values {
        Values::Words(words) => {
            format!("mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\"); return", words.join(" "))
        }
        Values::File => files('f'),
        Values::Folder => files('d'),
        Values::Free => "return".to_owned(),
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut known = Vec::new();
    names.for_each(|name| {
        if !known.contains(&name) {
            known.push(name)
        }
    });
    known
}
