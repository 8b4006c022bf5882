//! Whatever is read from outside does no harm: each of the targets of tests/fuzz over what is kept of libFuzzer's finds.
#![forbid(unsafe_code)]

#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use targets::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// What a target is fed, by file name.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus().join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The most memory that this process has held since it was last asked, in KiB (proc_pid_status(5)).
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let peak = line.trim().trim_end_matches(" kB").parse().unwrap();
    // The next answer counts from now on (proc_pid_clear_refs(5)).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak
}

#[test]
fn nothing_that_is_read_does_any_harm_or_takes_much_memory() {
    for (name, target) in TARGETS {
        let before = peak_memory();
        for (path, input) in inputs(name) {
            println!("{}", path.display());
            target(&input);
        }
        let more = peak_memory().saturating_sub(before);
        assert!(more < 16 * 1024, "{name} took {more} KiB");
    }
}

#[test]
fn each_target_has_a_small_corpus_and_each_corpus_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap());
    let folders = folders.filter(|entry| entry.file_type().unwrap().is_dir());
    assert_eq!(folders.map(|entry| entry.file_name().into_string().unwrap()).collect::<BTreeSet<_>>(), names);
    for name in names {
        let inputs = inputs(&name);
        let bytes: usize = inputs.iter().map(|(_, input)| input.len()).sum();
        assert!(
            (1..=60).contains(&inputs.len()) && bytes <= 200 * 1024,
            "{name}: {} files, {bytes} bytes",
            inputs.len()
        );
    }
}

/// The fuzzer's crate is built apart, by few and seldom: here the targets see all crates of this one.
#[test]
fn the_targets_name_only_crates_that_the_fuzzer_has_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let crates = |manifest: &Path| -> BTreeSet<String> {
        let text = fs::read_to_string(manifest).unwrap();
        let tables = text.split("\n[").filter(|table| table.starts_with("dependencies]") || table.starts_with("dev-"));
        let lines = tables.flat_map(|table| table.lines().filter_map(|line| line.split_once(" = ")));
        lines.map(|(name, _)| name.replace('-', "_")).collect()
    };
    let fuzzer = crates(&folder.join("Cargo.toml"));
    let missing: Vec<String> = crates(&folder.join("../../Cargo.toml")).difference(&fuzzer).cloned().collect();
    for entry in fs::read_dir(folder.join("targets")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let words: BTreeSet<&str> =
            text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).collect();
        for name in &missing {
            let named = words.iter().any(|word| word.starts_with(&format!("{name}::")));
            assert!(!named, "{} names {name}, which tests/fuzz/Cargo.toml has not", path.display());
        }
    }
}
