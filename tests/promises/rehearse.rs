//! A rehearsal says what a notice would do, changes nothing, and what is done afterwards is what it said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use stand_ins::cluster::Audited;
use stand_ins::folder::Folder;
use stand_ins::guard::Setup;
use stand_ins::imds::Imds;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::skip::skip;
use stand_ins::wait::expect;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// From the notice to the deadline, in seconds.
const WINDOW: u64 = 30;

/// What it printed, and its exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

/// The plan, and the exit code.
fn plan(setup: &Setup, options: &[&str]) -> (Value, Option<i32>) {
    let (text, code) = said(&setup.output(&[&["rehearse", "--json"], options].concat()));
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), code)
}

/// What could have changed something. What asks who it is does not, and knows no dry run.
fn writes(world: &World) -> Vec<Audited> {
    let all = world.audit().into_iter();
    all.filter(|request| {
        !matches!(request.verb.as_str(), "get" | "list" | "watch") && request.resource != "selfsubjectreviews"
    })
    .collect()
}

fn assert_all_were_dry_runs(world: &World) {
    let wet: Vec<Audited> = writes(world).into_iter().filter(|request| !request.uri.contains("?dryRun=All")).collect();
    assert!(wet.is_empty(), "{wet:#?}");
}

/// The files in it and below, with their contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

fn assert_nothing_was_written(setup: &Setup) {
    for folder in ["state", "run", "out"] {
        assert_eq!(files(&setup.folder().join(folder)), [], "{folder}");
    }
}

/// Some that go at once or take long, one critical, one behind a closed budget, one whose grace does not fit, one in a
/// namespace that lets nobody be evicted, two that stay.
fn world(purpose: &str) -> World {
    let web = PodSpec::many("web", 3).into_iter().map(|pod| pod.grace(5));
    let others = [
        PodSpec::new("slow-0").grace(12).stops_in(6.0),
        PodSpec::new("db-0").grace(8),
        PodSpec::new("dns-0").grace(5).critical(),
        PodSpec::new("long-0").grace(300).stops_in(400.0),
        PodSpec::new("agent-0").daemon_set(),
        PodSpec::new("static-0").mirror(),
    ];
    let world = World::new(purpose, &web.chain(others).collect::<Vec<_>>());
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let closed = world.cluster.make_namespace_without_evictions(&world.node);
    world.cluster.make_pod(&closed, &PodSpec::new("closed-0").grace(5));
    world.cluster.refuse_evictions(&closed, "closed-0");
    world
}

fn setup(world: &World) -> Setup {
    let setup = world.setup(PROGRAM).config("[hooks]\ntimeout = \"2s\"");
    let setup = ["notice", "during", "post-drain"].iter().fold(setup, |setup, phase| setup.hook(phase, "10-x", "true"));
    setup.hook("pre-drain", "20-b", "true").hook("pre-drain", "10-a", "true").hook("pre-drain", "30-open", "true")
}

fn make_writable(setup: &Setup) {
    let file = setup.folder().join("hooks/pre-drain.d/30-open");
    fs::set_permissions(file, fs::Permissions::from_mode(0o777)).unwrap();
}

fn names(pods: &Value, wanted: impl Fn(&Value) -> bool) -> Vec<&str> {
    let pods = pods.as_array().into_iter().flatten().filter(|pod| wanted(pod));
    let mut names: Vec<&str> = pods.filter_map(|pod| pod["name"].as_str()).collect();
    names.sort_unstable();
    names
}

fn assert_plan(plan: &Value) {
    assert_eq!(names(&plan["stay"], |_| true), ["agent-0", "static-0"], "{plan:#}");
    assert_eq!(names(&plan["pods"], |pod| pod["forced"] == true), ["closed-0", "db-0"], "{plan:#}");
    assert_eq!(names(&plan["pods"], |pod| pod["outcome"] == "killed"), ["long-0"], "{plan:#}");
    assert_eq!((&plan["graceful"], &plan["left"]), (&7.into(), &0.into()), "{plan:#}");
    // 2 s before the deadline less the grace, less what asking takes.
    let db = record::pod(plan, "db-0");
    assert_eq!(db["force_time_seconds"], 19.8);
    let asked = db["asked_seconds"].as_f64().unwrap();
    assert!((19.8..21.0).contains(&asked), "{db:#}");
    assert!(db["reason"].as_str().unwrap().contains("disruption budget"), "{db:#}");
    // Two hooks of 2 s go before.
    let web = record::pod(plan, "web-0")["asked_seconds"].as_f64().unwrap();
    assert!((4.0..6.0).contains(&web), "{plan:#}");
    let long = record::pod(plan, "long-0");
    assert_eq!((&long["force_time_seconds"], &long["grace_seconds"]), (&Value::Null, &300.into()));
    let refused: Vec<&Value> = plan["hooks_refused"].as_array().unwrap().iter().collect();
    assert_eq!(refused.len(), 1, "{plan:#}");
    assert!(refused[0].to_string().contains("chmod go-w"), "{plan:#}");
}

/// The hooks in the order in which they start.
fn hooks(plan: &Value) -> Vec<String> {
    let mut all: Vec<&Value> = plan["hooks"].as_array().unwrap().iter().collect();
    all.sort_by(|a, b| a["starts_seconds"].as_f64().partial_cmp(&b["starts_seconds"].as_f64()).unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.into_iter().map(|hook| format!("{}/{}", text(&hook["phase"]), text(&hook["name"]))).collect()
}

/// What was done is what was said, and nothing took longer than at worst.
fn assert_same(plan: &Value, record: &Value) {
    assert_eq!(plan["pods"].as_array().map(Vec::len), record["pods"].as_array().map(Vec::len));
    for said in plan["pods"].as_array().unwrap() {
        let done = record::pod(record, said["name"].as_str().unwrap());
        for field in ["uid", "outcome", "forced", "priority"] {
            assert_eq!(said[field], done[field], "{field}: {said:#} {done:#}");
        }
        // A busy kubelet's word takes a while.
        let (worst, gone) = (said["gone_seconds"].as_f64().unwrap(), record::since_notice(record, &done["gone_at"]));
        assert!(gone < worst + 3.0, "gone after {gone} s: {said:#}");
    }
    let mut done = record::hooks(record);
    let mut said = hooks(plan);
    // The first three begin together.
    done[..3].sort_unstable();
    said[..3].sort_unstable();
    assert_eq!(said, done);
}

#[test]
fn what_is_rehearsed_changes_nothing_and_is_what_is_done_afterwards() {
    let world = world("rehearsed");
    let setup = setup(&world);
    make_writable(&setup);
    let window = format!("{WINDOW}s");
    let (plan, code) = plan(&setup, &["--window", &window]);
    assert_plan(&plan);
    assert_eq!(code, Some(1), "long-0 would be cut");
    assert_all_were_dry_runs(&world);
    for (what, name, code) in [
        ("patch nodes", world.node.name.as_str(), 200),
        ("create pods/eviction", "web-0", 201),
        ("create pods/eviction", "db-0", 429),
        ("delete pods", "db-0", 200),
        ("create pods/eviction", "closed-0", 403),
        ("delete pods", "closed-0", 200),
    ] {
        let asked = writes(&world).into_iter().any(|r| r.what() == what && r.name == name && r.code == code);
        assert!(asked, "{what} {name} was not answered with {code}: {:#?}", writes(&world));
    }
    // A budget that is closed is not asked again and again.
    let asked = writes(&world).into_iter().filter(|r| r.what() == "create pods/eviction" && r.name == "db-0").count();
    assert_eq!(asked, 1);
    assert_nothing_was_written(&setup);
    assert_eq!(world.cluster.pods(&world.node).len(), 10);

    let guard = world.start(setup);
    world.interrupt(&guard, WINDOW);
    let record = guard.wait_done(seconds(WINDOW + 20));
    assert_same(&plan, &record);
}

#[test]
fn the_plan_for_a_person_fits_80_columns_and_ends_with_the_verdict() {
    let world = world("told");
    let setup = setup(&world);
    make_writable(&setup);
    let (text, code) = said(&setup.output(&["rehearse", "--window", "30s"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "notice spot interruption (terminate), 30 s to the deadline",
        "hook pre-drain.d/10-a, until +2.0 s at worst",
        "node cordoned, out of load balancers",
        "8 pods to stop, 2 stay (1 DaemonSet, 1 static)",
        "cut: its grace period of 300 s does not fit: ",
        "not run pre-drain.d/30-open: ",
    ] {
        assert!(joined.contains(part), "{part}: {text}");
    }
    let namespace = &world.node.namespace;
    let verdict = format!(
        "7 pods would stop gracefully (2 of them forced past a budget), 1 would be cut: {namespace}/long-0; the drain \
         would end at the latest 2 s before the deadline"
    );
    assert!(joined.ends_with(&verdict), "{text}");
}

#[test]
fn beside_a_daemon_nothing_is_written_and_the_daemon_goes_on() {
    let world = World::new("beside", &PodSpec::many("web", 3));
    let guard = world.start(world.setup(PROGRAM));
    let (text, code) = said(&guard.output(&["rehearse"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3 pods would stop gracefully; the drain would end at the latest"), "{text}");
    assert_all_were_dry_runs(&world);
    assert_eq!(guard.count_responses(), 0);

    world.interrupt(&guard, 20);
    let record = guard.wait_done(seconds(30));
    assert_eq!(record::count(&record, "graceful"), 3, "{record:#}");
}

/// Who is not root may read this kubeconfig, and write nothing.
#[test]
fn whoever_may_read_the_kubeconfig_may_rehearse() {
    if !geteuid().is_root() {
        return skip("only root can become somebody else");
    }
    let world = World::new("nobody", &[PodSpec::new("web-0")]);
    let folder = Folder::new("nobody");
    let binary = folder.path().join("spot-guard");
    fs::copy(std::env::var("SPOT_GUARD_TEST_BINARY").unwrap_or(PROGRAM.to_owned()), &binary).unwrap();
    let program = folder.path().join("as-nobody");
    let script =
        format!("#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups {} \"$@\"\n", binary.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-x", "true").program(&program.display().to_string());
    for folder in [folder.path(), setup.folder()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let kubeconfig = [setup.folder().join("kubelet.conf"), fs::canonicalize(key(&setup)).unwrap()];
    kubeconfig.iter().for_each(|file| std::os::unix::fs::chown(file, Some(65534), None).unwrap());
    let output = setup.output(&["rehearse"]);
    let (text, code) = said(&output);
    assert_eq!(code, Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("hook pre-drain.d/10-x"), "{text}");
    assert!(text.contains("1 pod would stop gracefully; the drain would end"), "{text}");
    assert_nothing_was_written(&setup);
}

fn key(setup: &Setup) -> PathBuf {
    setup.folder().join("pki/kubelet-client-current.pem")
}

/// Hooks of all phases that say what they are told.
fn with_hooks(setup: Setup) -> Setup {
    let tell = "echo \"$1 rehearsal=$SPOT_GUARD_REHEARSAL left=$SPOT_GUARD_SECONDS_LEFT\" >>$OUT/told";
    let setup =
        ["notice", "pre-drain", "post-drain"].iter().fold(setup, |setup, phase| setup.hook(phase, "10-tell", tell));
    setup.hook("during", "10-tell", &format!("{tell}\nexec sleep 600"))
}

fn told(setup: &Setup) -> Vec<String> {
    let text = fs::read_to_string(setup.out().join("told")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn hooks_are_run_where_that_is_wanted_and_know_that_it_is_a_rehearsal() {
    let world = World::new("hooks", &[PodSpec::new("web-0").grace(60)]);
    let setup = with_hooks(world.setup(PROGRAM));
    let (_, code) = plan(&setup, &[]);
    assert_eq!((code, told(&setup)), (Some(0), Vec::new()));

    let (plan, code) = plan(&setup, &["--run-hooks"]);
    assert_eq!(code, Some(0), "{plan:#}");
    let lines = told(&setup);
    let phases: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(phases, ["during", "notice", "post-drain", "pre-drain"], "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(" rehearsal=1 ")), "{lines:?}");
    // Post-drain comes when the pod's grace is over; that time was jumped over.
    let left: u64 = lines[2].rsplit('=').next().unwrap().parse().unwrap();
    assert!((40..60).contains(&left), "{lines:?}");
    let pre_drain = plan["hooks"].as_array().unwrap().iter().find(|hook| hook["phase"] == "pre-drain").unwrap();
    assert!(pre_drain["ends_seconds"].as_f64().unwrap() < 25.0, "it took what it took: {plan:#}");
    assert_all_were_dry_runs(&world);
}

/// The hook that comes with spot-guard stops containers; a rehearsal must not.
#[test]
fn the_shipped_local_drain_stops_nothing_in_a_rehearsal() {
    let imds = Imds::on_loopback();
    let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/hooks/local-drain.d/50-containers");
    let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes().hook_file("local-drain", &hook);
    let (text, code) = said(&setup.output(&["rehearse", "--run-hooks"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\n              a rehearsal: nothing is stopped\n"), "{text}");
}

/// In the middle of a rehearsal with hooks that would outlive it.
#[test]
fn a_rehearsal_that_is_interrupted_ends_its_hooks() {
    let imds = Imds::on_loopback();
    let long = "echo $$ >$OUT/pid.new; mv $OUT/pid.new $OUT/pid; exec sleep 600";
    let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes().hook("notice", "10-long", long);
    let child = setup.spawn(&["rehearse", "--run-hooks"]);
    let pid = expect("the hook runs", seconds(20), || fs::read_to_string(setup.out().join("pid")).ok());
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("the rehearsal was interrupted"), "{told}");
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the hook lives on");
}

/// It is not waited for until the deadline, and what a response would then do is part of the plan.
#[test]
fn an_api_server_that_falls_silent_in_the_middle_ends_no_rehearsal() {
    let world = World::on_stand_in("silent", &PodSpec::many("web", 3));
    let log = world.cluster.clone();
    let node = world.node.clone();
    world.faults.hang_when(move || log.audit_of(&node).iter().any(|request| request.what() == "create pods/eviction"));
    let setup = world.setup(PROGRAM).hook("local-drain", "50-stop", "true");
    let (plan, code) = plan(&setup, &[]);
    assert_eq!(code, Some(1), "{plan:#}");
    assert!(plan["errors"].to_string().contains("the API server answers no more"), "{plan:#}");
    assert!(hooks(&plan).contains(&"local-drain/50-stop".to_owned()), "{plan:#}");
    let locally = names(&plan["pods"], |pod| !pod["locally_seconds"].is_null());
    assert!(!locally.is_empty(), "{plan:#}");
}

#[test]
fn a_kind_that_is_only_observed_does_nothing() {
    let world = World::new("observed", &[PodSpec::new("web-0")]);
    let setup = with_hooks(world.setup(PROGRAM));
    let (plan, code) = plan(&setup, &["--notice", "rebalance-recommendation"]);
    assert_eq!((code, &plan["response"]), (Some(0), &"observe".into()));
    assert_eq!(hooks(&plan), ["notice/10-tell"]);
    let verdict = plan["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("nothing would be done but the hooks of notice.d: responses.reb"), "{verdict}");
    assert!(writes(&world).iter().all(|request| !request.what().contains("pods")), "{:#?}", writes(&world));
    assert_all_were_dry_runs(&world);
}

/// Each dry run is answered as if it were the only one.
#[test]
fn pods_of_one_budget_wait_for_each_other_where_budgets_may_be_read() {
    let world = World::new("shared", &PodSpec::many("api", 3));
    world.cluster.make_budget(&world.node, "api", "api", 2, 3);
    let setup = world.setup(PROGRAM);
    let forced = |plan: &Value| names(&plan["pods"], |pod| pod["forced"] == true).len();
    let (as_kubelet, _) = plan(&setup, &[]);
    assert_eq!((forced(&as_kubelet), &as_kubelet["budgets_known"]), (0, &false.into()), "{as_kubelet:#}");
    assert!(as_kubelet["notes"].to_string().contains("pods that share one may be let go later"), "{as_kubelet:#}");

    let kubeconfig = world.kubeconfigs(&setup).administrator();
    let setup = world.setup_without_cluster(PROGRAM).kubeconfig(&kubeconfig);
    let setup = setup.argument("--node-name").argument(&world.node.name);
    let (as_administrator, code) = plan(&setup, &[]);
    assert_eq!((forced(&as_administrator), code), (2, Some(0)), "{as_administrator:#}");
    assert_eq!(as_administrator["notes"], serde_json::json!([]));
}

#[test]
fn without_a_cluster_the_hooks_are_rehearsed() {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
    let setup = setup.hook("local-drain", "10-x", "true").hook("post-drain", "10-x", "true");
    let (plan, code) = plan(&setup, &[]);
    assert_eq!(code, Some(0), "{plan:#}");
    assert_eq!(hooks(&plan), ["local-drain/10-x", "post-drain/10-x"], "{plan:#}");
    assert!(plan["verdict"].as_str().unwrap().starts_with("no cluster: 2 hooks would run; "), "{plan:#}");
    assert_nothing_was_written(&setup);
}

#[test]
fn a_node_that_is_another_instances_is_no_machine_without_a_cluster() {
    let world = World::new("others", &[PodSpec::new("web-0")]);
    world.imds.become_instance("i-0ffffffffffffffff");
    let setup = world.setup(PROGRAM);
    let (text, code) = said(&setup.output(&["rehearse"]));
    assert!(code == Some(1) && !text.contains("no cluster"), "{code:?}\n{text}");
    let head = format!("node     node {} is another instance's", world.node.name);
    assert!(text.contains(&head) && text.contains("\nthe node is another instance's, so no pod of it"), "{text}");
}

#[test]
fn credentials_that_are_no_nodes_are_no_silence_of_the_api_server() {
    let world = World::new("person", &[]);
    let setup = world.setup(PROGRAM);
    let person = world.cluster.authority().client("somebody", "system:masters", seconds(3600));
    world.kubeconfigs(&setup).rotate(&person);
    let (text, code) = said(&setup.output(&["rehearse"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("node     the cluster is not ready: ") && text.contains("which is no node"), "{text}");
}

#[test]
fn without_an_api_server_it_says_what_would_be_done_locally() {
    let world = World::on_stand_in("away", &[PodSpec::new("web-0")]);
    world.faults.refuse();
    let setup = world.setup(PROGRAM);
    let (bare, code) = plan(&setup, &[]);
    assert_eq!(code, Some(1), "{bare:#}");
    assert!(bare["verdict"].as_str().unwrap().contains("no pod would be stopped"), "{bare:#}");

    let setup = setup.hook("local-drain", "50-stop", "true");
    let (local, code) = plan(&setup, &[]);
    assert_eq!(code, Some(1), "{local:#}");
    assert!(local["verdict"].as_str().unwrap().contains("local-drain.d would stop each"), "{local:#}");
    assert_eq!(hooks(&local), ["local-drain/50-stop"]);
}

/// A budget that is never passed over: what it holds would be left.
#[test]
fn a_pod_that_nothing_lets_go_would_be_left() {
    let world = World::new("held", &[PodSpec::new("db-0"), PodSpec::new("web-0")]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let setup = world.setup(PROGRAM);
    let (plan, code) = plan(&setup, &["--notice", "by-hand", "--window", "1m"]);
    assert_eq!(code, Some(1), "{plan:#}");
    assert_eq!(names(&plan["pods"], |pod| pod["outcome"] == "left"), ["db-0"], "{plan:#}");
    let verdict = plan["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("1 pod would stop gracefully, 1 would be left: "), "{verdict}");
    assert!(verdict.ends_with("; not all would be seen to be gone before the deadline"), "{verdict}");
}

#[test]
fn wrong_usage_is_2_and_nothing_is_asked() {
    let world = World::on_stand_in("wrong", &[]);
    let setup = world.setup(PROGRAM);
    for (options, why) in [
        (&["--notice", "spot"][..], "--notice is \"spot\"; it must be one of"),
        (&["--window", "2"], "--window is \"2\"; it needs a unit"),
        (&["--notice", "rebalance-recommendation", "--window", "2m"], "a rebalance recommendation names no end"),
    ] {
        let output = setup.output(&[&["rehearse"], options].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(why), "{told}");
    }
    assert!(world.audit().is_empty());
}
