//! What `spot-guard config` and `config --check` say, with what exit code; and that the documentation says the same.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use spot_guard::cli::definition::{commands, program as program_definition};
use spot_guard::config::schema::SCHEMA;
use stand_ins::folder::Folder;

struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_spot-guard"));
    program.env_clear().stdin(Stdio::null());
    program
}

fn said(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let output = program().args(arguments).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

fn file(folder: &Folder, text: &str) -> PathBuf {
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    path
}

fn string(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_error_of_a_file_is_told_with_its_line_and_the_word_that_was_meant() {
    let folder = Folder::new("configuration");
    let path = file(
        &folder,
        r#"# spot-guard
poll-interval = "1s"
[imds]
pol-interval = "1s"
timeout = 30
endpoint = "https://169.254.169.254"
[imsd]
x = 1
[responses.spot-interuption]
action = "drain"
[responses.spot-interruption]
action = "drian"
[drain]
volumes = "yes"
skip = "app in web"
timeout = "1s"
nonsense = 1
[hooks]
timeout = "1 sec"
timeouts = { "20-docker" = "100sec" }
[kubernetes]
taints = ["spot=going"]
node-name = "Node_1"
kubeconfig = "kubeconfig"
[log]
level = { error = true }
"#,
    );
    let said = said(&["config", "--check", string(&path)], &[]);
    let lines: Vec<&str> = said.err.lines().map(|line| line.strip_prefix(string(&path)).unwrap()).collect();
    assert_eq!(
        lines,
        [
            r#":2: unknown key "poll-interval" outside of any table; it belongs to [imds]"#,
            r#":4: unknown key "pol-interval" in [imds]; did you mean "poll-interval"?"#,
            r#":5: timeout in [imds] is 30; it must be a time in quotes, such as "30s""#,
            r#":6: endpoint in [imds] is "https://169.254.169.254"; it must be http://HOST or http://HOST:PORT"#,
            ":7: unknown table [imsd]; did you mean [imds]?",
            ":9: unknown table [responses.spot-interuption]; did you mean [responses.spot-interruption]?",
            ":12: action in [responses.spot-interruption] is \"drian\"; it must be drain, cordon, observe or ignore; \
             did you mean \"drain\"?",
            r#":14: volumes in [drain] is "yes"; it must be true or false"#,
            ":15: skip in [drain] is \"app in web\"; it must be a label selector: \"web\" stands where an opening \
             parenthesis should",
            r#":16: unknown key "timeout" in [drain]"#,
            r#":17: unknown key "nonsense" in [drain]"#,
            ":19: timeout in [hooks] is \"1 sec\"; it must be whole numbers with units, such as \"30s\" or \"1m30s\"",
            r#":20: 20-docker in [hooks.timeouts] is "100sec"; unknown unit "sec"; did you mean "s"?"#,
            ":22: taints in [kubernetes] is [\"spot=going\"]; \"spot=going\" needs an effect, such as \
             \"KEY=VALUE:NoSchedule\"",
            ":23: node-name in [kubernetes] is \"Node_1\"; it must be a node's name: small letters, digits, hyphens \
             and dots",
            r#":24: kubeconfig in [kubernetes] is "kubeconfig"; it must be a path that begins with /"#,
            ":26: level in [log] is { error = true }; it must be text in quotes",
        ]
    );
    assert_eq!((said.out.as_str(), said.code), ("", Some(2)));
}

#[test]
fn a_table_that_is_none_and_broken_toml_are_told_with_their_lines() {
    let folder = Folder::new("configuration");
    let rows = [
        ("imds = 3\n", ":1: imds must be a table: [imds]\n"),
        ("[[drain]]\n", ":1: drain must be a table: [drain]\n"),
        ("[imds]\ntimeout = 1s\n", ":2: "),
        ("\n\n[imds\n", ":3: unclosed table, expected `]`\n"),
        ("[imds]\n[imds]\n", ":2: duplicate key\n"),
        (
            "[\"responses.spot-interruption\"]\naction = \"drain\"\n",
            ":1: unknown table [\"responses.spot-interruption\"]; did you mean [responses.spot-interruption]?\n",
        ),
    ];
    for (text, told) in rows {
        let path = file(&folder, text);
        let said = said(&["config", "--check", string(&path)], &[]);
        assert!(said.err.starts_with(&format!("{}{told}", path.display())), "{text:?}: {}", said.err);
        assert_eq!(said.code, Some(2));
    }
}

#[test]
fn every_line_that_is_no_toml_is_told_once_and_in_order() {
    let folder = Folder::new("configuration");
    let path = file(&folder, "[imds]\ntimeout = 1s 2s 3s\n[imds]\n[log]\nlevel = \n[log]\n");
    let said = said(&["config", "--check", string(&path)], &[]);
    let lines: Vec<&str> = said.err.lines().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(lines, ["2", "3", "5", "6"], "{}", said.err);
}

#[test]
fn a_sound_configuration_is_answered_with_ok_and_0() {
    let folder = Folder::new("configuration");
    let path = file(&folder, "[imds]\npoll-interval = \"500ms\"\n");
    let path = string(&path);
    for arguments in [["config", "--check", path], ["config", "--check", &format!("--config={path}")]] {
        let said = said(&arguments, &[]);
        assert_eq!((said.out, said.err, said.code), (format!("{path}\nok\n"), String::new(), Some(0)));
    }
}

#[test]
fn without_files_the_environment_is_checked_too() {
    let folder = Folder::new("configuration");
    let path = file(&folder, "");
    let environment = [("SPOT_GUARD_CONFIG_LOG_LEVEL", "loud")];
    let said = said(&["--config", string(&path), "config", "--check"], &environment);
    assert!(
        said.err.starts_with("environment SPOT_GUARD_CONFIG_LOG_LEVEL: level in [log] is \"loud\""),
        "{}",
        said.err
    );
    assert_eq!(said.code, Some(2));
}

#[test]
fn a_missing_file_is_an_error() {
    for arguments in [&["config", "--check", "/nowhere.toml"][..], &["config", "--check", "--config=/nowhere.toml"]] {
        let said = said(arguments, &[]);
        assert_eq!(said.err, "/nowhere.toml: cannot be read: No such file or directory (os error 2)\n");
        assert_eq!((said.out.as_str(), said.code), ("", Some(2)));
    }
}

#[test]
fn each_setting_is_shown_with_its_origin() {
    let folder = Folder::new("configuration");
    let path = file(
        &folder,
        "[imds]\npoll-interval = \"500ms\"\n[hooks.timeouts]\n\"a b\" = \"1m\"\n[kubernetes]\nproxy = \"http://me:secret@proxy\"\n",
    );
    let path = string(&path);
    let environment = [("SPOT_GUARD_CONFIG_DRAIN_DELAY", "3s"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let said =
        said(&["config", "--config", path, "--node-name=node-1", "--state-dir", "/srv/x", "--dry-run"], &environment);
    assert_eq!((said.err.as_str(), said.code), ("", Some(0)));
    let words: Vec<String> =
        said.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        r#"endpoint = "http://169.254.169.254" # built-in"#,
        &format!(r#"poll-interval = "500ms" # {path}:2"#),
        &format!(r#""a b" = "1m" # {path}:4"#),
        &format!(r#"proxy = "http://me:***@proxy" # {path}:6"#),
        r#"node-name = "node-1" # --node-name"#,
        r#"delay = "3s" # environment SPOT_GUARD_CONFIG_DRAIN_DELAY"#,
        "# state-dir /srv/x # --state-dir",
        "# runtime-dir /run/spot-guard # built-in",
        "# dry-run nothing is changed # --dry-run",
        "# the metadata service is never asked # environment AWS_EC2_METADATA_DISABLED",
    ] {
        assert!(words.contains(&line.to_owned()), "{line} is not in\n{}", said.out);
    }
    assert!(!said.out.contains("secret"));
    let column = |line: &&str| line.find("  # ").map(|at| line[at..].trim_start()).is_some();
    let tables = said.out.split("# by flag only").next().unwrap();
    let columns: BTreeSet<usize> = tables.lines().filter(column).filter_map(|line| line.rfind("# ")).collect();
    assert_eq!(columns.len(), 1, "{tables}");
}

#[test]
fn a_secret_is_not_shown_and_neither_is_one_that_is_wrong() {
    let folder = Folder::new("configuration");
    let path = file(
        &folder,
        "[webhook]\nurl = \"https://example.com/s3cr3t\"\nproxy = \"http://me:s3cr3t@proxy\"\n[webhook.headers]\nX-A = \"s3cr3t\"\n\
         X-B = { file = \"/etc/token\" }\nX-C = \"\"\n",
    );
    let shown =
        said(&["config", "--config", string(&path)], &[("SPOT_GUARD_CONFIG_WEBHOOK_HEADERS", "{ X-D = \"s3cr3t\" }")]);
    assert_eq!((shown.err.as_str(), shown.code), ("", Some(0)));
    for line in ["# url = (set)", "# X-A = (set)", "X-B = { file = \"/etc/token\" }", "X-C = \"\"", "# X-D = (set)"] {
        assert!(shown.out.lines().any(|shown| shown.starts_with(line)), "{line} is not in\n{}", shown.out);
    }
    assert!(!shown.out.contains("s3cr3t"), "{}", shown.out);

    let wrong = file(
        &folder,
        "[webhook]\nurl = \"s3cr3t\"\n[webhook.headers]\nX-A = 5\nX-B = { secret = \"s3cr3t\" }\nHost = \"s3cr3t\"\n\"X C\" = \"s3cr3t\"\n",
    );
    let environment = [("SPOT_GUARD_CONFIG_WEBHOOK_URL", "s3cr3t"), ("SPOT_GUARD_CONFIG_WEBHOOK_HEADERS", "s3cr3t")];
    let told = said(&["config", "--config", string(&wrong)], &environment);
    assert_eq!((told.err.lines().count(), told.code), (7, Some(2)), "{}", told.err);
    assert!(told.err.contains("url in [webhook] is (not shown); it must be https://HOST/PATH"), "{}", told.err);
    assert!(!(told.err + &told.out).contains("s3cr3t"));
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_file_and_line_and_the_settings_stand() {
    let folder = Folder::new("configuration");
    let template = folder.path().join("body.json");
    let path =
        file(&folder, &format!("[imds]\npoll-interval = \"2s\"\n[webhook]\ntemplate = \"{}\"\n", template.display()));
    let rows = [
        (Some("{\n\"a\": \"{{nodes}}\"}"), ":2: unknown placeholder \"nodes\"; did you mean \"node\"?"),
        (Some("{\n\"a\": {{node}}}"), ":2: this does not become JSON; "),
        (None, ": cannot be read: No such file or directory (os error 2)"),
    ];
    for (text, told) in rows {
        let _ = fs::remove_file(&template);
        text.into_iter().for_each(|text| fs::write(&template, text).unwrap());
        for arguments in [&["--config", string(&path), "config", "--check"][..], &["config", "--check", string(&path)]]
        {
            let said = said(arguments, &[]);
            // A file alone may be that of another machine.
            if text.is_none() && arguments[0] == "config" {
                assert_eq!((said.err.as_str(), said.code), ("", Some(0)));
                continue;
            }
            assert!(said.err.starts_with(&format!("{}{told}", template.display())), "{}", said.err);
            assert_eq!((said.err.lines().count(), said.code), (1, Some(2)));
        }
        assert!(said(&["--config", string(&path), "config"], &[]).out.contains("poll-interval = \"2s\""));
    }
    for shipped in ["slack.json", "pagerduty.json"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/webhook").join(shipped), &template).unwrap();
        assert_eq!(said(&["config", "--check", string(&path)], &[]).code, Some(0), "{shipped}");
    }
}

#[test]
fn a_broken_file_is_told_and_the_rest_is_shown() {
    let folder = Folder::new("configuration");
    let path = file(&folder, "[imds]\npoll-interval = \"500ms\"\ntimout = \"1s\"\n");
    let said = said(&["config", "--config", string(&path)], &[]);
    assert_eq!(
        said.err,
        format!("{}:3: unknown key \"timout\" in [imds]; did you mean \"timeout\"?\n", path.display())
    );
    assert!(said.out.contains("poll-interval = \"1s\""), "{}", said.out);
    assert_eq!(said.code, Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_shown_can_be_read_back(
        delay in 0u32..3600, name in r#"[a-zA-Z0-9 ."'#\\ä=\[-]{1,12}"#, value in "[a-z0-9]{1,9}", is in any::<bool>(),
    ) {
        let folder = Folder::new("configuration");
        let hook = serde_json::to_string(&name).unwrap();
        let path = file(&folder, &format!(
            "drain.delay = \"{delay}s\"\ndrain.skip = \"a in ({value},b)\"\ndrain.volumes = {is}\nhooks.timeouts.{hook} = \"2m\"\n\
             kubernetes.taints = [\"a={value}:NoSchedule\", \"b:NoExecute\"]\n",
        ));
        let shown = said(&["config", "--config", string(&path)], &[]);
        prop_assert_eq!((shown.err.as_str(), shown.code), ("", Some(0)));
        let again = folder.path().join("again.toml");
        fs::write(&again, &shown.out).unwrap();
        let checked = said(&["config", "--check", string(&again)], &[]);
        prop_assert_eq!((checked.err.as_str(), checked.code), ("", Some(0)));
        let shown_again = said(&["config", "--config", string(&again)], &[]).out;
        let values = |text: &str| text.lines().map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value).trim_end().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(values(&shown.out), values(&shown_again));
    }
}

#[test]
fn wrong_usage_is_told_on_standard_error_and_is_2() {
    let rows: [(&[&str], &str); 14] = [
        (&["--dry-run"], "spot-guard needs a command. Run spot-guard --help for what there is.\n"),
        (
            &["drian"],
            "there is no command \"drian\"; did you mean \"drain\"? Run spot-guard --help for what there is.\n",
        ),
        (&["run", "--dryrun"], "spot-guard run has no option \"--dryrun\"; did you mean \"--dry-run\"?"),
        (&["run", "now"], "spot-guard run does not take \"now\". Run spot-guard run --help for what there is.\n"),
        (&["config", "--config"], "--config needs a value, FILE. Run spot-guard config --help for what there is.\n"),
        (&["config", "--dry-run=yes"], "--dry-run takes no value"),
        (&["config", "file.toml"], "spot-guard config takes files only with --check"),
        (&["config", "--check", "--config=a", "b"], "--check takes either files or --config, not both"),
        (&["config", "--config=a", "--config=b"], "--config is given twice"),
        (&["config", "--config="], "--config \"\": cannot make an empty path absolute"),
        (
            &["config", "--log-level", "inf"],
            "--log-level is \"inf\"; it must be error, warn, info or debug; did you mean \"info\"?",
        ),
        (&["run", "--log-level=loud"], "--log-level is \"loud\"; it must be error, warn, info or debug"),
        (&["--imds-endpoint=x", "run"], "--imds-endpoint is \"x\"; it must be http://HOST or http://HOST:PORT"),
        (&["run", "--node-name", "a/b"], "--node-name is \"a/b\"; it must be a node's name"),
    ];
    for (arguments, told) in rows {
        let said = said(arguments, &[]);
        assert!(said.err.contains(told), "{arguments:?}: {}", said.err);
        assert_eq!((said.err.lines().count(), said.code), (1, Some(2)), "{arguments:?}: {}", said.err);
        assert!(
            said.out.is_empty() && said.err.ends_with(" --help for what there is.\n"),
            "{arguments:?}: {}",
            said.err
        );
    }
}

#[test]
fn without_a_command_all_are_listed() {
    let said = said(&[], &[]);
    assert!(said.err.starts_with("spot-guard needs a command. Run spot-guard --help"), "{}", said.err);
    for command in commands(&program_definition()) {
        assert!(said.err.contains(&format!("\n  {} ", command.name)), "{}: {}", command.name, said.err);
    }
    assert_eq!((said.out.as_str(), said.code), ("", Some(2)));
}

#[test]
fn options_stand_before_or_after_the_command_with_or_without_an_equals_sign() {
    let forms: [&[&str]; 4] = [
        &["--node-name", "node-1", "--config=/dev/null", "config"],
        &["--node-name=node-1", "config", "--config", "/dev/null"],
        &["--config", "/dev/null", "config", "--node-name", "node-1"],
        &["config", "--node-name=node-1", "--config=/dev/null"],
    ];
    for arguments in forms {
        let said = said(arguments, &[]);
        assert!(said.out.contains("node-name = \"node-1\""), "{arguments:?}: {}", said.out);
        assert_eq!(said.code, Some(0));
    }
}

#[test]
fn after_two_dashes_everything_is_a_file() {
    let said = said(&["config", "--check", "--", "--config=x"], &[]);
    assert_eq!(said.err, "--config=x: cannot be read: No such file or directory (os error 2)\n");
}

#[test]
fn the_version_and_help_are_answers() {
    for arguments in [&["--version"][..], &["-V"], &["run", "-V"], &["config", "--check", "--version"]] {
        let version = said(arguments, &[]);
        assert_eq!((version.out, version.code), (format!("spot-guard {}\n", env!("CARGO_PKG_VERSION")), Some(0)));
    }
    for command in commands(&program_definition()) {
        let usage = format!("Usage: spot-guard {} ", command.name);
        let own = command.name;
        for arguments in [&[own, "--help"][..], &[own, "-h"], &["-h", own], &["help", own], &["--config=x", own, "-h"]]
        {
            let said = said(arguments, &[]);
            assert!(said.out.starts_with(&usage), "{arguments:?}: {}", said.out);
            assert_eq!((said.err.as_str(), said.code), ("", Some(0)));
        }
    }
    for arguments in ["--help", "-h", "help"] {
        assert!(said(&[arguments], &[]).out.starts_with("Usage: spot-guard [OPTIONS] COMMAND"));
    }
    let help = said(&["config", "--help"], &[]).out;
    for row in SCHEMA.iter().filter(|row| !row.is_open()) {
        assert!(help.contains(&format!("  {} ", row.key)), "{}", row.key);
    }
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}

#[test]
fn an_argument_that_is_no_text_is_wrong_usage() {
    let argument: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    let output = program().arg("config").arg(argument).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_answer_that_nobody_takes_is_a_failure_and_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program()
        .args(["config", "--config=/dev/null"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()));
}

/// The rows of the tables below a heading `### [table]`: key, default, meaning.
fn documented() -> Vec<(String, String, String, String)> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let (mut rows, mut table) = (Vec::new(), None);
    for line in text.lines() {
        if line.starts_with('#') {
            table = line.strip_prefix("### [").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let (Some(table), [_, key, built_in, meaning, _]) = (&table, cells.as_slice())
            && key.starts_with('`')
        {
            let plain = |cell: &str| cell.trim_matches('`').to_owned();
            rows.push((table.clone(), plain(key), plain(built_in), (*meaning).to_owned()));
        }
    }
    rows
}

#[test]
fn the_documentation_names_every_setting_with_its_default_and_range_and_no_other() {
    let key = |row: &spot_guard::config::schema::Row| if row.is_open() { "NAME" } else { row.key };
    let documented = documented();
    let named: Vec<(&str, &str)> = documented.iter().map(|(table, key, ..)| (table.as_str(), key.as_str())).collect();
    let known: Vec<(&str, &str)> = SCHEMA.iter().map(|row| (row.table, key(row))).collect();
    assert_eq!(named, known);
    for ((_, key, built_in, meaning), row) in documented.iter().zip(&SCHEMA) {
        let expected = row.built_in.as_ref().map_or("none".to_owned(), ToString::to_string);
        assert_eq!(built_in, &expected, "{key}");
        // "200ms to 30s" in both.
        let words: Vec<&str> = row.meaning.split([' ', ',', ';']).collect();
        for range in
            words.windows(3).filter(|words| words[1] == "to" && words[0].starts_with(|c: char| c.is_ascii_digit()))
        {
            assert!(meaning.contains(&range.join(" ")), "{key}: {} is not in {meaning}", range.join(" "));
        }
    }
}

#[test]
fn the_documentation_names_every_option() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let help = said(&["--help"], &[]).out;
    let options = help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split_whitespace().next());
    let named: Vec<&str> = options.filter(|option| !["version", "help,"].contains(option)).collect();
    assert_eq!(named.len(), 9);
    for option in named {
        assert!(text.contains(&format!("`--{option}")), "--{option}");
    }
}
