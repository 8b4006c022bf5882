//! What README.md and docs/ say is there is there: links, commands, options, settings, folders, variables, fields.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use spot_guard::config;
use stand_ins::folder::Folder;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spot-guard");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page, as its path and text.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let top = ["README.md", "CHANGELOG.md"].map(|name| root().join(name));
    top.into_iter().chain(docs).map(|path| (path.clone(), read(path))).collect()
}

/// What stands between `open` and `close`, each time.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| Some(rest.split_once(close)?.0)).collect()
}

/// The part of a page below a heading.
fn below<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, part) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    part.split("\n## ").next().unwrap()
}

/// What the first column of the tables names in code.
fn first_column(text: &str) -> BTreeSet<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_./".contains(c))).map(|word| word.trim_end_matches('.'))
}

/// The headings of a page as links name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-'].contains(c);
    titles.map(|title| title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    for (page, text) in pages() {
        for link in between(&text, "](", ")").into_iter().filter(|link| !link.starts_with("https://")) {
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            let Some(heading) = heading else { continue };
            assert!(anchors(&read(target)).contains(heading), "{}: {link}", page.display());
        }
    }
}

#[test]
fn every_path_of_the_sources_is_there() {
    for (page, text) in pages() {
        let paths =
            words(&text).filter(|word| ["src/", "tests/", "docs/", "packaging/"].iter().any(|d| word.starts_with(d)));
        for path in paths.filter(|path| !text.contains(&format!("{path}*"))) {
            assert!(root().join(path).exists(), "{}: {path}", page.display());
        }
    }
}

#[test]
fn every_make_target_and_every_option_is_there() {
    let makefile = read("Makefile");
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let own = |line: &&str| line.contains("spot-guard run") || line.starts_with("    --");
    for (page, text) in pages() {
        for target in text.split("`make ").chain(text.split("\nmake ")).chain(text.split("sudo make ")).skip(1) {
            let target: String = target.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            assert!(target.is_empty() || makefile.contains(&format!("\n{target}: ")), "{}: {target}", page.display());
        }
        for option in text.lines().filter(own).flat_map(words).filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("  {option} ")), "{}: {option}", page.display());
        }
    }
}

#[test]
fn every_example_of_settings_can_be_used_and_every_setting_named_is_one() {
    let folder = Folder::new("documentation");
    // Fields may be called as settings are.
    let fields = first_column(&read("docs/files.md"));
    let tables: BTreeSet<&str> = config::schema::SCHEMA.iter().map(|row| row.table).collect();
    for (page, text) in pages() {
        for (number, example) in between(&text, "```toml\n", "```").into_iter().enumerate() {
            let path = folder.path().join(format!("{number}.toml"));
            fs::write(&path, example).unwrap();
            assert!(config::check_file(&path).is_empty(), "{}: {:?}", page.display(), config::check_file(&path));
        }
        for code in text.split('`').skip(1).step_by(2).map(|code| code.split(" = ").next().unwrap_or_default()) {
            let Some((table, key)) =
                code.split_once('.').filter(|(table, _)| tables.contains(table) && !fields.contains(code))
            else {
                continue;
            };
            let known =
                tables.contains(code) || config::schema::SCHEMA.iter().any(|row| row.table == table && row.key == key);
            assert!(known || code.ends_with(".rs"), "{}: {code}", page.display());
        }
    }
}

#[test]
fn every_folder_named_is_one_that_is_used() {
    let folders = config::built_in().folders;
    let text = |path: &Path| path.display().to_string();
    let in_runtime = ["", "status.json", "lock", "control.sock"].map(|name| text(&folders.runtime.join(name)));
    let whole = [&[text(&folders.state), text(&folders.runtime)], &in_runtime[..]].concat();
    let records = text(&folders.state.join("responses/"));
    let hooks: Vec<String> = folders.hooks.iter().map(|path| text(path)).collect();
    let settings = read("src/config/places.rs");
    // Beside what the daemon knows: what is installed, among it the hooks that are off.
    let installed = read("Makefile");
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    for (page, text) in pages() {
        for path in words(&text).filter(|word| word.starts_with('/') && word.contains("/spot-guard")) {
            let is_settings = path
                .split_once("/config.")
                .is_some_and(|(place, file)| settings.contains(&place[1..]) && ["d/", "toml"].contains(&file));
            let is_below = |folder: &String| path == folder || path.starts_with(&format!("{folder}/"));
            let is_used =
                whole.iter().any(|one| one == path) || path.starts_with(&records) || hooks.iter().any(is_below);
            // All that is below it, when spot-guard is taken away.
            let is_above = hooks.iter().any(|folder| folder.starts_with(&format!("{path}/")));
            // What a user puts there for settings to name.
            let is_of_webhook = path.starts_with("/etc/spot-guard/webhook");
            let folder = format!("{}/", path.trim_end_matches('/'));
            let is_or_holds = |word: &str| word == path || word.starts_with(&folder);
            let is_installed = installed.split([' ', '\n', ')']).any(is_or_holds)
                || path.strip_prefix("/usr/lib/spot-guard/").is_some_and(|name| packaging.join(name).exists());
            let is_shared = path
                .strip_prefix("/usr/share")
                .is_some_and(|rest| installed.split([' ', '\n', ')']).any(|word| word.starts_with(rest)));
            // What a user puts there to say what is enabled.
            let is_preset = path.starts_with("/etc/systemd/system-preset/");
            // In a folder of node_exporter's.
            let is_of_metrics = path.ends_with("/spot-guard.prom");
            let is_known = is_used
                || is_settings
                || is_installed
                || is_of_webhook
                || is_of_metrics
                || is_above
                || is_shared
                || is_preset;
            assert!(is_known, "{}: {path}", page.display());
        }
    }
}

fn respond(guard: &Guard, imds: &Imds) -> Value {
    guard.expect("IMDS is polled", Duration::from_secs(20), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    imds.interrupt("terminate", Duration::from_secs(20));
    guard.wait_done(Duration::from_secs(25))
}

#[test]
fn the_variables_that_docs_name_are_those_that_hooks_get() {
    let imds = Imds::on_loopback();
    let phases = ["notice", "during", "pre-drain", "local-drain", "post-drain"];
    let mut setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
    for phase in phases {
        setup = setup.hook(phase, "10-tell", "env >$OUT/$1");
    }
    let guard = setup.start();
    let record = respond(&guard, &imds);

    let documented = first_column(below(&read("docs/hooks.md"), "## What a hook is told"));
    for phase in phases {
        let told = fs::read_to_string(guard.out().join(phase)).unwrap_or_else(|_| panic!("no {phase}: {record:#}"));
        let told = told.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned());
        // What a shell adds by itself.
        let told: BTreeSet<String> =
            told.filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str())).collect();
        let mut expected = documented.clone();
        if phase != "local-drain" {
            expected.remove("SPOT_GUARD_POD_UIDS");
            expected.remove("SPOT_GUARD_LOCAL_AFTER");
        }
        assert_eq!(told, expected, "{phase}");
    }
    for (page, text) in pages() {
        for word in words(&text).filter(|word| word.starts_with("SPOT_GUARD_")) {
            let other = ["SPOT_GUARD_CONFIG_", "SPOT_GUARD_TEST_"].iter().any(|start| word.starts_with(start));
            assert!(other || documented.contains(word), "{}: {word}", page.display());
        }
    }
}

/// The paths of all values: `pods[].uid`.
fn paths(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let dot = if path.is_empty() { "" } else { "." };
            fields.iter().for_each(|(key, value)| paths(value, &format!("{path}{dot}{key}"), into));
        }
        Value::Array(values) if values.first().is_some_and(Value::is_object) => {
            values.iter().for_each(|value| paths(value, &format!("{path}[]"), into));
        }
        _ => drop(into.insert(path.to_owned())),
    }
}

/// Each field is named, itself or what it is in; and each name is a field or holds some.
fn assert_same_fields(seen: &Value, documented: &BTreeSet<String>) {
    let mut fields = BTreeSet::new();
    paths(seen, "", &mut fields);
    let covers = |name: &str, field: &str| {
        field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    for field in &fields {
        assert!(documented.iter().any(|name| covers(name, field)), "{field} is not documented");
    }
    for name in documented {
        assert!(fields.iter().any(|field| covers(name, field)), "{name} is not in {seen:#}");
    }
}

#[test]
fn the_record_the_status_and_the_node_have_what_docs_name() {
    let world = World::on_stand_in("documentation", &[PodSpec::new("web-0").grace(5)]);
    let setup = world.setup(PROGRAM).config("[webhook]\nurl = \"http://127.0.0.1:9/\"");
    let guard = world.start(setup.hook("pre-drain", "10-fails", "exit 1"));
    world.interrupt(&guard, 20);
    let record = guard.wait_done(Duration::from_secs(25));
    let page = read("docs/files.md");
    assert_same_fields(&record, &first_column(below(&page, "## The record")));
    assert_same_fields(&guard.status().unwrap(), &first_column(below(&page, "## The status")));

    let on_node = first_column(below(&page, "## On the Node"));
    let reasons = || -> BTreeSet<String> {
        let events = world.cluster.events(&world.node);
        events.iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    };
    guard.expect("the last event", Duration::from_secs(10), || reasons().contains("DrainFinished").then_some(()));
    assert!(reasons().contains("HookFailed"), "{:?}", reasons());
    for reason in reasons() {
        assert!(on_node.contains(&reason), "event {reason} is not documented");
    }
    let node = world.cluster.node(&world.node);
    for (label, value) in node["metadata"]["labels"].as_object().into_iter().flatten() {
        let documented = on_node.contains(&format!("{label}={}", value.as_str().unwrap()));
        assert!(documented || !label.contains("exclude"), "{label} is not documented");
    }
    for name in node["metadata"]["annotations"].as_object().into_iter().flatten().map(|(name, _)| name) {
        assert!(on_node.contains(name) || !name.contains("spot-guard"), "{name} is not documented");
    }
}

#[test]
fn every_check_is_documented_and_nothing_else() {
    let documented = first_column(below(&read("docs/check.md"), "## The checks"));
    assert_eq!(documented, spot_guard::check::ALL.map(str::to_owned).into());
}

#[test]
fn the_plan_of_a_rehearsal_has_what_docs_name() {
    let world = World::on_stand_in("plan", &[PodSpec::new("web-0"), PodSpec::new("agent-0").daemon_set()]);
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-runs", "true").hook("pre-drain", "20-open", "true");
    let open = setup.folder().join("hooks/pre-drain.d/20-open");
    fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    let output = setup.output(&["rehearse", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_same_fields(&plan, &first_column(below(&read("docs/rehearse.md"), "## The object")));
}

#[test]
fn the_placeholders_that_docs_name_are_those_of_templates() {
    let documented = first_column(below(&read("docs/webhook.md"), "## The body"));
    let known = config::template::TEXTS.into_iter().chain(config::template::NUMBERS).map(str::to_owned).collect();
    assert_eq!(documented, known);
}
