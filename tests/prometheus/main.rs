//! What is shipped for Prometheus and Grafana is true to the metrics that the daemon writes, and a real Prometheus reads
//! them by way of a real node_exporter.
//!
//! `SPOT_GUARD_TEST_PROMETHEUS` names the folder of their programs (tests/prometheus/programs).
#![forbid(unsafe_code)]

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use server::{Exporter, Prometheus};
use spot_guard::observe::metrics::METRICS;
use stand_ins::folder::Folder;
use stand_ins::guard::Guard;
use stand_ins::metrics::Metrics;
use stand_ins::pods::PodSpec;
use stand_ins::skip::skip;
use stand_ins::world::World;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spot-guard");
const RULES: &str = "packaging/prometheus/spot-guard.rules.yml";
const RULES_TEST: &str = "packaging/prometheus/spot-guard.rules.test.yml";
const DASHBOARD: &str = "packaging/grafana/spot-guard.json";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Where the programs are; `None`, after having said so, where there are none.
fn programs() -> Option<PathBuf> {
    let folder = std::env::var_os("SPOT_GUARD_TEST_PROMETHEUS").map(PathBuf::from);
    if folder.is_none() {
        skip("Prometheus is not there (SPOT_GUARD_TEST_PROMETHEUS)");
    }
    folder
}

fn known() -> BTreeSet<String> {
    METRICS.iter().map(|metric| metric.name.to_owned()).collect()
}

/// The metrics of spot-guard's that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("spot_guard_")).map(str::to_owned).collect()
}

/// Each expression of the dashboard, with the panel that it is of.
fn dashboard() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let of = |panel: &Value| -> Vec<(String, String)> {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        targets.iter().map(|target| (text(&panel["title"]), text(&target["expr"]))).collect()
    };
    panels.iter().flat_map(of).collect()
}

#[test]
fn rules_dashboard_and_docs_name_the_metrics_that_there_are() {
    let expressions: String = dashboard().into_iter().map(|(_, expression)| expression + "\n").collect();
    for (place, text) in [("rules", read(RULES)), ("their tests", read(RULES_TEST)), ("dashboard", expressions.clone())]
    {
        let unknown: Vec<String> = named(&text).difference(&known()).cloned().collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
    }
    let used = &named(&read(RULES)) | &named(&expressions);
    assert_eq!(used, known(), "what nobody looks at is not worth a metric");

    let fleet = named(&read("docs/fleet.md"));
    assert!(fleet.is_subset(&known()), "docs/fleet.md: {:?}", fleet.difference(&known()));
    let page = read("docs/metrics.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `spot_guard_")).collect();
    let documented: Vec<&str> = rows.iter().filter_map(|row| row.split('`').nth(1)?.split('{').next()).collect();
    assert_eq!(documented.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), known());
    assert_eq!(documented.len(), known().len(), "once each");
    assert!(named(&page).is_subset(&known()), "{:?}", named(&page));
    for alert in read(RULES).lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(page.contains(&format!("| `{alert}` |")), "{alert} is not documented");
    }
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_to_do() {
    let rules = read(RULES);
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 8);
    for alert in alerts {
        for part in ["expr: ", "severity: ", "summary: ", "description: "] {
            assert_eq!(alert.matches(part).count(), 1, "{part}in {alert}");
        }
        let severity = alert.split("severity: ").nth(1).and_then(|rest| rest.lines().next());
        assert!(matches!(severity, Some("critical" | "warning" | "info")), "{alert}");
        assert!(read(RULES_TEST).contains(alert.lines().next().unwrap()), "no test of {alert}");
    }
}

#[test]
fn the_alerts_come_when_they_should_and_not_else() {
    let Some(programs) = programs() else { return };
    for arguments in [["check", "rules", RULES], ["test", "rules", RULES_TEST]] {
        let said = Command::new(programs.join("promtool")).args(arguments).current_dir(at("")).output().unwrap();
        assert!(said.status.success(), "{arguments:?}: {said:?}");
    }
}

/// What promtool has to say of these metrics.
fn assert_sound(programs: &Path, state: &str, text: &str) -> Metrics {
    let folder = Folder::new("promtool");
    let file = folder.path().join("metrics");
    fs::write(&file, text).unwrap();
    let mut promtool = Command::new(programs.join("promtool"));
    let said = promtool.args(["check", "metrics"]).stdin(fs::File::open(&file).unwrap()).output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty() && said.stdout.is_empty(), "{state}: {said:?}\n{text}");
    Metrics::read(text)
}

/// What is written now, as soon as `wanted` holds of it.
fn written(guard: &Guard, file: &Path, state: &str, wanted: impl Fn(&Metrics) -> bool) -> String {
    guard.expect(state, seconds(40), || fs::read_to_string(file).ok().filter(|text| wanted(&Metrics::read(text))))
}

/// A world of three pods, one of which is held by its budget, and a daemon that writes its metrics.
fn drained(purpose: &str) -> (World, Guard, PathBuf) {
    let pods = [
        PodSpec::new("web-0").grace(8).stops_in(3.0),
        PodSpec::new("web-1").grace(8).stops_in(1.0),
        PodSpec::new("db-0").grace(3).stops_in(0.5),
    ];
    let world = World::new(purpose, &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-x", "sleep 1").hook("post-drain", "20-y", "exit 3");
    let file = setup.out().join("spot-guard.prom");
    let setup = setup.config(&format!("[metrics]\ntextfile = {:?}", file.display().to_string()));
    let guard = world.start(setup);
    (world, guard, file)
}

fn is(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> bool {
    metrics.get(name, labels) == Some(1.0)
}

#[test]
fn in_each_state_the_metrics_are_sound_and_all_of_them_come() {
    let Some(programs) = programs() else { return };
    let (world, mut guard, file) = drained("promtool");
    let phase =
        |phase: &'static str| move |metrics: &Metrics| is(metrics, "spot_guard_response_phase", &[("phase", phase)]);
    let mut seen = BTreeSet::new();
    let mut take = |state: &str, text: &str| {
        seen.extend(assert_sound(&programs, state, text).names().map(str::to_owned));
    };
    let watching = written(&guard, &file, "it watches", |metrics| is(metrics, "spot_guard_protected", &[]));
    take("watching", &watching);
    world.interrupt(&guard, 20);
    take("responding", &written(&guard, &file, "it drains", phase("drain")));
    take("done", &written(&guard, &file, "it is done", phase("done")));
    let shown = guard.output(&["status", "--metrics"]);
    take("status --metrics", &String::from_utf8(shown.stdout).unwrap());
    let counted = [("kind", "spot-interruption"), ("outcome", "complete")];
    let over = written(&guard, &file, "it is over", |metrics| is(metrics, "spot_guard_responses_total", &counted));
    take("over", &over);
    assert!(guard.stop(seconds(20)).success());
    take("ended", &fs::read_to_string(&file).unwrap());
    assert_eq!(seen, known());
}

#[test]
fn a_real_prometheus_reads_them_by_way_of_node_exporter_and_the_dashboard_asks_what_it_understands() {
    let Some(programs) = programs() else { return };
    let (world, guard, file) = drained("prometheus");
    let exporter = Exporter::start(&programs, file.parent().unwrap());
    let prometheus = Prometheus::start(&programs, &exporter, &at(RULES));
    let wait = |query: &str, value: f64| {
        guard.expect(&format!("{query} is {value}"), seconds(60), || (prometheus.value(query)? == value).then_some(()));
    };
    wait("spot_guard_protected", 1.0);
    wait("time() - node_textfile_mtime_seconds{file=~\".*spot-guard[.]prom\"} < bool 60", 1.0);
    assert_eq!(prometheus.value("node_textfile_scrape_error"), Some(0.0));
    world.interrupt(&guard, 25);
    wait(
        "sum by (instance_type) (spot_guard_notice_active{kind=\"spot-interruption\",availability_zone=\"eu-west-1a\"})",
        1.0,
    );
    wait("spot_guard_pods{outcome=\"graceful\"}", 3.0);
    wait("spot_guard_pods_forced", 1.0);
    wait("spot_guard_hook_exit_code{phase=\"post-drain\",hook=\"20-y\"}", 3.0);
    wait("spot_guard_notice_to_cordon_seconds < bool 20", 1.0);
    wait("count(ALERTS{alertname=\"SpotGuardHookFailed\"})", 1.0);
    wait("spot_guard_responses_total{kind=\"spot-interruption\",outcome=\"complete\"}", 1.0);
    for (panel, expression) in dashboard() {
        let filled = expression.replace("$instance", ".*").replace("$__range", "1h").replace("$__rate_interval", "1m");
        assert!(!filled.contains('$'), "{panel}: {filled}");
        prometheus.ask(&filled).unwrap_or_else(|error| panic!("{panel}: {error}\n{filled}"));
    }
    let page = read("docs/fleet.md");
    let section = page.split("\n## ").find(|part| part.starts_with("Over time")).unwrap();
    let examples: Vec<&str> = section.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 3);
    for example in examples {
        prometheus.ask(example).unwrap_or_else(|error| panic!("docs/fleet.md: {error}\n{example}"));
    }
    let share = dashboard().into_iter().find(|(panel, _)| panel == "Graceful share").unwrap().1;
    assert_eq!(prometheus.value(&share.replace("$instance", ".*").replace("$__range", "1h")), Some(1.0));
}
