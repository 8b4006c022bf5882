//! What `spot-guard completions` prints completes commands, options and values in real shells.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spot_guard::cli::definition::{self, Values, commands, options, value_name, values};
use stand_ins::folder::Folder;
use stand_ins::skip::skip;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spot-guard");

/// Where each shell looks for what packages install, below /usr/share.
const INSTALLED: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/spot-guard"),
    ("zsh", "zsh/vendor-completions/_spot-guard"),
    ("fish", "fish/vendor_completions.d/spot-guard.fish"),
];

fn script(shell: &str) -> String {
    let output = Command::new(PROGRAM).args(["completions", shell]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The script as a file, in a folder with a file and a folder.
fn folder(shell: &str) -> (Folder, PathBuf) {
    let folder = Folder::new("completions");
    let path = folder.path().join("script");
    fs::write(&path, script(shell)).unwrap();
    fs::write(folder.path().join("some-file.toml"), "").unwrap();
    fs::create_dir(folder.path().join("some-folder")).unwrap();
    (folder, path)
}

fn has(shell: &str) -> bool {
    let is_there = Command::new(shell).args(["-c", "true"]).output().is_ok();
    if !is_there {
        skip(&format!("there is no {shell} here"));
    }
    is_there
}

fn lines(mut command: Command, folder: &Folder) -> Vec<String> {
    let output = command.current_dir(folder.path()).env("HOME", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
}

/// What bash offers for the last of these words; `=` is a word of its own to it.
fn in_bash(words: &[&str]) -> Vec<String> {
    let (folder, path) = folder("bash");
    let mut bash = Command::new("bash");
    let complete = r#"
        source "$1"; shift
        [[ $(complete -p spot-guard) == "complete -F _spot_guard spot-guard" ]] || exit 1
        compopt() { :; } # Only for a real key.
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _spot_guard
        ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}""#;
    bash.args(["--norc", "-c", complete, "bash"]).arg(path).args(words);
    lines(bash, &folder)
}

/// What fish offers for a line, without descriptions.
fn in_fish(line: &str) -> Vec<String> {
    let (folder, path) = folder("fish");
    let mut fish = Command::new("fish");
    let complete = r"source $argv[1]; complete -C $argv[2]";
    fish.args(["--no-config", "-c", complete]).arg(path).arg(line);
    let words = |line: String| line.split('\t').next().unwrap_or_default().to_owned();
    lines(fish, &folder).into_iter().map(words).collect()
}

/// What stands on zsh's line after the key Tab.
fn in_zsh(line: &str) -> String {
    let (folder, _) = folder("zsh");
    fs::write(folder.path().join("_spot-guard"), script("zsh")).unwrap();
    let complete = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; PS1=; unsetopt zle_bracketed_paste'
        zpty -w shell 'show() { print -r -- "<$BUFFER>"; exit }; zle -N show; bindkey "^X" show; print read''y'
        zpty -r shell output '*ready*'
        zpty -w -n shell "$1"$'\t\C-x'
        zpty -r shell output '*<spot-guard*>*'
        print -r -- ${${output##*<}%%>*}"#;
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", complete, "zsh", line]).env("TERM", "dumb");
    lines(zsh, &folder).pop().unwrap_or_default()
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}

#[test]
fn bash_completes_commands_options_and_values() {
    let rows: [(&[&str], &[&str]); 12] = [
        (&["spot-guard", "dr"], &["drain"]),
        (&["spot-guard", "--dry-run", "unc"], &["uncordon"]),
        (&["spot-guard", "--config", "some-file.toml", "dr"], &["drain"]),
        (&["spot-guard", "--config", "=", "some-file.toml", "dr"], &["drain"]),
        (&["spot-guard", "drain", "--no-"], &["--no-wait"]),
        (&["spot-guard", "drain", "--notice", "ma"], &["maintenance"]),
        (&["spot-guard", "drain", "--notice", "=", "ma"], &["maintenance"]),
        (&["spot-guard", "drain", "--window", ""], &[]),
        (&["spot-guard", "run", "--no-w"], &[]),
        (&["spot-guard", "config", "--config", "some-"], &["some-file.toml", "some-folder"]),
        (&["spot-guard", "run", "--state-dir", "some-"], &["some-folder"]),
        (&["spot-guard", "completions", ""], &["bash", "fish", "zsh"]),
    ];
    for (words, expected) in rows {
        let offered = sorted(in_bash(words));
        let options = |word: &String| word.starts_with("--") && expected.iter().all(|word| !word.starts_with("--"));
        let offered: Vec<String> = offered.into_iter().filter(|word| !options(word)).collect();
        assert_eq!(offered, expected, "{words:?}");
    }
    let values = in_bash(&["spot-guard", "--log-level", "="]);
    assert_eq!(values, ["error", "warn", "info", "debug"]);
}

#[test]
fn bash_offers_every_command_and_option_of_the_definition() {
    let program = definition::program();
    let offered = in_bash(&["spot-guard", ""]);
    for command in commands(&program) {
        assert!(offered.contains(&command.name.to_owned()), "{}", command.name);
        let own = in_bash(&["spot-guard", command.name, "--"]);
        for option in options(command).chain(options(&program)) {
            assert!(own.contains(&option.long.to_owned()), "{} {}", command.name, option.long);
            let Some(Values::Words(words)) = value_name(option).and_then(values) else { continue };
            assert_eq!(in_bash(&["spot-guard", command.name, option.long, ""]), words, "{}", option.long);
        }
    }
}

#[test]
fn fish_completes_commands_options_and_values() {
    if !has("fish") {
        return;
    }
    let rows: [(&str, &[&str]); 8] = [
        ("spot-guard dr", &["drain"]),
        ("spot-guard --dry-run unc", &["uncordon"]),
        ("spot-guard drain --no-", &["--no-wait"]),
        ("spot-guard drain --notice ma", &["maintenance"]),
        ("spot-guard drain --notice=ma", &["--notice=maintenance"]),
        ("spot-guard run --no-w", &[]),
        ("spot-guard run --config some-fi", &["some-file.toml"]),
        ("spot-guard run --state-dir some-", &["some-folder/"]),
    ];
    for (line, expected) in rows {
        assert_eq!(in_fish(line), expected, "{line}");
    }
    assert_eq!(sorted(in_fish("spot-guard completions ")), ["bash", "fish", "zsh"]);
    let program = definition::program();
    for command in commands(&program) {
        let own = in_fish(&format!("spot-guard {} --", command.name));
        for option in options(command).chain(options(&program)) {
            let is_offered = own.iter().any(|word| word.trim_end_matches('=') == option.long);
            assert!(is_offered, "{} {}: {own:?}", command.name, option.long);
        }
    }
}

#[test]
fn zsh_completes_commands_options_and_values() {
    if !has("zsh") {
        return;
    }
    let rows = [
        ("spot-guard dr", "spot-guard drain "),
        ("spot-guard --dry-run unc", "spot-guard --dry-run uncordon "),
        ("spot-guard drain --no-w", "spot-guard drain --no-wait "),
        ("spot-guard drain --notice ma", "spot-guard drain --notice maintenance "),
        ("spot-guard drain --notice=ma", "spot-guard drain --notice=maintenance "),
        ("spot-guard run --state-dir some-", "spot-guard run --state-dir some-folder/"),
        ("spot-guard config --check some-fi", "spot-guard config --check some-file.toml "),
        ("spot-guard completions ba", "spot-guard completions bash "),
    ];
    for (line, expected) in rows {
        assert_eq!(in_zsh(line).trim_end(), expected.trim_end(), "{line}");
    }
}

#[test]
fn what_is_installed_is_what_the_program_prints() {
    let folder = Folder::new("completions");
    let installed = Command::new("make")
        .args(["--no-print-directory", "-C", env!("CARGO_MANIFEST_DIR"), "install"])
        .arg(format!("DESTDIR={}", folder.path().display()))
        .arg(format!("BINARY={PROGRAM}"))
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    for (shell, path) in INSTALLED {
        let path = folder.path().join("usr/share").join(path);
        assert!(is(&path, &script(shell)), "{} is another; make generated", path.display());
    }
}

fn is(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == text)
}

#[test]
fn the_script_for_bash_is_sound() {
    let (_folder, path) = folder("bash");
    match Command::new("shellcheck").args(["--shell=bash", "--severity=info"]).arg(path).output() {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout)),
        Err(_) => skip("there is no shellcheck here"),
    }
}
