//! Packages as packaging/pack makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Packs `binary` with what lies in this tree, or in a copy of it, into `folder`.
///
/// # Panics
/// If that fails.
pub fn pack(copy: Option<&Path>, architecture: &str, binary: &Path, folder: &Path) {
    let packed = Command::new(copy.map_or_else(tree, Path::to_path_buf).join("packaging/pack"))
        .arg(architecture)
        .args([binary, folder])
        // The last commit's, of which a copy knows nothing.
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
}

/// Copies what is packed, and what packs it, into `folder`.
///
/// # Panics
/// If that fails.
pub fn copy_of_tree(folder: &Path) {
    let what = ["Cargo.toml", "CHANGELOG.md", "docs", "LICENSE", "Makefile", "packaging", "README.md", "systemd"];
    let copied = Command::new("cp").arg("-r").args(what).arg(folder).current_dir(tree()).status().unwrap();
    assert!(copied.success());
}

/// The package in `folder` whose file ends so.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn ending(folder: &Path, end: &str) -> PathBuf {
    let mut found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = found.find(|path| path.to_str().unwrap().ends_with(end));
    found.unwrap_or_else(|| panic!("no package {end}"))
}
