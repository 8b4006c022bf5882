//! What is installed beside the program says what is true.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spot_guard::config::{self, Files, Flags, Origin, Sources};
use spot_guard::hooks::{self, Phase};
use stand_ins::folder::Folder;

/// What `make install` installs, below a folder.
fn install() -> Folder {
    let folder = Folder::new("packaging");
    let installed = Command::new("make")
        .args(["--no-print-directory", "-C", env!("CARGO_MANIFEST_DIR"), "install"])
        .arg(format!("DESTDIR={}", folder.path().display()))
        .arg(concat!("BINARY=", env!("CARGO_BIN_EXE_spot-guard")))
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    folder
}

fn hooks_in(folders: &[PathBuf]) -> Vec<(Phase, String)> {
    let found = hooks::find(folders);
    assert_eq!(found.refused, []);
    found.hooks.into_iter().map(|hook| (hook.phase, hook.name)).collect()
}

#[test]
fn the_installed_hook_is_found_and_may_run() {
    let folder = install();
    let folders = ["etc/spot-guard/hooks", "usr/lib/spot-guard/hooks"].map(|path| folder.path().join(path));
    assert_eq!(hooks_in(&folders), [(Phase::LocalDrain, "50-containers".to_owned())]);
}

/// The commands of `docs/shipped-hooks.md` that switch hooks on: what is linked, and where.
fn documented_links() -> Vec<(PathBuf, PathBuf)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shipped-hooks.md")).unwrap();
    let commands = page.lines().filter_map(|line| line.strip_prefix("sudo ln -s ")?.split_once(' '));
    commands.map(|(hook, link)| (PathBuf::from(hook), PathBuf::from(link))).collect()
}

fn below(folder: &Folder, path: &Path) -> PathBuf {
    folder.path().join(path.strip_prefix("/").unwrap())
}

#[test]
fn hooks_that_are_off_are_found_and_may_run_once_they_are_linked_as_the_docs_say() {
    let folder = install();
    let links = documented_links();
    for (hook, link) in &links {
        std::os::unix::fs::symlink(below(&folder, hook), below(&folder, link)).unwrap();
    }
    let found = hooks_in(&[folder.path().join("etc/spot-guard/hooks")]);
    let found: BTreeSet<String> = found.into_iter().map(|(phase, name)| format!("{}.d/{name}", phase.name())).collect();
    let linked =
        links.iter().map(|(_, link)| link.strip_prefix("/etc/spot-guard/hooks").unwrap().display().to_string());
    assert_eq!(found, linked.collect());

    let installed = fs::read_dir(folder.path().join("usr/lib/spot-guard/hooks-available")).unwrap();
    let installed: BTreeSet<OsString> = installed.map(|entry| entry.unwrap().file_name()).collect();
    let documented = links.iter().map(|(hook, _)| hook.file_name().unwrap().to_owned());
    assert_eq!(installed, documented.collect());
}

#[test]
fn the_template_of_a_hook_may_run_from_a_copy() {
    let folder = install();
    let copy = folder.path().join("my-hooks");
    let template = folder.path().join("usr/share/spot-guard/hooks-template");
    let copied = Command::new("cp").arg("-r").args([&template, &copy]).status().unwrap();
    assert!(copied.success());
    assert_eq!(hooks_in(&[copy]), [(Phase::PreDrain, "10-leave".to_owned())]);
}

#[test]
fn the_manual_is_installed_where_man_looks() {
    let folder = install();
    for page in ["man5/spot-guard.toml.5", "man7/spot-guard-hooks.7", "man8/spot-guard.8"] {
        let name = page.split('/').next_back().unwrap();
        let kept = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man").join(name)).unwrap();
        assert_eq!(fs::read(folder.path().join("usr/share/man").join(page)).unwrap(), kept, "{page}");
    }
}

#[test]
fn the_installed_configuration_shows_every_setting_with_its_default() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/config.toml");
    let text = fs::read_to_string(&shipped).unwrap();
    assert!(config::check_file(&shipped).is_empty(), "{:?}", config::check_file(&shipped));

    // As when a user takes away each # that stands before a setting.
    let is_setting = |line: &&str| line.strip_prefix("# ").is_some_and(|rest| rest.contains(" = "));
    let set: Vec<&str> =
        text.lines().map(|line| if is_setting(&line) { line.trim_start_matches("# ") } else { line }).collect();
    let path = std::env::temp_dir().join(format!("spot-guard-config-{}.toml", std::process::id()));
    fs::write(&path, set.join("\n")).unwrap();
    let sources = Sources { files: Files::One(path.clone()), environment: Vec::new(), flags: Flags::default() };
    let loaded = config::load(&sources);
    fs::remove_file(&path).unwrap();

    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert_eq!(loaded.settings, config::built_in());
    for entry in loaded.entries {
        assert_ne!(entry.origin, Origin::BuiltIn, "[{}] {} is not shown", entry.table, entry.key);
    }
}
