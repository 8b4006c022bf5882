//! Settings come from many places: the last one counts, and what is broken takes only its own settings with it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use spot_guard::config::{self, Files, Flags, Loaded, Origin, Reaction, Sources, Value};
use stand_ins::folder::Folder;

const PLACES: [&str; 4] =
    ["usr/lib/spot-guard/config.d", "etc/spot-guard", "etc/spot-guard/config.d", "run/spot-guard/config.d"];

/// Settings of every sort, each with values that it may have.
const CHOICES: [(&str, &str, [&str; 3]); 7] = [
    ("imds", "poll-interval", [r#""1s""#, r#""500ms""#, r#""2s""#]),
    ("imds", "endpoint", [r#""http://a""#, r#""http://b:80""#, r#""http://[::1]""#]),
    ("responses.spot-interruption", "action", [r#""drain""#, r#""cordon""#, r#""ignore""#]),
    ("kubernetes", "taints", ["[]", r#"["a:NoSchedule"]"#, r#"["b=c:NoExecute"]"#]),
    ("drain", "volumes", ["true", "false", "true"]),
    ("hooks.timeouts", "one", [r#""1s""#, r#""2s""#, r#""3s""#]),
    ("hooks.timeouts", "two", [r#""1s""#, r#""2s""#, r#""3s""#]),
];

const BREAKS: [&str; 4] = ["imds = 3", "[imds", "[imsd]\nx = 1", "[log]\nlevel = \"loud\""];

#[derive(Clone, Debug)]
struct Written {
    place: usize,
    /// For the folders; the file in /etc/spot-guard is always `config.toml`.
    name: &'static str,
    /// By place in `CHOICES`.
    settings: BTreeMap<usize, usize>,
    broken: Option<usize>,
}

impl Written {
    fn path(&self) -> String {
        let name = if self.place == 1 { "config.toml" } else { self.name };
        format!("{}/{name}", PLACES[self.place])
    }

    fn text(&self) -> String {
        let settings = self.settings.iter().map(|(setting, value)| {
            let (table, key, values) = CHOICES[*setting];
            format!("{table}.{key} = {}\n", values[*value])
        });
        let broken = self.broken.map(|at| BREAKS[at]).unwrap_or_default();
        settings.collect::<String>() + broken
    }
}

fn files() -> impl Strategy<Value = Vec<Written>> {
    let settings = prop::collection::btree_map(0..CHOICES.len(), 0..3_usize, 0..5);
    let name = prop::sample::select(vec!["10-a.toml", "20-b.toml", "30-c.toml"]);
    let file = (0..PLACES.len(), name, settings, prop::option::weighted(0.2, 0..BREAKS.len()))
        .prop_map(|(place, name, settings, broken)| Written { place, name, settings, broken });
    prop::collection::vec(file, 0..8).prop_map(|files| {
        // One file a path.
        let by_path: BTreeMap<String, Written> = files.into_iter().map(|file| (file.path(), file)).collect();
        by_path.into_values().collect()
    })
}

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn sources(root: &Path) -> Sources {
    Sources { files: Files::Places(root.to_owned()), environment: Vec::new(), flags: Flags::default() }
}

fn with_environment(environment: &[(&str, &str)]) -> Loaded {
    let nothing = Folder::new("config");
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config::load(&Sources { environment, ..sources(nothing.path()) })
}

fn loaded(files: &[Written]) -> Loaded {
    let root = Folder::new("config");
    for file in files {
        write(root.path(), &file.path(), &file.text());
    }
    config::load(&sources(root.path()))
}

/// What stands at a setting, and the file that put it there, below its root.
fn found(loaded: &Loaded, setting: usize) -> Option<(String, Option<String>)> {
    let (table, key, _) = CHOICES[setting];
    let entry = loaded.entries.iter().find(|entry| entry.table == table && entry.key == key)?;
    let file = match &entry.origin {
        Origin::File { path, .. } => Some(path.display().to_string()),
        _ => None,
    };
    Some((entry.value.to_string(), file))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_last_place_that_has_a_setting_counts(files in files()) {
        let loaded = loaded(&files);
        let mut in_force: Vec<&Written> = files
            .iter()
            .filter(|file| {
                let replaced = |other: &&Written| file.place != 1 && other.place > file.place && other.name == file.name && other.place != 1;
                !files.iter().any(|other| replaced(&other))
            })
            .collect();
        in_force.sort_by_key(|file| (file.place, file.name));
        let broken = in_force.iter().filter(|file| file.broken.is_some()).count();
        in_force.retain(|file| file.broken.is_none());

        for (setting, (_, _, values)) in CHOICES.iter().enumerate() {
            let last = in_force.iter().rev().find(|file| file.settings.contains_key(&setting));
            match (last, found(&loaded, setting)) {
                (Some(file), Some((value, Some(path)))) => {
                    prop_assert_eq!(value, values[file.settings[&setting]]);
                    prop_assert!(path.ends_with(&file.path()), "{} is not {}", path, file.path());
                }
                (None, Some((_, None)) | None) => {}
                (expected, found) => prop_assert!(false, "{:?} instead of {:?}", found, expected),
            }
        }
        prop_assert_eq!(loaded.problems.len(), broken, "{:?}", loaded.problems);
    }

    #[test]
    fn a_broken_file_takes_exactly_its_own_settings_with_it(files in files()) {
        let emptied: Vec<Written> = files
            .iter()
            .map(|file| match file.broken {
                Some(_) => Written { settings: BTreeMap::new(), broken: None, ..file.clone() },
                None => file.clone(),
            })
            .collect();
        prop_assert_eq!(loaded(&files).settings, loaded(&emptied).settings);
        prop_assert!(loaded(&emptied).problems.is_empty());
    }

    #[test]
    fn no_file_makes_the_reading_panic_and_what_is_read_is_told_or_counts(
        text in prop_oneof![
            r#"([\[\]={}"',.#\n -]|imds|hooks|timeouts|timeout|drain|taints|skip|responses|true|"1s"|3|\PC){0,40}"#,
            r"\PC{0,60}",
        ],
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let root = Folder::new("config");
        for content in [text.as_bytes(), &bytes] {
            let file = root.path().join("x.toml");
            fs::write(&file, content).unwrap();
            for problem in config::check_file(&file) {
                let told = problem.to_string();
                prop_assert!(!told.chars().any(char::is_control), "{:?}", told);
                prop_assert!(told.len() < 1000, "{:?}", told);
            }
        }
    }

    #[test]
    fn no_variable_makes_the_reading_panic(
        name in "(SPOT_GUARD_CONFIG_(IMDS_TIMEOUT|KUBERNETES_TAINTS|HOOKS_TIMEOUTS|DRAIN_VOLUMES|[A-Z_]{0,9})|AWS_EC2_METADATA_SERVICE_ENDPOINT(_MODE)?)",
        value in r#"([\[\]={}"',]|a|"1s"|true|:NoSchedule|\PC){0,12}"#,
    ) {
        let loaded = with_environment(&[(&name, &value)]);
        let unchanged = loaded.settings == config::built_in();
        prop_assert!(loaded.problems.is_empty() || unchanged);
    }
}

#[test]
fn the_built_in_settings_are_those_of_the_interface() {
    let settings = config::built_in();
    assert_eq!(settings.imds.endpoint, "http://169.254.169.254");
    assert_eq!(settings.imds.poll_interval, Duration::from_secs(1));
    assert_eq!(settings.imds.timeout, Duration::from_secs(1));
    assert_eq!(settings.responses.spot_interruption.reaction, Reaction::Drain);
    assert_eq!(settings.kubernetes.mode, config::Mode::Auto);
    assert!(settings.kubernetes.exclude_from_load_balancers && settings.kubernetes.conditions);
    assert!(settings.kubernetes.events && settings.drain.respect_budgets && settings.drain.volumes);
    assert_eq!(settings.drain.delay, Duration::ZERO);
    assert_eq!((settings.drain.reserve, settings.drain.grace_period_limit), (None, None));
    assert_eq!((settings.drain.skip.as_ref(), settings.drain.local_after), (None, None));
    assert_eq!(settings.hooks.timeout, Duration::from_secs(30));
    assert_eq!((settings.hooks.timeouts.len(), settings.hooks.pre_drain_limit), (0, None));
    assert_eq!((settings.log.level, settings.log.format), (log::LevelFilter::Info, config::LogFormat::Auto));
    assert!(!settings.dry_run && !settings.imds.disabled);
}

#[test]
fn every_built_in_value_is_one_that_may_be_set() {
    for row in &config::schema::SCHEMA {
        if let Some(value) = &row.built_in {
            assert_eq!((row.put)(&mut config::schema::blank(), row.key, value), Ok(()), "{} {}", row.table, row.key);
        }
    }
}

#[test]
fn flags_go_over_the_environment_and_that_over_files() {
    let root = Folder::new("config");
    write(root.path(), "etc/spot-guard/config.toml", "[imds]\nendpoint = \"http://file\"\n[log]\nlevel = \"warn\"\n");
    let endpoint = |environment: &[(&str, &str)], flag: Option<&str>| {
        let settings = flag.map(|value| ("imds-endpoint", value.to_owned())).into_iter().collect();
        let loaded = config::load(&Sources {
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            flags: Flags { settings, ..Flags::default() },
            ..sources(root.path())
        });
        assert_eq!(loaded.settings.log.level, log::LevelFilter::Warn);
        let entry = loaded.entries.iter().find(|entry| entry.key == "endpoint").unwrap();
        (loaded.settings.imds.endpoint, entry.origin.to_string().replace(&root.path().display().to_string(), ""))
    };
    let sdk = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://sdk/");
    let mode = ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    let own = ("SPOT_GUARD_CONFIG_IMDS_ENDPOINT", "http://own");
    let is = |url: &str, origin: &str| (url.to_owned(), origin.to_owned());
    assert_eq!(endpoint(&[mode], None), is("http://file", "/etc/spot-guard/config.toml:2"));
    assert_eq!(endpoint(&[mode, sdk], None), is("http://sdk", "environment AWS_EC2_METADATA_SERVICE_ENDPOINT"));
    assert_eq!(endpoint(&[sdk, own], None), is("http://own", "environment SPOT_GUARD_CONFIG_IMDS_ENDPOINT"));
    assert_eq!(endpoint(&[sdk, own], Some("http://flag")), is("http://flag", "--imds-endpoint"));
}

#[test]
fn the_variables_of_the_aws_sdks_count() {
    let mode = |mode| with_environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", mode)]);
    assert_eq!(mode("ipv6").settings.imds.endpoint, "http://[fd00:ec2::254]");
    assert_eq!(mode("IPv4").settings.imds.endpoint, "http://169.254.169.254");
    assert!(mode("IPv4").problems.is_empty());
    assert_eq!(mode("").settings.imds.endpoint, "http://169.254.169.254");
    let wrong = mode("IPv5");
    assert_eq!(wrong.settings, config::built_in());
    assert_eq!(
        wrong.problems.first().unwrap().to_string(),
        "environment AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: it is \"IPv5\"; it must be IPv4 or IPv6"
    );
    let disabled = |value| with_environment(&[("AWS_EC2_METADATA_DISABLED", value)]).settings.imds.disabled;
    assert!(disabled("true") && disabled("TRUE"));
    assert!(!disabled("false") && !disabled("1") && !disabled(""));
}

#[test]
fn a_variable_sets_what_a_file_could_set() {
    let loaded = with_environment(&[
        ("SPOT_GUARD_CONFIG_RESPONSES_SPOT_INTERRUPTION_ACTION", "cordon"),
        ("SPOT_GUARD_CONFIG_DRAIN_VOLUMES", "false"),
        ("SPOT_GUARD_CONFIG_KUBERNETES_TAINTS", r#"["a=b:NoSchedule"]"#),
        ("SPOT_GUARD_CONFIG_HOOKS_TIMEOUTS", r#"{ "20-docker" = "100s", b = "1m" }"#),
        ("SPOT_GUARD_CONFIG_DRAIN_RESERVE", ""),
        ("SPOT_GUARD", "other"),
    ]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert_eq!(loaded.settings.responses.spot_interruption.reaction, Reaction::Cordon);
    assert!(!loaded.settings.drain.volumes);
    assert_eq!(loaded.settings.kubernetes.taints.len(), 1);
    assert_eq!(loaded.settings.hooks.timeouts["20-docker"], Duration::from_secs(100));
    assert_eq!(loaded.settings.hooks.timeouts["b"], Duration::from_secs(60));
}

#[test]
fn a_broken_variable_is_left_out_and_told() {
    let rows = [
        (
            "SPOT_GUARD_CONFIG_IMDS_POLL_INTERVAL",
            "9h",
            "poll-interval in [imds] is \"9h\"; it must be from 200ms to 30s",
        ),
        ("SPOT_GUARD_CONFIG_DRAIN_VOLUMES", "yes", "volumes in [drain] is \"yes\"; it must be true or false"),
        ("SPOT_GUARD_CONFIG_DRAIN_VOLUMES", "1", "volumes in [drain] is 1; it must be true or false"),
        (
            "SPOT_GUARD_CONFIG_KUBERNETES_TAINTS",
            "a=b:NoSchedule",
            "taints in [kubernetes] is \"a=b:NoSchedule\"; it must be a list such as [\"key=value:NoSchedule\"]",
        ),
        (
            "SPOT_GUARD_CONFIG_HOOKS_TIMEOUTS",
            "1s",
            "[hooks.timeouts] is 1s; it must be a table: { \"NAME\" = \"30s\" }",
        ),
        ("SPOT_GUARD_CONFIG_HOOKS_TIMEOUTS", "5", "[hooks.timeouts] is 5; it must be a table: { \"NAME\" = \"30s\" }"),
        (
            "SPOT_GUARD_CONFIG_HOOKS_TIMEOUTS",
            "{ a = \"1s\", b = 1 }",
            "b in [hooks.timeouts] is 1; it must be a time in quotes, such as \"30s\"",
        ),
        (
            "SPOT_GUARD_CONFIG_IMDS_POL_INTERVAL",
            "1s",
            "no such setting; did you mean SPOT_GUARD_CONFIG_IMDS_POLL_INTERVAL?",
        ),
        ("SPOT_GUARD_CONFIG_", "1s", "no such setting"),
        (
            "SPOT_GUARD_CONFIG_KUBERNETES_PROXY",
            "socks://user:secret@proxy",
            "proxy in [kubernetes] is \"socks://user:***@proxy\"; it must be http://HOST:PORT, \
             with USER:PASSWORD@ before the host if need be",
        ),
    ];
    for (name, value, told) in rows {
        let loaded = with_environment(&[(name, value), ("SPOT_GUARD_CONFIG_LOG_LEVEL", "warn")]);
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [format!("environment {name}: {told}")]);
        let mut expected = config::built_in();
        expected.log.level = log::LevelFilter::Warn;
        assert_eq!(loaded.settings, expected);
    }
}

#[test]
fn a_link_to_dev_null_switches_a_shipped_file_off() {
    let root = Folder::new("config");
    write(root.path(), "usr/lib/spot-guard/config.d/10-a.toml", "drain.volumes = false\n");
    assert!(!config::load(&sources(root.path())).settings.drain.volumes);
    let own = root.path().join("etc/spot-guard/config.d");
    fs::create_dir_all(&own).unwrap();
    std::os::unix::fs::symlink("/dev/null", own.join("10-a.toml")).unwrap();
    let loaded = config::load(&sources(root.path()));
    assert_eq!((loaded.settings, loaded.problems), (config::built_in(), Vec::new()));
}

#[test]
fn only_visible_files_that_end_in_toml_are_read() {
    let root = Folder::new("config");
    for name in [".hidden.toml", "a.toml.rpmsave", "a.conf", "toml"] {
        write(root.path(), &format!("etc/spot-guard/config.d/{name}"), "this is broken");
    }
    let loaded = config::load(&sources(root.path()));
    assert_eq!((loaded.files.len(), loaded.problems), (0, Vec::new()));
}

#[test]
fn what_cannot_be_read_to_its_end_is_not_waited_for() {
    let root = Folder::new("config");
    let own = root.path().join("etc/spot-guard/config.d");
    fs::create_dir_all(own.join("folder.toml")).unwrap();
    nix::unistd::mkfifo(&own.join("pipe.toml"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    std::os::unix::fs::symlink("/dev/zero", own.join("endless.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", own.join("lost.toml")).unwrap();
    fs::write(own.join("long.toml"), "#".repeat(65 * 1024)).unwrap();
    fs::write(own.join("full.toml"), "#".repeat(64 * 1024)).unwrap();
    fs::write(own.join("bytes.toml"), b"a = \"\xff\"").unwrap();
    let problems = config::load(&sources(root.path())).problems;
    let told: Vec<String> =
        problems.iter().map(|problem| problem.to_string().replace(&format!("{}/", own.display()), "")).collect();
    assert_eq!(
        told,
        [
            "bytes.toml: cannot be read: byte 5 is no UTF-8",
            "endless.toml: cannot be read: it is no regular file",
            "folder.toml: cannot be read: it is no regular file",
            "long.toml: cannot be read: it is larger than 64 KiB",
            "lost.toml: cannot be read: No such file or directory (os error 2)",
            "pipe.toml: cannot be read: it is no regular file",
        ]
    );
}

#[test]
fn of_256_files_all_are_read_and_of_more_none() {
    let root = Folder::new("config");
    for file in 0..256 {
        write(root.path(), &format!("etc/spot-guard/config.d/{file}.toml"), "");
    }
    let loaded = config::load(&sources(root.path()));
    assert_eq!((loaded.files.len(), loaded.problems.len()), (256, 0));
    write(root.path(), "etc/spot-guard/config.d/256.toml", "");
    let loaded = config::load(&sources(root.path()));
    let told: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    let own = root.path().join("etc/spot-guard/config.d");
    assert_eq!(
        (loaded.files.len(), told),
        (0, vec![format!("{}: cannot be read: more than 256 files", own.display())])
    );
}

#[test]
fn a_folder_that_is_none_is_told() {
    let root = Folder::new("config");
    write(root.path(), "etc/spot-guard/config.d", "");
    assert_eq!(config::load(&sources(root.path())).problems.len(), 1);
}

#[test]
fn of_many_errors_a_hundred_are_told_and_how_many_more_there_are() {
    for (errors, told, last) in [(100, 100, "unknown key"), (150, 101, "50 more errors")] {
        let root = Folder::new("config");
        let lines: Vec<String> = (0..errors).map(|line| format!("key-{line} = 1\n")).collect();
        write(root.path(), "etc/spot-guard/config.toml", &lines.concat());
        let problems = config::load(&sources(root.path())).problems;
        assert_eq!(problems.len(), told);
        assert!(problems.last().unwrap().to_string().contains(last), "{:?}", problems.last());
    }
}

#[test]
fn the_longest_limits_are_a_day() {
    let limit = |value| with_environment(&[("SPOT_GUARD_CONFIG_DRAIN_GRACE_PERIOD_LIMIT", value)]);
    assert_eq!(limit("24h").settings.drain.grace_period_limit, Some(Duration::from_secs(86_400)));
    assert_eq!(limit("24h1ms").problems.len(), 1);
}

#[test]
fn a_value_is_kept_as_it_was_written() {
    let root = Folder::new("config");
    write(root.path(), "etc/spot-guard/config.toml", "[hooks]\ntimeout = '90s'\n");
    let loaded = config::load(&sources(root.path()));
    let entry = loaded.entries.iter().find(|entry| entry.table == "hooks" && entry.key == "timeout").unwrap();
    assert_eq!(entry.value, Value::Text("90s".into()));
}
