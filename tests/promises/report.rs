//! A report tells what became of a response, from the records alone: as text, as the records themselves, as a page.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use nix::unistd::geteuid;
use serde_json::Value;
use stand_ins::guard::Setup;
use stand_ins::pods::PodSpec;
use stand_ins::skip::skip;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of what must have gone well.
fn told(output: &Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    text(&output.stdout)
}

fn assert_exit(output: &Output, code: i32, mentions: &str) {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.code() == Some(code) && said.contains(mentions), "{:?}\n{said}", output.status);
}

fn assert_mentions(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "no {word}\n{told}");
    }
}

/// Everything below a folder, with when it was changed and what it holds.
fn everything(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<(String, Vec<u8>)> = entries
        .map(|path| (format!("{path:?} {:?}", path.metadata().unwrap().modified()), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_drain_is_told_with_its_budget_its_silence_and_its_failed_hook_when_no_daemon_runs_any_more() {
    let pod = |name: &str| PodSpec::new(name).grace(5).stops_in(0.5);
    let world = World::new("report", &[pod("web-0"), pod("web-1"), pod("db-0"), PodSpec::new("cni-0").daemon_set()]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let hook = "echo '<script>alert(1)</script>'; exit 3";
    let mut guard = world.start(world.setup(PROGRAM).hook("pre-drain", "10-fails", hook));
    world.interrupt(&guard, 24);
    guard.wait_record("the budget has refused", seconds(15), |record| {
        record["pods"].as_array().unwrap().iter().any(|pod| !pod["refused_at"].is_null())
    });
    world.faults.hang();
    guard.wait_record("the silence", seconds(15), |record| !record["troubles"].as_array().unwrap().is_empty());
    world.faults.heal();
    let record = guard.wait_done(seconds(30));
    assert_eq!(record["troubles"][0]["with"], "api-server", "{record:#}");
    assert!(!record["troubles"][0]["ended_at"].is_null(), "{record:#}");
    guard.kill();

    let folder = guard.folder().join("state/responses");
    let before = everything(&folder);
    let as_text = told(&guard.output(&["report"]));
    assert_mentions(
        &as_text,
        &[
            " s  notice: spot interruption (terminate), ",
            " s  node cordoned, out of load balancers\n",
            "drain begins: 3 pods to stop, 1 stay (1 DaemonSet)\n",
            "2 pods asked to stop\n",
            "1 pod refused, asked again and again\n",
            "the API server was silent, for ",
            "1 pod forced past a budget\n",
            "web ×2 ",
            "░",
            "hook     pre-drain/10-fails exit 3, it said: <script>alert(1)</script>\n",
            "3 graceful (1 of them forced past a budget), 0 killed, 0 left\n",
        ],
    );
    let last = as_text.lines().last().unwrap();
    assert!(last.starts_with("All 3 pods stopped gracefully, ") && last.ends_with("; 1 hook failed"), "{last}");
    assert!(as_text.lines().all(|line| line.chars().count() <= 80), "{as_text}");

    let json: Value = serde_json::from_str(&told(&guard.output(&["report", "--json"]))).unwrap();
    assert_eq!(json, Value::Array(vec![record.clone()]));

    let page = told(&guard.output(&["report", "--html", "-"]));
    assert_mentions(&page, &["<!doctype html>", "&lt;script&gt;alert(1)&lt;/script&gt;", "db-0", "held by its budget"]);
    assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"), "{page}");
    let file = guard.out().join("report.html").display().to_string();
    assert_eq!(told(&guard.output(&["report", &format!("--html={file}"), record["id"].as_str().unwrap()])), "");
    assert_eq!(fs::read_to_string(file).unwrap(), page);
    assert_eq!(everything(&folder), before, "it only reads");
}

/// Records of three days, made of one of the corpus.
fn with_records(setup: &Setup) -> std::path::PathBuf {
    let folder = setup.folder().join("state/responses");
    fs::create_dir_all(&folder).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/record/response-2");
    let record: Value = serde_json::from_slice(&fs::read(corpus).unwrap()).unwrap();
    for day in ["20261121T203343Z", "20261122T203343Z", "20261122T213343Z"] {
        let mut record = record.clone();
        record["id"] = day.into();
        record["node"]["name"] = "n".repeat(100).into();
        fs::write(folder.join(format!("{day}.json")), record.to_string()).unwrap();
    }
    folder
}

#[test]
fn the_newest_is_told_in_full_and_the_others_in_a_line_unless_one_or_all_are_asked_for() {
    let setup = Setup::new(PROGRAM);
    with_records(&setup);
    let beginnings = |told: &str, id: &str| told.lines().filter(|line| line.starts_with(id)).count();
    let full = |told: &str| told.lines().filter(|line| line.ends_with("2 pods asked to stop")).count();
    for (arguments, ids, in_full) in [
        (vec!["report"], 3, 1),
        (vec!["report", "--all"], 3, 3),
        (vec!["report", "20261121T203343Z"], 1, 1),
        (vec!["report", "20261121"], 1, 1),
    ] {
        let told = told(&setup.output(&arguments));
        assert_eq!((beginnings(&told, "202611"), full(&told)), (ids, in_full), "{arguments:?}\n{told}");
    }
    let told_first = told(&setup.output(&["report"]));
    assert!(told_first.contains(&"n".repeat(100)), "only a terminal's width cuts a line\n{told_first}");
    assert!(told_first.starts_with("20261121T203343Z  spot interruption        complete, 1 graceful"), "{told_first}");
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&told(&setup.output(arguments))).unwrap() };
    assert_eq!(json(&["report", "--json"]).as_array().map(Vec::len), Some(3));
    assert_eq!(json(&["report", "--json", "20261122T21"])[0]["id"], "20261122T213343Z");
    let page = told(&setup.output(&["report", "--html", "-"]));
    assert_eq!((page.matches("<article").count(), page.contains("Other responses")), (1, true));

    assert_exit(&setup.output(&["report", "2025"]), 1, "there is no response \"2025\"");
    assert_exit(&setup.output(&["report", "20261122"]), 1, "2 responses begin with \"20261122\"; say more of its id");
    assert_exit(&setup.output(&["report", "--json", "--html", "-"]), 2, "either --json or --html");
    assert_exit(&setup.output(&["report", "--all", "2026"]), 2, "either an ID or --all");
    assert_exit(&setup.output(&["report", "--html", "/nowhere/at/all.html"]), 1, "cannot write /nowhere/at/all.html: ");
}

#[test]
fn without_a_record_or_with_a_broken_one_that_is_what_is_told() {
    let setup = Setup::new(PROGRAM);
    let nothing = format!("no response so far: there is no record in {}/state/responses\n", setup.folder().display());
    assert_eq!(told(&setup.output(&["report"])), nothing);
    assert_eq!(told(&setup.output(&["report", "--json"])), "[]\n");
    assert_exit(&setup.output(&["report", "--html", "-"]), 1, "no response so far");

    let folder = with_records(&setup);
    let broken = folder.join("20261122T203343Z.json");
    fs::write(&broken, "{\"version\":1,\n\"id\":\"\u{1b}[2J\"").unwrap();
    let output = setup.output(&["report"]);
    assert_exit(&output, 0, "/20261122T203343Z.json cannot be read: ");
    assert!(text(&output.stdout).contains("2 pods asked to stop"), "the sound ones are told: {output:?}");
    assert!(broken.exists(), "it is not for a reader to set it aside");
    for sound in ["20261121T203343Z", "20261122T213343Z"] {
        fs::remove_file(folder.join(format!("{sound}.json"))).unwrap();
    }
    let output = setup.output(&["report"]);
    assert_exit(&output, 1, "cannot be read");
    assert!(output.stdout.is_empty() && !output.stderr.contains(&0x1b), "{output:?}");
}

#[test]
fn a_folder_that_is_not_there_is_no_folder_without_records() {
    let setup = Setup::new(PROGRAM);
    fs::remove_dir(setup.folder().join("state")).unwrap();
    for options in [&["report"][..], &["report", "--json"]] {
        assert_exit(&setup.output(options), 1, "/state; --state-dir says where records are");
    }
}

#[test]
fn another_user_reads_what_may_be_read_and_is_told_what_to_do_where_it_may_not() {
    if !geteuid().is_root() {
        return skip("only root can be another user");
    }
    let setup = Setup::new(PROGRAM);
    let folder = with_records(&setup);
    fs::set_permissions(setup.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = setup.folder().join("spot-guard");
    fs::copy(std::env::var_os("SPOT_GUARD_TEST_BINARY").unwrap_or_else(|| PROGRAM.into()), &program).unwrap();
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
        command.args(["report", "--state-dir"]).arg(setup.folder().join("state")).output().expect("setpriv")
    };
    assert!(told(&as_nobody()).contains("2 pods asked to stop"));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    assert_exit(&as_nobody(), 1, "Permission denied (os error 13); run it as root, or on a copy of the folder");
}
