//! `spot-guard check` names what a response would lack, says what to do, changes nothing, and ends in time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Instant;

use serde_json::{Value, json};
use spot_guard::check::ALL;
use stand_ins::client::MERGE;
use stand_ins::disk::Disk;
use stand_ins::guard::Setup;
use stand_ins::imds::{Date, Fault};
use stand_ins::pods::PodSpec;
use stand_ins::skip::skip;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Every check ends by then; a busy machine is given as much again.
const LONGEST: u64 = 20;

/// A check, as a person sees it.
struct Seen {
    text: String,
    code: Option<i32>,
}

impl Seen {
    fn of(output: &Output) -> Seen {
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Seen { text: String::from_utf8(output.stdout.clone()).unwrap(), code: output.status.code() }
    }

    /// The word for a check, and all that is said of it, on one line.
    fn finding(&self, check: &str) -> (String, String) {
        let column = |line: &str, from: usize, to: usize| line.chars().skip(from).take(to - from).collect::<String>();
        let mut lines = self.text.lines().skip_while(|line| column(line, 0, 18).trim_end() != check);
        let first = lines.next().unwrap_or_else(|| panic!("no {check}:\n{}", self.text));
        let rest = lines.take_while(|line| line.starts_with("    "));
        let words: Vec<String> =
            [first].into_iter().chain(rest).map(|line| column(line, 27, 80).trim().to_owned()).collect();
        (column(first, 18, 27).trim_end().to_owned(), words.join(" "))
    }

    /// Asserts that this check came out so, with these words; and that the exit code is that of all of them.
    fn assert(&self, check: &str, result: &str, words: &str) {
        let (is, said) = self.finding(check);
        assert_eq!(is, result, "{check}\n{}", self.text);
        assert!(said.contains(words), "{check} does not say {words:?}\n{}", self.text);
        let has_failed = ALL.iter().any(|name| self.text.contains(&format!("{name:<18}failure ")));
        assert_eq!(self.code, Some(i32::from(has_failed)), "{}", self.text);
    }

    fn assert_skipped(&self, checks: &[&str], needs: &str) {
        checks.iter().for_each(|check| self.assert(check, "warning", &format!("skipped: needs {needs}")));
    }
}

fn check(setup: &Setup) -> Seen {
    let began = Instant::now();
    let seen = Seen::of(&setup.output(&["check"]));
    assert!(began.elapsed() < seconds(2 * LONGEST), "{:?}\n{}", began.elapsed(), seen.text);
    assert!(seen.text.lines().all(|line| line.chars().count() <= 80), "{}", seen.text);
    seen
}

/// A world in which nothing is wrong, and the setup for it.
fn world(purpose: &str, pods: &[PodSpec]) -> (World, Setup) {
    let world = World::new(purpose, pods);
    let setup = world.setup(PROGRAM).hook("local-drain", "50-stop", "touch $OUT/ran");
    (world, setup)
}

/// As [`world`], beside a stand-in that can be told what a real cluster cannot.
fn made_up(purpose: &str) -> (World, Setup) {
    let world = World::on_stand_in(purpose, &[]);
    let setup = world.setup(PROGRAM).hook("local-drain", "50-stop", "true");
    (world, setup)
}

fn assert_nothing_changed(world: &World) {
    for request in world.audit() {
        let writes = !matches!(request.verb.as_str(), "get" | "list" | "watch");
        let asks = request.resource.starts_with("selfsubject");
        assert!(!writes || asks || request.uri.contains("dryRun=All"), "{request:?}");
    }
    let node = world.cluster.node(&world.node);
    assert_eq!(node["spec"].get("unschedulable"), None);
    for pod in world.cluster.pods(&world.node) {
        assert_eq!(pod["metadata"].get("deletionTimestamp"), None, "{pod:#}");
    }
}

#[test]
fn where_all_is_well_every_check_says_so_beside_the_daemon_and_nothing_is_changed() {
    let pods = [PodSpec::new("web-0"), PodSpec::new("web-1").grace(60), PodSpec::new("cni-0").daemon_set()];
    let (world, setup) = world("check-well", &pods);
    let guard = world.start(setup);
    let seen = Seen::of(&guard.output(&["check"]));

    let names =
        seen.text.lines().filter(|line| !line.starts_with(' ')).map(|line| line.chars().take(18).collect::<String>());
    let names: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
    assert_eq!(names[..names.len() - 1], ALL, "{}", seen.text);
    for (check, words) in [
        ("settings", "config.toml"),
        ("metadata service", &format!("{}, m5.large in eu-west-1a, spot", world.imds.instance_id())),
        ("clock", "within 5 s"),
        ("kubeconfig", "kubelet.conf: client certificate, valid until 2"),
        ("API server", "v1."),
        ("node", &format!("{} is this instance", world.node.name)),
        (
            "permissions",
            "cordon, list pods, watch pods, evict, delete, mark pods as disrupted, label, condition, events",
        ),
        ("hooks", "1 in local-drain.d"),
        ("daemon", "pid "),
        ("state folder", "left"),
        ("others", "no other handler was seen"),
        ("pods", "2 to stop, 1 stay"),
    ] {
        seen.assert(check, "ok", words);
    }
    assert!(seen.text.ends_with(" warnings\n") || seen.text.ends_with(" warning\n"), "{}", seen.text);
    assert!(!guard.out().join("ran").exists(), "a hook has run");
    assert_nothing_changed(&world);
}

#[test]
fn a_script_finds_an_array_of_what_was_seen() {
    let (_world, setup) = world("check-json", &[PodSpec::new("web-0").bare()]);
    let output = setup.output(&["check", "--json"]);
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = found.iter().map(|one| one["check"].as_str().unwrap()).collect();
    assert_eq!(names, ALL);
    for one in &found {
        let keys: Vec<&String> = one.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["advice", "check", "result", "seen"], "{one:#}");
        assert!(["ok", "warning", "failure"].contains(&one["result"].as_str().unwrap()), "{one:#}");
        assert_eq!(one["advice"].is_null(), one["advice"].as_str().is_none(), "{one:#}");
    }
    let pods = found.iter().find(|one| one["check"] == "pods").unwrap();
    assert!(pods["seen"].as_str().unwrap().contains("/web-0: no controller"), "{pods:#}");
    // No daemon runs.
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_usage_is_neither_well_nor_failed() {
    assert_eq!(Setup::new(PROGRAM).output(&["check", "--everything"]).status.code(), Some(2));
}

#[test]
fn a_metadata_service_that_is_away_knows_no_tokens_or_has_another_time_is_told() {
    let (world, setup) = made_up("check-imds");
    world.imds.set_date(Date::Ahead(60));
    check(&setup).assert("clock", "warning", "behind the metadata service's");
    world.imds.set_date(Date::Ahead(-60));
    check(&setup).assert("clock", "warning", "ahead of the metadata service's");
    world.imds.set_date(Date::Absent);
    check(&setup).assert("clock", "ok", "not compared");

    world.imds.fault_at("api/token", Fault::Status(404));
    let seen = check(&setup);
    seen.assert("metadata service", "failure", "it is no IMDSv2");
    seen.assert_skipped(&["clock"], "the metadata service");
    // The rest goes on: the node's own provider id is not compared with anything.
    seen.assert("node", "warning", "which instance this is is not known");
    seen.assert("permissions", "ok", "evict");

    world.imds.heal();
    world.imds.fault(Fault::Hang);
    let seen = check(&setup);
    seen.assert("metadata service", "failure", "cannot read http://127.0.0.1");
    seen.assert("metadata service", "failure", "hop limit");
    world.imds.heal();
    check(&setup).assert("metadata service", "ok", "IMDSv2");
    check(&setup.environment("AWS_EC2_METADATA_DISABLED", "true")).assert("metadata service", "failure", "is true");
}

const AFTER_KUBECONFIG: [&str; 5] = ["API server", "node", "permissions", "others", "pods"];

#[test]
fn a_kubeconfig_that_is_missing_or_broken_or_has_expired_is_told() {
    let (world, setup) = made_up("check-kubeconfig");
    let none = setup.folder().join("none");
    let without = world.setup_without_cluster(PROGRAM).kubeconfig(&none);
    let seen = check(&without);
    seen.assert("kubeconfig", "warning", "there is none at");
    assert!(!seen.text.contains("API server  "), "{}", seen.text);
    let required = check(&without.config("[kubernetes]\nmode = \"required\""));
    required.assert("kubeconfig", "failure", "there is none at");
    required.assert_skipped(&AFTER_KUBECONFIG, "credentials");

    let kubeconfigs = world.kubeconfigs(&setup);
    let file = setup.folder().join("kubelet.conf");
    let sound = fs::read_to_string(&file).unwrap();
    fs::write(&file, "clusters: [").unwrap();
    let seen = check(&setup);
    seen.assert("kubeconfig", "failure", "it is not valid YAML");
    seen.assert_skipped(&AFTER_KUBECONFIG, "credentials");
    fs::write(&file, sound).unwrap();

    let user = format!("system:node:{}", world.node.name);
    kubeconfigs.rotate(&world.cluster.authority().client(&user, "system:nodes", seconds(0)));
    let seen = check(&setup);
    seen.assert("kubeconfig", "failure", "client certificate, expired at 2");
    kubeconfigs.rotate(&world.cluster.authority().client(&user, "system:nodes", seconds(600)));
    check(&setup).assert("kubeconfig", "warning", "client certificate, valid until 2");

    kubeconfigs.exec_plugin("client.authentication.k8s.io/v1", seconds(840));
    check(&setup).assert("kubeconfig", "ok", "kubelet.conf: get-token eks get-token, valid until 2");
    fs::write(setup.folder().join("get-token"), "#!/bin/sh\necho no token today >&2; exit 1\n").unwrap();
    let seen = check(&setup);
    seen.assert("kubeconfig", "failure", "no token today");
    fs::write(setup.folder().join("get-token"), "#!/bin/sh\nexec sleep 300\n").unwrap();
    check(&setup).assert("kubeconfig", "failure", "it took too long");
    seen.assert_skipped(&AFTER_KUBECONFIG, "credentials");
}

#[test]
fn an_api_server_that_refuses_or_hangs_is_told_and_what_needs_it_is_skipped() {
    let (world, setup) = world("check-away", &[]);
    let after = ["node", "permissions", "others", "pods"];
    world.faults.refuse();
    let seen = check(&setup);
    seen.assert("API server", "failure", &world.faults.server());
    seen.assert_skipped(&after, "the API server");
    world.faults.heal();
    world.faults.hang();
    let seen = check(&setup);
    seen.assert("API server", "failure", "no connection in time");
    seen.assert_skipped(&after, "the API server");
    world.faults.heal();
    check(&setup).assert("API server", "ok", "v1.");
}

#[test]
fn a_node_that_is_not_this_machines_is_told() {
    let (world, setup) = world("check-node", &[]);
    world.imds.become_instance("i-0ffffffffffffffff");
    check(&setup).assert("node", "failure", "this one is i-0ffffffffffffffff");
    let seen = check(&setup.argument("--node-name").argument("another"));
    seen.assert("node", "failure", "cannot read node another: the API server answered 40");
    seen.assert_skipped(&["permissions", "others", "pods"], "the node");
}

#[test]
fn taints_that_a_kubelet_may_not_set_are_told() {
    let (_world, setup) = world("check-taints", &[]);
    let seen = check(&setup.config("[kubernetes]\ntaints = [\"going=soon:NoSchedule\"]"));
    seen.assert("permissions", "warning", "patch nodes (taints)");
    seen.assert("permissions", "warning", "not allowed to modify taints");
}

#[test]
fn each_permission_that_a_role_lacks_is_told() {
    let (world, setup) = world("check-role", &[]);
    if world.cluster.api().is_some() {
        skip("the stand-in knows no roles; tests/really has a real API server");
        return;
    }
    let name = world.node.name.clone();
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let rules = |pods: &[&str]| {
        json!([
            rule("", &["nodes"], &["get", "patch"]),
            rule("", &["pods"], pods),
            rule("", &["pods/eviction"], &["create"]),
            rule("", &["pods/status", "nodes/status"], &["patch"])
        ])
    };
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = json!({"metadata": {"name": name}, "rules": rules(&["list", "watch"])});
    world.cluster.admin.post(roles, &role).ok();
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    });
    world.cluster.admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).ok();
    world.kubeconfigs(&setup).rotate(&world.cluster.authority().client(&name, "operators", seconds(86400)));
    let setup = setup.argument("--node-name").argument(&name);

    let expect = |result: &str, words: &str| {
        // The authorizer hears of a role a moment later.
        stand_ins::wait::expect("the role counts", seconds(20), || {
            let seen = check(&setup);
            let (is, said) = seen.finding("permissions");
            (is == result && said.contains(words)).then(|| seen.assert("permissions", result, words))
        });
    };
    expect("failure", "2 of 10 missing delete pods");
    let all = json!({"rules": rules(&["list", "watch", "delete"])});
    world.cluster.admin.patch(&format!("{roles}/{name}"), MERGE, &all).ok();
    expect("warning", "1 of 10 missing create events");
}

#[test]
fn a_hook_that_others_may_write_is_told_and_fails_an_image() {
    let setup = Setup::new(PROGRAM).without_kubernetes().hook("pre-drain", "10-nginx", "true");
    let hook = setup.folder().join("hooks/pre-drain.d/10-nginx");
    check(&setup).assert("hooks", "ok", "1 in pre-drain.d");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).unwrap();
    let seen = check(&setup);
    seen.assert("hooks", "warning", "pre-drain.d/10-nginx is writable by others");
    seen.assert("hooks", "warning", "chmod go-w");
    let image = Seen::of(&setup.output(&["check", "--image"]));
    image.assert("hooks", "failure", "pre-drain.d/10-nginx is writable by others");
    let names: Vec<&str> = image.text.lines().filter_map(|line| line.get(..18)).map(str::trim).collect();
    assert!(ALL[1..7].iter().all(|of_a_machine| !names.contains(of_a_machine)), "{}", image.text);
}

#[test]
fn a_cluster_without_a_hook_for_a_silent_api_server_is_told() {
    let world = World::on_stand_in("check-hooks", &[]);
    check(&world.setup(PROGRAM)).assert("hooks", "warning", "none in local-drain.d: while the API server is away");
    check(&Setup::new(PROGRAM).without_kubernetes()).assert("hooks", "warning", "none at all: without a cluster");
}

#[test]
fn what_it_advises_is_there_on_a_machine_without_the_sources() {
    let world = World::on_stand_in("check-advice", &[]);
    let hook = "/usr/lib/spot-guard/hooks/local-drain.d/50-containers does so";
    check(&world.setup(PROGRAM)).assert("hooks", "warning", hook);
    check(&Setup::new(PROGRAM).without_kubernetes()).assert("hooks", "warning", "spot-guard-hooks(7) says");
}

#[test]
fn a_folder_for_metrics_that_is_not_there_is_told() {
    let setup = Setup::new(PROGRAM).without_kubernetes();
    let folder = setup.folder().join("metrics");
    let setup = setup.config(&format!("[metrics]\ntextfile = \"{}/a.prom\"", folder.display()));
    check(&setup).assert("settings", "warning", "/metrics: no metrics.textfile is written");
    fs::create_dir(&folder).unwrap();
    check(&setup).assert("settings", "ok", "");
}

#[test]
fn settings_that_are_broken_are_told_and_fail_an_image() {
    let setup = Setup::new(PROGRAM).config("[imds]\npol-interval = \"1s\"");
    let image = Seen::of(&setup.output(&["check", "--image"]));
    image.assert("settings", "failure", "pol-interval");
}

#[test]
fn a_state_folder_that_is_full_or_read_only_is_told() {
    let Some(disk) = Disk::in_memory() else { return };
    let setup = Setup::new(PROGRAM).without_kubernetes();
    disk.put_at(&setup.folder().join("state"));
    check(&setup).assert("state folder", "warning", "KiB left");
    disk.fill();
    check(&setup).assert("state folder", "failure", "is full");
    disk.make_room();
    disk.make_read_only();
    check(&setup).assert("state folder", "failure", "Read-only file system");
}

#[test]
fn pods_that_would_not_end_well_are_told() {
    let pods = [
        PodSpec::new("web-0"),
        PodSpec::new("db-0"),
        PodSpec::new("slow-0").grace(300),
        PodSpec::new("alone-0").bare(),
        PodSpec::new("cni-0").daemon_set().grace(600),
    ];
    let (world, setup) = world("check-pods", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let seen = check(&setup);
    seen.assert("pods", "warning", "3 of 4 would not end well now");
    for words in ["grace period of 300 s", "/db allows no disruption now", "no controller"] {
        seen.assert("pods", "warning", words);
    }
    assert!(!seen.text.contains("cni-0"), "{}", seen.text);
    assert_nothing_changed(&world);
}

#[test]
fn another_handler_on_the_node_is_told() {
    let handler = PodSpec::new("nth-0").daemon_set().label("app.kubernetes.io/name", "aws-node-termination-handler");
    let (world, setup) = world("check-others", &[handler]);
    check(&setup).assert("others", "warning", "AWS Node Termination Handler drains this node too");
    world.cluster.remove_pod(&world.node, "nth-0");
    world.cluster.patch_node(&world.node, &json!({"metadata": {"labels": {"karpenter.sh/nodepool": "default"}}}));
    check(&setup).assert("others", "ok", "Karpenter keeps this node");
}

#[test]
fn who_is_not_root_is_told_what_was_not_seen_and_what_to_do() {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can become somebody else");
        return;
    }
    let (_world, setup) = made_up("check-user");
    let [program, nobody] = ["spot-guard", "as-nobody"].map(|name| setup.folder().join(name));
    let built = std::env::var_os("SPOT_GUARD_TEST_BINARY").unwrap_or_else(|| PROGRAM.into());
    fs::copy(built, &program).unwrap();
    let script = "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups";
    fs::write(&nobody, format!("{script} {} \"$@\"\n", program.display())).unwrap();
    for path in [setup.folder(), &program, &nobody] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let seen = check(&setup.program(&nobody.display().to_string()));
    seen.assert("kubeconfig", "failure", "Permission denied");
    seen.assert("kubeconfig", "failure", "sudo spot-guard check");
    seen.assert("state folder", "warning", "only root may look into");
    seen.assert("metadata service", "ok", "IMDSv2");
}

#[test]
fn a_daemon_that_does_not_run_is_told() {
    check(&Setup::new(PROGRAM).without_kubernetes()).assert("daemon", "failure", "none runs");
}
