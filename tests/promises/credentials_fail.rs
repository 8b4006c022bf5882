//! Credentials that fail are told long before a notice, break nothing that still works, and are taken up when they are
//! mended, without a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stand_ins::certificates::Identity;
use stand_ins::guard::Guard;
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const V1: &str = "client.authentication.k8s.io/v1";

/// Longer than a plugin may take (10 s, and 1 s to end) and the rest after it, on a busy machine.
const MENDED_WITHIN: u64 = 35;

fn world(purpose: &str) -> World {
    World::new(purpose, &[PodSpec::new("web-0").grace(5).stops_in(0.5)])
}

fn assert_drains(world: &World, guard: &Guard, name: &str) {
    world.interrupt(guard, 15);
    let record = guard.wait_done(seconds(20));
    assert_eq!(record["outcome"], "complete", "{name}: {record:#}");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful", "{name}: {record:#}");
    let asked = record::since_notice(&record, &record::pod(&record, "web-0")["asked_at"]);
    assert!(asked < 3.0, "{name}: asked after {asked} s");
}

/// What the status says of the cluster: its state, and why.
fn standing(guard: &Guard) -> (String, String) {
    let status = guard.status().unwrap_or_default();
    let text = |key: &str| status["kubernetes"][key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("why"))
}

fn expect_standing(guard: &Guard, state: &str, why: &str, within: u64, name: &str) {
    guard.expect(&format!("{name}: the status says {state}: {why}"), seconds(within), || {
        let (is, because) = standing(guard);
        let as_wanted = if why.is_empty() { because.is_empty() } else { because.contains(why) };
        (is == state && as_wanted).then_some(())
    });
}

/// Lines of the log that warn.
fn warnings(guard: &Guard) -> usize {
    let about = |text: &str| text.contains(" warn ") && !text.contains("does not say which instance");
    guard.lines().iter().filter(|line| about(&line.text)).count()
}

/// It was told, and no more than once. The log's lines may come later than what else tells of it.
fn assert_told_once(guard: &Guard, name: &str) {
    guard.expect(&format!("{name}: a warning"), seconds(10), || (warnings(guard) > 0).then_some(()));
    assert_eq!(warnings(guard), 1, "{name}\n{}", guard.log());
}

/// Each case at one time, with a world of its own.
fn each<C: Copy + Send>(cases: &[C], test: impl Fn(C) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        for case in cases.iter().copied() {
            scope.spawn(move || test(case));
        }
    });
}

/// Puts a program into the place of another at once, so that neither half is run.
fn replace_program(path: &Path, script: &str) {
    let new = path.with_extension("new");
    fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("write a program");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("make it executable");
    fs::rename(&new, path).expect("replace a program");
}

/// A plugin that does not do what it should, each in its own way, and what the status says of it. `$$`: another number
/// at each run, as real ones have in their words.
const PLUGINS: [(&str, &str); 6] = [
    ("echo \"no role for request $$\" >&2; exit 1", "no role for request"),
    ("exec sleep 1000", "it took too long"),
    ("trap '' TERM; while :; do sleep 1; done", "it took too long"),
    ("echo \"<html>$$</html>\"", "no ExecCredential in JSON"),
    ("yes sesame | head -c 10000000", "more than 1048576 bytes"),
    ("kill -9 $$", "signal 9"),
];

#[test]
fn a_plugin_that_fails_at_boot_is_told_once_and_its_credentials_are_taken_up_when_it_is_mended() {
    each(&PLUGINS, |(script, told)| {
        let world = world("plugin");
        let setup = world.setup_without_cluster(PROGRAM);
        let path = world.kubeconfigs(&setup).exec_plugin(V1, seconds(3600));
        let (plugin, good, runs) =
            (setup.folder().join("get-token"), setup.folder().join("good"), setup.folder().join("plugin.log"));
        fs::rename(&plugin, &good).expect("keep the good plugin");
        replace_program(&plugin, &format!("echo run >>{}\n{script}", runs.display()));
        let mut guard = setup.kubeconfig(&path).start();
        expect_standing(&guard, "unready", told, 25, script);
        let peak = guard.usage().peak;
        guard.expect("it is run again", seconds(30), || {
            (fs::read_to_string(&runs).is_ok_and(|runs| runs.lines().count() >= 2)).then_some(())
        });
        assert_told_once(&guard, script);
        assert!(!guard.log().contains("sesame"), "what it gives may be secret");
        assert!(guard.usage().peak < peak.max(12 << 10) + 2048, "{script}: {peak}, {:?}", guard.usage());
        fs::rename(&good, &plugin).expect("mend the plugin");
        expect_standing(&guard, "ready", "", MENDED_WITHIN, script);
        assert_drains(&world, &guard, script);
        assert!(guard.is_running());
    });
}

#[test]
fn a_plugin_that_fails_later_is_told_and_a_notice_is_drained_with_what_it_gave_before() {
    each(&PLUGINS, |(script, told)| {
        let world = world("renewal");
        let setup = world.setup_without_cluster(PROGRAM);
        // So that it is to be run again after 10 s; the certificate in it is good for a day.
        let path = world.kubeconfigs(&setup).exec_plugin(V1, seconds(5));
        let plugin = setup.folder().join("get-token");
        let mut guard = world.start(setup.kubeconfig(&path));
        expect_standing(&guard, "ready", "", 10, script);
        replace_program(&plugin, script);
        expect_standing(&guard, "ready", told, MENDED_WITHIN, script);
        assert_drains(&world, &guard, script);
        assert!(guard.is_running());
    });
}

#[test]
fn a_plugin_that_is_mended_in_the_middle_of_a_response_is_in_time_for_its_pods() {
    each(&PLUGINS[..2], |(script, told)| {
        let world = world("middle");
        let setup = world.setup_without_cluster(PROGRAM);
        let path = world.kubeconfigs(&setup).exec_plugin(V1, seconds(3600));
        let (plugin, good) = (setup.folder().join("get-token"), setup.folder().join("good"));
        fs::rename(&plugin, &good).expect("keep the good plugin");
        replace_program(&plugin, script);
        let guard = setup.kubeconfig(&path).start();
        expect_standing(&guard, "unready", told, 25, script);
        world.interrupt(&guard, 40);
        guard.wait_record("a response", seconds(5), |record| record["notice"].is_object());
        fs::rename(&good, &plugin).expect("mend the plugin");
        let record = guard.wait_done(seconds(42));
        assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful", "{script}: {record:#}");
    });
}

/// The files of a node's kubeconfig, certificates and key.
struct Files<'a> {
    world: &'a World,
    kubeconfigs: Kubeconfigs<'a>,
    folder: PathBuf,
    former: Vec<(PathBuf, Vec<u8>)>,
}

impl<'a> Files<'a> {
    fn new(world: &'a World, folder: &Path) -> Files<'a> {
        let kubeconfigs = Kubeconfigs::new(&world.cluster, &world.node.name, folder).through(&world.faults.server());
        let kubeconfig = kubeconfigs.combined();
        let read = |path: PathBuf| (path.clone(), fs::read(path).expect("a file of credentials"));
        let former = vec![read(kubeconfig), read(folder.join("ca.crt"))];
        Files { world, kubeconfigs, folder: folder.to_owned(), former }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubelet.conf")
    }

    fn fresh(&self) -> Identity {
        self.world.cluster.identity_of(&self.world.node.name)
    }

    fn truncate(&self, name: &str, length: usize) {
        let path = self.folder.join(name);
        let text = fs::read(&path).expect("a file of credentials");
        fs::write(path, &text[..length.min(text.len())]).expect("truncate a file");
    }

    /// As a kubelet renews its certificate; the other files as they were.
    fn mend(&self) {
        for (path, text) in &self.former {
            fs::remove_dir(path).ok();
            fs::write(path, text).expect("mend a file");
        }
        self.kubeconfigs.rotate(&self.fresh());
    }
}

const CURRENT: &str = "pki/kubelet-client-current.pem";

/// How files are spoilt, and what the status says of it. The credentials in use are as good as they were.
type Spoil = (&'static str, fn(&Files<'_>), &'static str);

const SPOILT: [Spoil; 10] = [
    ("kubeconfig empty", |files| files.truncate("kubelet.conf", 0), "no current-context"),
    ("kubeconfig truncated", |files| files.truncate("kubelet.conf", 150), "kubelet.conf"),
    (
        "kubeconfig gone",
        |files| fs::remove_file(files.kubeconfig()).expect("remove the kubeconfig"),
        "there is no kubeconfig",
    ),
    ("kubeconfig huge", |files| fs::write(files.kubeconfig(), vec![b'x'; 10_000_000]).expect("write"), "larger than"),
    (
        "kubeconfig a folder",
        |files| {
            fs::remove_file(files.kubeconfig()).expect("remove the kubeconfig");
            fs::create_dir(files.kubeconfig()).expect("make a folder");
        },
        "cannot be read",
    ),
    (
        "certificate and key of two renewals",
        |files| files.kubeconfigs.rotate(&Identity { key_pem: files.fresh().key_pem, ..files.fresh() }),
        "cannot be used together",
    ),
    ("certificate empty", |files| files.truncate(CURRENT, 0), "there is no PEM"),
    ("certificate truncated", |files| files.truncate(CURRENT, 300), "there is no PEM"),
    ("certificate gone", |files| fs::remove_file(files.folder.join(CURRENT)).expect("remove"), "cannot be read"),
    ("authority truncated", |files| files.truncate("ca.crt", 100), "there is no PEM certificate"),
];

#[test]
fn files_that_are_spoilt_for_a_moment_are_told_and_a_notice_meanwhile_is_drained_with_what_they_held() {
    each(&SPOILT, |(name, spoil, told)| {
        let world = world("spoilt");
        let setup = world.setup_without_cluster(PROGRAM);
        let files = Files::new(&world, setup.folder());
        let mut guard = world.start(setup.kubeconfig(&files.kubeconfig()));
        spoil(&files);
        expect_standing(&guard, "ready", told, 20, name);
        files.mend();
        expect_standing(&guard, "ready", "", 20, name);
        assert_told_once(&guard, name);
        spoil(&files);
        expect_standing(&guard, "ready", told, 20, name);
        assert_drains(&world, &guard, name);
        assert!(guard.is_running());
    });
}

#[test]
fn files_that_are_spoilt_at_boot_are_told_once_and_taken_up_when_they_are_mended() {
    each(&SPOILT, |(name, spoil, told)| {
        let world = world("boot");
        let setup = world.setup_without_cluster(PROGRAM);
        let files = Files::new(&world, setup.folder());
        spoil(&files);
        let state = if name == "kubeconfig gone" { "none" } else { "unready" };
        let mut guard = setup.kubeconfig(&files.kubeconfig()).start();
        expect_standing(&guard, state, told, 20, name);
        // It is the fault that it lasts: some attempts, which are after 1, 2, 4 s.
        std::thread::sleep(seconds(5));
        assert!(warnings(&guard) <= 1, "{name}\n{}", guard.log());
        files.mend();
        expect_standing(&guard, "ready", "", 20, name);
        assert_drains(&world, &guard, name);
        assert!(guard.is_running());
    });
}

/// A certificate that is over after 8 s: rotated in where the server must refuse it at once, else left to expire.
fn expire(rotated: bool, told_within: u64) {
    let world = world("expired");
    let setup = world.setup_without_cluster(PROGRAM);
    let files = Files::new(&world, setup.folder());
    let user = format!("system:node:{}", world.node.name);
    let short = world.cluster.authority().client(&user, "system:nodes", seconds(8));
    if !rotated {
        files.kubeconfigs.rotate(&short);
    }
    let mut guard = world.start(setup.kubeconfig(&files.kubeconfig()));
    if rotated {
        // It is the fault that it is over.
        std::thread::sleep(seconds(9));
        files.kubeconfigs.rotate(&short);
    }
    expect_standing(&guard, "unready", "401", told_within, "expired");
    assert_told_once(&guard, "the certificate");
    files.mend();
    expect_standing(&guard, "ready", "", 20, "expired");
    assert_drains(&world, &guard, "expired");
    assert!(guard.is_running());
}

#[test]
fn a_certificate_that_is_over_is_told_and_the_next_one_taken_up() {
    expire(true, 20);
}

#[test]
#[ignore = "takes two minutes; make test-all runs it"]
fn a_certificate_that_expires_in_use_is_told_within_a_minute_and_the_next_one_taken_up() {
    expire(false, 90);
}

#[test]
fn a_kubeconfig_that_comes_after_boot_is_found_and_so_is_its_node_when_it_joins() {
    let world = world("joins");
    let node = world.cluster.node(&world.node);
    let setup = world.setup_without_cluster(PROGRAM);
    let path = setup.folder().join("kubelet.conf");
    let kubeconfigs = world.kubeconfigs(&setup);
    let guard = setup.kubeconfig(&path).start();
    expect_standing(&guard, "none", "there is no kubeconfig", 10, "before the kubeconfig");
    world.cluster.remove_node(&world.node);
    kubeconfigs.combined();
    expect_standing(&guard, "unready", "has no node", 10, "before the node");
    world.cluster.restore_node(&node);
    expect_standing(&guard, "ready", "", 15, "after both");
    world.wait_polled(&guard);
    // Its pods went with the node.
    world.cluster.make_pods(&world.node, &[PodSpec::new("web-1").grace(5).stops_in(0.5)]);
    world.interrupt(&guard, 15);
    let record = guard.wait_done(seconds(20));
    assert_eq!(record::pod(&record, "web-1")["outcome"], "graceful", "{record:#}");
}

#[test]
fn a_plugin_is_not_run_again_for_each_attempt_to_find_the_node() {
    let world = world("absent");
    let node = world.cluster.node(&world.node);
    world.cluster.remove_node(&world.node);
    let setup = world.setup_without_cluster(PROGRAM);
    let kubeconfigs = world.kubeconfigs(&setup);
    let path = kubeconfigs.exec_plugin(V1, seconds(3600));
    let folder = setup.folder().to_owned();
    let guard = setup.kubeconfig(&path).start();
    guard.expect("the node is looked for again and again", seconds(20), || {
        (world.audit().iter().filter(|request| request.what() == "get nodes").count() >= 3).then_some(())
    });
    world.cluster.restore_node(&node);
    expect_standing(&guard, "ready", "", 15, "the node is there");
    assert_eq!(Kubeconfigs::new(&world.cluster, &world.node.name, &folder).plugin_runs(), 1);
}

/// Nothing was known of a cluster when the notice came, and so all seemed done at once.
#[test]
fn a_kubeconfig_that_comes_in_the_middle_of_a_response_is_in_time_for_its_pods() {
    let world = world("comes");
    let setup = world.setup_without_cluster(PROGRAM);
    let path = setup.folder().join("kubelet.conf");
    let kubeconfigs = world.kubeconfigs(&setup);
    let guard = setup.kubeconfig(&path).start();
    expect_standing(&guard, "none", "there is no kubeconfig", 10, "before the kubeconfig");
    world.interrupt(&guard, 30);
    guard
        .wait_record("the response of a machine without a cluster", seconds(10), |record| !record["outcome"].is_null());
    kubeconfigs.combined();
    let record = guard.wait_record("web-0 is gone", seconds(20), |record| record::count(record, "graceful") == 1);
    assert_eq!(record["node"]["cordoned_by_us"], true, "{record:#}");
    assert_eq!(world.cluster.pods(&world.node).len(), 0);
}
