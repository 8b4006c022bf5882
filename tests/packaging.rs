//! What is installed beside the program says what is true.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::Command;

use spot_guard::config::{self, Files, Flags, Origin, Sources};
use spot_guard::hooks::{self, Phase};
use stand_ins::folder::Folder;

#[test]
fn the_installed_hook_is_found_and_may_run() {
    let folder = Folder::new("packaging");
    let installed = Command::new("make")
        .args(["--no-print-directory", "-C", env!("CARGO_MANIFEST_DIR"), "install"])
        .arg(format!("DESTDIR={}", folder.path().display()))
        .arg(concat!("BINARY=", env!("CARGO_BIN_EXE_spot-guard")))
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let found = hooks::find(&[folder.path().join("usr/lib/spot-guard/hooks")]);
    assert_eq!(found.refused, []);
    let names: Vec<(Phase, &str)> = found.hooks.iter().map(|hook| (hook.phase, hook.name.as_str())).collect();
    assert_eq!(names, [(Phase::LocalDrain, "50-containers")]);
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
