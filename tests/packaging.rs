//! What is installed beside the program says what is true.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use spot_guard::config::{self, Files, Flags, Origin, Sources};

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
