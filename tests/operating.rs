//! docs/operate.md says what every warning and error of the log means, and names none that is not there.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The sources without their tests, with texts that go over several lines as one.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (vec![Path::new(ROOT).join("src")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.is_file() && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.push((path, joined(&text)));
            }
        }
    }
    found
}

fn joined(text: &str) -> String {
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

/// The texts that are logged as warnings or errors.
fn warnings(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for start in ["warn!(", "error!(", "Level::Warn,", "Level::Error,"] {
        for rest in source.split(start).skip(1) {
            let rest = rest.trim_start();
            let rest = rest.strip_prefix("format!(").unwrap_or(rest).trim_start();
            let text = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            found.extend(text);
        }
    }
    found
}

/// What of a text is the same each time.
fn fixed(text: &str) -> Vec<&str> {
    let parts = text.split(['{', '}']).step_by(2);
    parts.map(|part| part.trim_matches([' ', ';', ':', ',', '(', ')', '/'])).filter(|part| part.len() > 6).collect()
}

fn page() -> String {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/operate.md")).unwrap();
    let (_, table) = page.split_once("\n## What the log says\n").expect("the heading");
    table.split("\n## ").next().unwrap().to_owned()
}

#[test]
fn every_warning_is_explained() {
    let page = page();
    let (mut seen, mut missing) = (0, Vec::new());
    for (path, source) in sources() {
        for warning in warnings(&source) {
            let parts = fixed(warning);
            if parts.is_empty() {
                continue;
            }
            seen += 1;
            if !parts.iter().any(|part| page.contains(part)) {
                missing.push(format!("{}: {warning:?}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/operate.md: {missing:#?}");
    assert!(seen > 30, "{seen} warnings");
}

#[test]
fn every_line_that_is_explained_can_be_said() {
    let sources: String = sources().into_iter().map(|(_, source)| source).collect();
    let rows = page();
    let cells =
        rows.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next().map(|cell| format!("`{cell}")));
    for line in cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()) {
        for part in line.split('…').map(|part| part.trim_matches([' ', ';', ':', ','])).filter(|part| part.len() > 3)
        {
            assert!(sources.contains(part), "{line}: {part:?} is said nowhere");
        }
    }
}
