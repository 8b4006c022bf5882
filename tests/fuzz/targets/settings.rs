//! What settings are written as.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use spot_guard::config::selector::{is_label_key, is_label_value};
use spot_guard::config::template;
use spot_guard::config::{
    Files, Flags, Loaded, Origin, Problem, Selector, Sources, duration_text, key_text, load, parse_duration,
};

use super::assert_message;

/// A file of settings.
pub fn configuration(data: &[u8]) {
    let loaded = load_file(data, Vec::new());
    // A file counts as a whole or not at all.
    if has_problems(&loaded) {
        assert_eq!(loaded.entries, load_file(b"", Vec::new()).entries);
    }
    assert_sound(loaded);
}

/// Variables, each `NAME=VALUE` on a line; `_NAME` stands for `SPOT_GUARD_CONFIG_NAME`.
pub fn environment(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let variable = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = if name.starts_with('_') { format!("SPOT_GUARD_CONFIG{name}") } else { name.to_owned() };
        Some((name, value.to_owned()))
    };
    assert_sound(load_file(b"", text.lines().filter_map(variable).collect()));
}

fn load_file(text: &[u8], environment: Vec<(String, String)>) -> Loaded {
    let path = file();
    fs::write(&path, text).unwrap();
    let loaded = load(&Sources { files: Files::One(path.clone()), environment, flags: Flags::default() });
    fs::remove_file(path).unwrap();
    loaded
}

/// Whether something is wrong with the settings themselves, and not only with a template that they name.
fn has_problems(loaded: &Loaded) -> bool {
    let is_of_a_template = |problem: &Problem| matches!(&problem.origin, Origin::File { path, .. } if loaded.settings.webhook.template.as_ref() == Some(path));
    !loaded.problems.iter().all(is_of_a_template)
}

/// In memory where that can be: a file is written each time.
fn file() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("spot-guard-fuzz-{}-{:?}.toml", std::process::id(), std::thread::current().id()))
}

/// Problems are told in a line each, and what counts can be written down and read as the same.
fn assert_sound(loaded: Loaded) {
    loaded.problems.iter().for_each(|problem| assert_message(&problem.to_string()));
    let mut written = String::new();
    for entry in &loaded.entries {
        written += &format!("[{}]\n{} = {}\n", entry.table, key_text(&entry.key), entry.value);
    }
    // A table's head stands once.
    let mut tables: BTreeMap<&str, String> = BTreeMap::new();
    for part in written.split_inclusive('\n').collect::<Vec<_>>().chunks(2) {
        if let [head, line] = part {
            *tables.entry(head).or_default() += line;
        }
    }
    let text: String = tables.into_iter().map(|(head, lines)| format!("{head}{lines}")).collect();
    // What is written may be longer than a file may be.
    if text.len() > 64 * 1024 {
        return;
    }
    let again = load_file(text.as_bytes(), Vec::new());
    assert!(!has_problems(&again), "{:?}\n{text}", again.problems);
    let disabled = loaded.settings.imds.disabled;
    let mut settings = again.settings;
    settings.imds.disabled = disabled;
    assert_eq!(settings, loaded.settings, "{text}");
}

/// A template of a webhook's body.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let problems = template::check(text);
    problems.iter().for_each(|(_, complaint)| assert_message(&complaint.to_string()));
    assert!(problems.iter().all(|(line, _)| (1..=text.split('\n').count()).contains(line)), "{problems:?}");
    // What passes becomes JSON with other values too.
    let filled =
        template::filled(text, |name| if template::NUMBERS.contains(&name) { "20" } else { "a\\n" }.to_owned());
    assert!(!problems.is_empty() || serde_json::from_str::<serde_json::Value>(&filled).is_ok(), "{filled}");
}

pub fn selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Selector::parse(text) {
        Ok(selector) => {
            assert!(!selector.requirements.is_empty());
            let labels = [("a", ""), ("b", "5"), ("c.d/e", "f")].map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert!(labels.iter().all(|(key, value)| is_label_key(key) && is_label_value(value)));
            let selected = selector.matches(&labels.clone().into());
            let again = Selector::parse(&selector.text).unwrap();
            assert_eq!(again.matches(&labels.into()), selected);
            assert_eq!(again, selector);
        }
        // Cut where it is told: it quotes what stands there.
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
}

pub fn duration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse_duration(text) {
        Ok(time) => {
            assert_eq!(parse_duration(&duration_text(time)), Ok(time));
            assert!(time.as_millis() <= u128::from(u64::MAX) && time.subsec_nanos() % 1_000_000 == 0);
            assert!(time > Duration::ZERO || text.bytes().all(|byte| !matches!(byte, b'1'..=b'9')));
        }
        Err(error) => assert_message(&error.to_string()),
    }
}
