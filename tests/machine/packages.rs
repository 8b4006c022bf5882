//! The packages of the program that is tested, and of one that is older; each made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use stand_ins::packages::{copy_of_tree, ending, pack};

/// The package whose file ends so.
pub fn package(end: &str) -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    ending(MADE.get_or_init(|| packed(None, "packages")), end)
}

/// The same of version 0.0.9, whose configuration file begins otherwise.
pub fn older(end: &str) -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let packages = MADE.get_or_init(|| {
        let tree = emptied("older-tree");
        copy_of_tree(&tree);
        replace(&tree.join("Cargo.toml"), concat!("\nversion = \"", env!("CARGO_PKG_VERSION")), "\nversion = \"0.0.9");
        replace(&tree.join("packaging/config.toml"), "# The settings", "# All settings");
        packed(Some(&tree), "older-packages")
    });
    ending(packages, end)
}

fn replace(file: &Path, words: &str, by: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(words), "{}: {words}", file.display());
    fs::write(file, text.replacen(words, by, 1)).unwrap();
}

/// What is made of a copy of the tree, or of the tree.
fn packed(copy: Option<&Path>, name: &str) -> PathBuf {
    let folder = emptied(name);
    let own = PathBuf::from(env!("CARGO_BIN_EXE_spot-guard"));
    let binary = std::env::var_os("SPOT_GUARD_TEST_BINARY").map_or(own, PathBuf::from);
    pack(copy, std::env::consts::ARCH, &binary, &folder);
    folder
}

/// An empty folder below cargo's, where the next run finds it.
fn emptied(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
