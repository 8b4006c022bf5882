//! The manual in packaging/man is what its sources say, and sound: spot-guard(8) from the definition of the command
//! line, spot-guard.toml(5) from docs/configuration.md, spot-guard-hooks(7) from docs/hooks.md.
#![forbid(unsafe_code)]

mod markdown;
mod program;
mod roff;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use roff::Page;
use spot_guard::cli::definition::{commands, options, program as definition};
use spot_guard::config::schema::SCHEMA;
use stand_ins::skip::skip;

/// Of the manual; to be changed with the version.
const DATE: &str = "2026-11-26";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn docs(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

fn file(name: &str) -> PathBuf {
    root().join("packaging/man").join(name)
}

/// Each page of the manual, as its file's name and its text.
fn manual() -> [(&'static str, String); 3] {
    let mut program = Page::new("spot-guard", 8, "makes an EC2 Spot interruption harmless", DATE);
    program::page(&mut program, &docs("files.md"));
    let mut settings = Page::new("spot-guard.toml", 5, "settings of spot-guard", DATE);
    markdown::page(&mut settings, &docs("configuration.md"), "Description");
    let mut hooks = Page::new("spot-guard-hooks", 7, "hooks of spot-guard", DATE);
    markdown::page(&mut hooks, &docs("hooks.md"), "Description");
    for page in [&mut settings, &mut hooks] {
        page.section("See also");
        page.paragraph("`spot-guard`(8), `spot-guard.toml`(5), `spot-guard-hooks`(7)");
    }
    [("spot-guard.8", program), ("spot-guard.toml.5", settings), ("spot-guard-hooks.7", hooks)]
        .map(|(name, page)| (name, page.text().to_owned()))
}

#[test]
fn the_manual_is_what_it_is_made_from() {
    for (name, text) in manual() {
        if std::env::var_os("SPOT_GUARD_TEST_WRITE_MANUAL").is_some() {
            fs::write(file(name), &text).unwrap();
        }
        let found = fs::read_to_string(file(name)).unwrap_or_default();
        assert!(found == text, "packaging/man/{name} is another; make generated");
    }
}

/// A page as a terminal of 80 columns shows it.
fn shown(name: &str) -> Option<String> {
    let mut man = Command::new("man");
    man.args(["--warnings", "--local-file"]).arg(file(name)).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
    let Ok(output) = man.output() else {
        skip("there is no man here");
        return None;
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().replace(['\u{2010}', '\u{2212}'], "-"))
}

#[test]
fn man_shows_every_command_option_setting_and_hook_folder() {
    if let Some(page) = shown("spot-guard.8") {
        let program = definition();
        for command in commands(&program) {
            assert!(page.contains(&format!("\n   spot-guard {}", command.name)), "{}", command.name);
            let mut names = options(command).chain(options(&program)).map(|option| option.long);
            assert!(names.all(|name| page.contains(&format!("\n       {name}"))), "{}: {page}", command.name);
        }
    }
    if let Some(page) = shown("spot-guard.toml.5") {
        for row in SCHEMA.iter().filter(|row| !row.is_open()) {
            assert!(page.contains(&format!("   [{}]\n", row.table)), "{}", row.table);
            assert!(
                page.contains(&format!("\n       {} ", row.key)) || page.contains(&format!("\n       {}\n", row.key)),
                "{}",
                row.key
            );
        }
    }
    if let Some(page) = shown("spot-guard-hooks.7") {
        let folders = ["notice.d", "during.d", "pre-drain.d", "local-drain.d", "post-drain.d", "uncordon.d"];
        assert!(folders.iter().all(|folder| page.contains(&format!("\n       {folder}"))), "{page}");
    }
}

#[test]
fn groff_and_mandoc_have_nothing_to_say_against_it() {
    let programs: [&[&str]; 2] = [&["groff", "-man", "-Tutf8", "-ww", "-z"], &["mandoc", "-T", "lint", "-W", "style"]];
    for program in programs {
        for (name, _) in manual() {
            match Command::new(program[0]).args(&program[1..]).arg(file(name)).output() {
                Err(_) => skip(&format!("there is no {} here", program[0])),
                Ok(said) => {
                    let all = [said.stdout, said.stderr].concat();
                    assert!(said.status.success() && all.is_empty(), "{name}: {}", String::from_utf8_lossy(&all));
                }
            }
        }
    }
}
