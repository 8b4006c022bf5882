//! What spot-guard costs stays as it is written down in `figures.toml`, as far as it is the same in every run.
//!
//! Times and memory are not: they are for benchmarks. Nor is what the API server is asked here: that is a promise.
#![forbid(unsafe_code)]

mod figures;
mod polls;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use stand_ins::folder::Folder;
use stand_ins::skip::skip;

use figures::{FILE, hold, read};

/// The program as `cargo build` makes it.
const OWN_BINARY: &str = env!("CARGO_BIN_EXE_spot-guard");
/// 2.5 MiB.
const LARGEST_BINARY: u64 = 2_621_440;

/// The release, whose figures these are; `None`, after having said so, where there is none.
fn release() -> Option<PathBuf> {
    let named = std::env::var_os("SPOT_GUARD_TEST_BINARY").filter(|_| cfg!(target_arch = "x86_64"));
    if named.is_none() {
        skip("SPOT_GUARD_TEST_BINARY names no release for x86_64");
    }
    named.map(PathBuf::from)
}

/// Whether that program is there; says so where it is not.
fn is_there(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        skip(&format!("there is no {program}"));
    }
    is_there
}

#[test]
fn the_binary_is_as_small_as_it_was() {
    let Some(release) = release() else { return };
    let bytes = fs::metadata(&release).expect("the release is built").len();
    assert!(bytes <= LARGEST_BINARY, "the binary has {bytes} bytes, and may never have more than {LARGEST_BINARY}");
    hold("binary", "bytes", 0.005, || bytes as f64);
}

#[test]
fn no_crate_is_linked_in_unseen() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--package=spot-guard",
            "--edges=normal,no-proc-macro",
            "--prefix=none",
        ])
        .args(["--format={p}", "--target=x86_64-unknown-linux-musl"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let tree = tree.expect("run cargo");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names");
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let linked: BTreeSet<&str> = names.filter(|name| *name != "spot-guard").collect();
    let written = read("binary", "crates");
    let written: BTreeSet<&str> = written.split_whitespace().collect();
    assert!(
        linked == written,
        "crates that are new: {:?}, and that are gone: {:?}; `cargo tree -i CRATE` says what needs one. Do without it, or \
         write it down in {FILE} and say in the commit what it is worth",
        &linked - &written,
        &written - &linked
    );
}

#[test]
fn a_poll_makes_as_many_system_calls_as_it_did() {
    let Some(release) = release() else { return };
    if is_there("strace") {
        hold("poll", "system-calls", 0.0, || polls::system_calls(&release));
    }
}

#[test]
fn a_poll_sends_as_many_bytes_as_it_did() {
    let Some(release) = release() else { return };
    if is_there("strace") {
        hold("poll", "request-bytes", 0.0, || polls::request_bytes(&release));
    }
}

#[test]
fn a_poll_takes_as_many_instructions_as_it_did() {
    let Some(release) = release() else { return };
    if is_there("valgrind") {
        // Not caches: only instructions.
        let tool = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
        hold("poll", "instructions", 0.05, || polls::counted(&release, &tool, " refs:"));
    }
}

/// Valgrind sees those of a shared C library only, and the release has none.
#[test]
fn a_poll_allocates_as_often_as_it_did() {
    if release().is_none() || !is_there("valgrind") {
        return;
    }
    let folder = Folder::new("stripped");
    let stripped = folder.path().join("spot-guard");
    // Valgrind would first read 80 MB of what is for a debugger.
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(OWN_BINARY).status();
    assert!(strip.expect("strip of binutils").success());
    let tool = ["--tool=dhat", "--dhat-out-file=/dev/null"];
    hold("poll", "allocations", 0.0, || polls::counted(&stripped, &tool, "bytes in"));
}
