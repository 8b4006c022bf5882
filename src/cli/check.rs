//! `spot-guard check`: is this machine ready for a notice?

use std::process::ExitCode;

use serde_json::{Value, json};

use super::answer;
use super::arguments::CheckCommand;
use super::screen::is_colourful;
use crate::check::{self, Detail, Finding, Scope, Verdict};
use crate::config::{self, Sources};
use crate::terminal::{cut, plain, wrapped};

/// The widest line, and where what was seen begins: after the name and the word for it.
const WIDTH: usize = 80;
const NAMES: usize = 18;
const WORDS: usize = 9;

/// The widest column of the single things that a check is about.
const THINGS: usize = 24;

pub fn check(asked: &CheckCommand, sources: &Sources) -> ExitCode {
    let loaded = config::load(sources);
    let scope = if asked.image { Scope::Image } else { Scope::Machine };
    let findings = check::check(&loaded, scope);
    let text = if asked.json { json(&findings) } else { screen(&findings, is_colourful(&sources.environment)) };
    let answered = answer(&text);
    let has_failed = findings.iter().any(|finding| finding.result == Verdict::Failure);
    if has_failed { ExitCode::FAILURE } else { answered }
}

/// An array for a script, an object on each line: details follow what was seen, a line each.
fn json(findings: &[Finding]) -> String {
    let objects: Vec<String> = findings.iter().map(|finding| object(finding).to_string()).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn object(Finding { check, result, seen, details, advice }: &Finding) -> Value {
    let details = details.iter().map(|Detail { name, words }| match name.is_empty() {
        true => words.clone(),
        false => format!("{name}: {words}"),
    });
    let seen = [seen.clone()].into_iter().chain(details).collect::<Vec<_>>().join("\n");
    let advice = (!advice.is_empty()).then(|| advice.join("\n"));
    json!({ "check": check, "result": word(*result), "seen": seen, "advice": advice })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failure => "failure",
    }
}

/// Plain columns, 80 wide; what can be read in one glance comes last.
fn screen(findings: &[Finding], colourful: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let mut lines = lines(finding).into_iter();
        let word = coloured(finding.result, colourful);
        text += &format!("{:<NAMES$}{word}{}\n", finding.check, lines.next().unwrap_or_default());
        for line in lines {
            text += &format!("{:width$}{line}\n", "", width = NAMES + WORDS);
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.result == verdict).count();
    let (failures, warnings) = (count(Verdict::Failure), count(Verdict::Warning));
    let many = |count: usize| if count == 1 { "" } else { "s" };
    text + &format!("{failures} failure{}, {warnings} warning{}\n", many(failures), many(warnings))
}

/// The word in its column; spaces are outside of the colour.
fn coloured(verdict: Verdict, colourful: bool) -> String {
    let word = word(verdict);
    let colour = match verdict {
        Verdict::Ok => 32,
        Verdict::Warning => 33,
        Verdict::Failure => 31,
    };
    let space = " ".repeat(WORDS - word.len());
    if colourful { format!("\x1b[{colour}m{word}\x1b[0m{space}") } else { format!("{word}{space}") }
}

/// What stands to the right of name and word.
fn lines(finding: &Finding) -> Vec<String> {
    let width = WIDTH - NAMES - WORDS;
    let mut lines = wrapped(&plain(&finding.seen), width);
    let things = finding.details.iter().map(|detail| detail.name.chars().count()).max().unwrap_or(0).min(THINGS);
    for Detail { name, words } in &finding.details {
        if name.is_empty() {
            lines.extend(wrapped(&plain(words), width));
            continue;
        }
        let mut name = cut(&plain(name), things);
        for line in wrapped(&plain(words), width - things - 2) {
            lines.push(format!("{name:<things$}  {line}"));
            name.clear();
        }
    }
    lines.extend(finding.advice.iter().flat_map(|advice| wrapped(&plain(advice), width)));
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_screen_has_columns_and_the_sum_comes_last() {
        let findings = [
            Finding::ok("clock", "right"),
            Finding::warning("pods", "2 of 34")
                .detail("db/postgres-0", "grace period of 300 s")
                .detail("web/api-7f9c8d7b5c-abcde-and-more", "its budget allows no disruption now")
                .advise("see to it"),
            Finding::failure("API server", "away"),
        ];
        let expected = "\
clock             ok       right
pods              warning  2 of 34
                           db/postgres-0             grace period of 300 s
                           web/api-7f9c8d7b5c-abcd…  its budget allows no
                                                     disruption now
                           see to it
API server        failure  away
1 failure, 1 warning
";
        assert_eq!(screen(&findings, false), expected);
        assert!(screen(&findings, true).starts_with("clock             \x1b[32mok\x1b[0m       right\n"));
    }

    #[test]
    fn a_script_finds_all_of_it() {
        let finding = Finding::warning("pods", "2 of 34").detail("a/b", "bare").detail("", "and 1 more");
        let told: serde_json::Value = serde_json::from_str(&json(&[finding])).unwrap();
        let expected = serde_json::json!([{"check": "pods", "result": "warning", "seen": "2 of 34\na/b: bare\nand 1 more", "advice": null}]);
        assert_eq!(told, expected);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_80_and_no_letter_is_lost(seen in ".{0,300}", name in ".{0,60}", words in ".{0,200}") {
            let finding = Finding::failure("metadata service", seen.clone()).detail(name, words).advise("x".repeat(200));
            let text = screen(std::slice::from_ref(&finding), false);
            prop_assert!(text.lines().all(|line| line.chars().count() <= 80), "{}", text);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&wrapped(&plain(&seen), 53).concat()), letters(&plain(&seen)));
        }
    }
}
