//! Whatever README.md and docs/ show to be run or written can be run or written: shell, TOML, JSON, YAML, and each
//! `spot-guard …` with its commands and options.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spot_guard::cli::definition::{self, ANSWERS, CommandInfoWithArgs, options};
use spot_guard::config;
use stand_ins::folder::Folder;
use stand_ins::skip::skip;

fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).chain([root.join("README.md")]);
    pages.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Each block of this language, with where it is.
fn blocks(language: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    for (page, text) in pages() {
        for (number, part) in text.split("\n```").enumerate().filter(|(number, _)| number % 2 == 1) {
            if let Some(block) = part.strip_prefix(language).and_then(|rest| rest.strip_prefix('\n')) {
                blocks.push((format!("{}, block {}", page.display(), number.div_ceil(2)), format!("{block}\n")));
            }
        }
    }
    blocks
}

#[test]
fn every_block_is_of_a_language_that_is_checked_here() {
    // Nothing here reads Packer's.
    let known = ["text", "sh", "toml", "json", "yaml", "hcl"];
    for (page, text) in pages() {
        for part in text.split("\n```").skip(1).step_by(2) {
            let language = part.lines().next().unwrap_or_default();
            assert!(known.contains(&language), "{}: a block of {language:?}", page.display());
        }
        assert_eq!(text.matches("\n```").count() % 2, 0, "{}: a block has no end", page.display());
    }
}

#[test]
fn every_block_of_shell_is_sound() {
    let folder = Folder::new("code-blocks");
    let path = folder.path().join("block");
    for (place, block) in blocks("sh") {
        fs::write(&path, &block).unwrap();
        let shell = if block.starts_with("#!/bin/sh") { "sh" } else { "bash" };
        let said = Command::new("bash").arg("-n").arg(&path).output().unwrap();
        assert!(said.status.success(), "{place}: {}", String::from_utf8_lossy(&said.stderr));
        match Command::new("shellcheck").arg(format!("--shell={shell}")).arg(&path).output() {
            Ok(said) => assert!(said.status.success(), "{place}: {}", String::from_utf8_lossy(&said.stdout)),
            Err(_) => return skip("there is no shellcheck here"),
        }
    }
}

#[test]
fn every_block_of_toml_can_be_used_as_settings() {
    let folder = Folder::new("code-blocks");
    let path = folder.path().join("block.toml");
    for (place, block) in blocks("toml") {
        fs::write(&path, &block).unwrap();
        assert!(config::check_file(&path).is_empty(), "{place}: {:?}", config::check_file(&path));
    }
}

#[test]
fn every_block_of_json_and_yaml_can_be_read() {
    for (place, block) in blocks("json") {
        let whole = serde_json::from_str::<serde_json::Value>(&block);
        let lines = || block.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
        assert!(whole.is_ok() || lines(), "{place}: {whole:?}");
    }
    for (place, block) in blocks("yaml") {
        let wrong = saphyr_parser::Parser::new_from_str(&block).find_map(Result::err);
        assert!(wrong.is_none(), "{place}: {wrong:?}");
    }
}

/// What follows `spot-guard ` wherever that is run: at the beginning of code.
fn commands_in(text: &str) -> Vec<String> {
    let in_code = text.split('`').skip(1).step_by(2);
    let in_blocks = text.split("\n```").skip(1).step_by(2).filter(|part| part.starts_with("sh\n")).flat_map(str::lines);
    let mut found = Vec::new();
    for line in in_code.chain(in_blocks) {
        let starts = ["spot-guard ", "sudo spot-guard ", "$ spot-guard "];
        let at_the_beginning = starts.iter().find_map(|start| line.strip_prefix(start));
        let built_here = || Some(line.split_once("target/debug/spot-guard ")?.1);
        if let Some(rest) = at_the_beginning.or_else(built_here) {
            found.push(rest.split(['|', ';', '#', '&', '>', ')']).next().unwrap_or_default().trim().to_owned());
        }
    }
    found
}

/// What is wrong with the arguments, as the definition says.
fn wrong(arguments: &str, program: &CommandInfoWithArgs) -> Option<String> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let name = words.iter().find(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
    let command = match name {
        None => None,
        Some(name) => match definition::command(program, name) {
            None => return Some(format!("there is no command {name}")),
            command => command,
        },
    };
    let known: Vec<&str> = [Some(program), command].into_iter().flatten().flat_map(options).map(|o| o.long).collect();
    let is_known = |word: &str| {
        let long = word.split('=').next().unwrap_or_default();
        known.contains(&long) || ANSWERS.iter().any(|answer| answer.long == long || answer.short == long)
    };
    let mut unknown = words.into_iter().filter(|word| word.starts_with('-') && *word != "\\" && !is_known(word));
    unknown.next().map(|word| format!("there is no option {word}"))
}

#[test]
fn every_command_and_option_that_is_shown_is_there() {
    let program = definition::program();
    let mut seen = 0;
    for (page, text) in pages() {
        for arguments in commands_in(&text) {
            seen += 1;
            let wrong = wrong(&arguments, &program);
            assert!(wrong.is_none(), "{}: spot-guard {arguments}: {wrong:?}", page.display());
        }
    }
    assert!(seen > 30, "{seen}");
    assert!(wrong("jump", &program).is_some() && wrong("drain --windw 2m", &program).is_some());
}
