//! The metrics tell what the daemon sees and does, in a file that is renewed for as long as it lives and holds it up in
//! nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::signal::Signal;
use stand_ins::disk::Disk;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Fault, Imds};
use stand_ins::metrics::Metrics;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const POOL: [(&str, &str); 2] = [("instance_type", "m5.large"), ("availability_zone", "eu-west-1a")];

/// spot-guard that writes its metrics into a folder of that name in its own.
fn writing(setup: Setup, folder: &str) -> (Setup, PathBuf) {
    let file = setup.folder().join(folder).join("spot-guard.prom");
    let setup = setup.config(&format!("[metrics]\ntextfile = {:?}", file.display().to_string()));
    (setup, file)
}

fn read(file: &Path) -> Option<Metrics> {
    fs::read_to_string(file).ok().map(|text| Metrics::read(&text))
}

/// Waits until this metric has that value.
fn wait_value(guard: &Guard, file: &Path, name: &str, labels: &[(&str, &str)], value: f64) -> Metrics {
    guard.expect(&format!("{name} {labels:?} is {value}"), seconds(30), || {
        read(file).filter(|metrics| metrics.get(name, labels) == Some(value))
    })
}

fn with_pool<'a>(labels: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain(POOL).collect()
}

#[test]
fn a_rebalance_recommendation_is_seen_with_its_pool_while_it_stands() {
    let world = World::new("metrics-rebalance", &[]);
    let (setup, file) = writing(world.setup(PROGRAM), "out");
    let guard = world.start(setup);
    let metrics = wait_value(&guard, &file, "spot_guard_protected", &[], 1.0);
    assert_eq!(metrics.get("spot_guard_notice_active", &[]), None);
    assert_eq!(metrics.get("spot_guard_kubernetes_ready", &[]), Some(1.0));
    assert!(metrics.get("spot_guard_kubernetes_last_success_timestamp_seconds", &[]) > Some(1e9));
    world.imds.recommend_rebalance();
    let stands = with_pool(&[("kind", "rebalance-recommendation"), ("action", "none")]);
    let metrics = wait_value(&guard, &file, "spot_guard_notice_active", &stands, 1.0);
    assert_eq!(metrics.get("spot_guard_protected", &[]), Some(1.0), "it was told of, and the guard watches");
    let shown = guard.output(&["status", "--metrics"]);
    assert!(shown.status.success());
    let shown = Metrics::read(&String::from_utf8(shown.stdout).unwrap());
    assert_eq!(shown.get("spot_guard_notice_active", &stands), Some(1.0));
    let absent = [("path", "meta-data/spot/instance-action"), ("code", "404")];
    assert!(shown.get("spot_guard_imds_requests_total", &absent) > Some(0.0));
    world.imds.withdraw_rebalance();
    guard.expect("it is gone", seconds(30), || {
        read(&file).filter(|metrics| metrics.get("spot_guard_notice_active", &[]).is_none())
    });
}

#[test]
fn of_a_drain_they_tell_phases_pods_hooks_and_the_cordon_and_what_stays_of_it() {
    let pods = [
        PodSpec::new("web-0").grace(5).stops_in(3.0),
        PodSpec::new("db-0").grace(3).stops_in(0.5),
        PodSpec::new("stuck-0").grace(5).finalizer("example.com/held").never_stops(),
    ];
    let world = World::new("metrics-drain", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-x", "sleep 1").hook("post-drain", "20-y\"", "exit 3");
    let (setup, file) = writing(setup.hook("during", "30-z", "sleep 60"), "out");
    let guard = world.start(setup);
    wait_value(&guard, &file, "spot_guard_protected", &[], 1.0);
    world.interrupt(&guard, 22);
    let drain = wait_value(&guard, &file, "spot_guard_response_phase", &[("phase", "drain")], 1.0);
    assert_eq!(drain.get("spot_guard_pods", &[("outcome", "pending")]), Some(3.0));
    assert!(drain.get("spot_guard_deadline_timestamp_seconds", &[]) > Some(1e9));
    let interruption = with_pool(&[("kind", "spot-interruption")]);
    assert_eq!(drain.get("spot_guard_notice_active", &interruption), Some(1.0));

    let ended = wait_value(&guard, &file, "spot_guard_response_phase", &[("phase", "done")], 1.0);
    let assert_told = |metrics: &Metrics| {
        let of = |outcome| metrics.get("spot_guard_pods", &[("outcome", outcome)]);
        assert_eq!(["graceful", "left", "killed", "pending"].map(of), [2.0, 1.0, 0.0, 0.0].map(Some), "{metrics:#?}");
        assert_eq!(metrics.get("spot_guard_pods_forced", &[]), Some(1.0));
        let exit = |hook| metrics.get("spot_guard_hook_exit_code", &[("hook", hook)]);
        assert_eq!([exit("10-x"), exit("20-y\\\""), exit("30-z")], [Some(0.0), Some(3.0), None], "{metrics:#?}");
        let took = metrics.get("spot_guard_hook_duration_seconds", &[("phase", "pre-drain"), ("hook", "10-x")]);
        assert!((1.0..20.0).contains(&took.unwrap()), "{took:?}");
        let cordon = metrics.get("spot_guard_notice_to_cordon_seconds", &[]);
        assert!((0.0..20.0).contains(&cordon.unwrap()), "{cordon:?}");
    };
    assert_eq!(ended.get("spot_guard_response_phase", &[("phase", "drain")]), Some(0.0));
    assert_told(&ended);
    let incomplete = with_pool(&[("kind", "spot-interruption"), ("outcome", "incomplete")]);
    assert_eq!(ended.get("spot_guard_responses_total", &incomplete), Some(0.0), "it is not over before its deadline");
    let over = wait_value(&guard, &file, "spot_guard_responses_total", &incomplete, 1.0);
    assert_told(&over);
    assert_eq!(over.get("spot_guard_deadline_timestamp_seconds", &[]), None);
    assert_eq!(over.get("spot_guard_response_phase", &[("phase", "done")]), Some(0.0));
}

#[test]
fn what_is_wrong_is_told_and_so_is_the_end_of_the_daemon() {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
    let (setup, file) = writing(setup.environment("SPOT_GUARD_CONFIG_DRAIN_DELAY", "soon"), "out");
    let mut guard = setup.start();
    let metrics = wait_value(&guard, &file, "spot_guard_protected", &[], 1.0);
    assert_eq!(metrics.get("spot_guard_config_valid", &[]), Some(0.0));
    assert_eq!(metrics.get("spot_guard_record_ok", &[]), Some(1.0));
    assert_eq!(metrics.get("spot_guard_kubernetes_ready", &[]), None, "none is meant");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    imds.fault(Fault::Hang);
    wait_value(&guard, &file, "spot_guard_imds_ready", &[], 0.0);
    let failing = wait_value(&guard, &file, "spot_guard_protected", &[], 0.0);
    assert_eq!(failing.get("spot_guard_up", &[]), Some(1.0));
    let timeouts = [("path", "meta-data/spot/instance-action"), ("code", "timeout")];
    guard.expect("the timeouts are counted", seconds(30), || {
        read(&file)?.get("spot_guard_imds_requests_total", &timeouts).filter(|count| *count > 0.0)
    });
    assert!(guard.stop(seconds(20)).success());
    let ended = read(&file).unwrap();
    assert_eq!([ended.get("spot_guard_up", &[]), ended.get("spot_guard_protected", &[])], [Some(0.0), Some(0.0)]);
    let names: BTreeSet<&str> = ended.names().collect();
    let expected = ["spot_guard_build_info", "spot_guard_instance_info", "spot_guard_protected", "spot_guard_up"];
    assert_eq!(names, expected.into(), "it says no more of what it does not know");
}

#[test]
fn the_file_is_renewed_though_nothing_happens_and_moves_when_the_settings_do() {
    let imds = Imds::on_loopback();
    let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
    let (setup, file) = writing(setup, "out");
    let (other, config) = (setup.folder().join("other.prom"), setup.folder().join("config.toml"));
    let guard = setup.start();
    wait_value(&guard, &file, "spot_guard_protected", &[], 1.0);
    let written = |file: &Path| fs::metadata(file).and_then(|file| file.modified()).ok();
    let (mut times, mut last): (Vec<SystemTime>, _) = (Vec::new(), None);
    guard.expect("it is renewed twice", seconds(60), || {
        let time = written(&file).filter(|time| Some(*time) != last)?;
        last = Some(time);
        times.push(time);
        (times.len() == 3).then_some(())
    });

    let text = fs::read_to_string(&config).unwrap().replace(&file.display().to_string(), &other.display().to_string());
    fs::write(&config, &text).unwrap();
    guard.signal(Signal::SIGHUP);
    wait_value(&guard, &other, "spot_guard_up", &[], 1.0);
    guard.expect("the former is gone", seconds(20), || (!file.exists()).then_some(()));
    fs::write(&config, text.replace("textfile", "# textfile")).unwrap();
    guard.signal(Signal::SIGHUP);
    guard.expect("none is left", seconds(20), || (!other.exists()).then_some(()));
}

/// A drain goes on to its end whatever becomes of that file.
fn assert_drains(world: &World, guard: &Guard) {
    world.interrupt(guard, 25);
    let record = guard.wait_done(seconds(40));
    assert_eq!(record["outcome"], "complete", "{record:#}");
}

fn world(purpose: &str) -> World {
    World::new(purpose, &[PodSpec::new("web-0").grace(5).stops_in(0.5)])
}

#[test]
fn a_folder_that_is_not_there_is_told_once_and_written_to_when_it_comes() {
    let world = world("metrics-none");
    let (setup, file) = writing(world.setup(PROGRAM), "none");
    let guard = world.start(setup);
    guard.wait_line("cannot write the metrics to", seconds(20));
    assert_drains(&world, &guard);
    assert_eq!(guard.lines_with("the metrics").len(), 1, "{}", guard.log());
    fs::create_dir(file.parent().unwrap()).unwrap();
    guard.wait_line("are written to", seconds(30));
    assert!(read(&file).is_some());
}

#[test]
fn a_disk_that_hangs_holds_nothing_up_and_is_told() {
    let Some(mut disk) = Disk::that_can_hang() else { return };
    let world = world("metrics-hang");
    let (setup, file) = writing(world.setup(PROGRAM), "metrics");
    fs::create_dir(file.parent().unwrap()).unwrap();
    disk.put_at(file.parent().unwrap());
    let guard = world.start(setup);
    wait_value(&guard, &file, "spot_guard_protected", &[], 1.0);
    disk.hang();
    assert_drains(&world, &guard);
    guard.wait_line("does its disk hang?", seconds(30));
    disk.go_on();
    guard.wait_line("are written to", seconds(30));
}

#[test]
fn a_full_disk_keeps_the_last_state_and_is_told() {
    let Some(disk) = Disk::in_memory() else { return };
    let world = world("metrics-full");
    let (setup, file) = writing(world.setup(PROGRAM), "metrics");
    fs::create_dir(file.parent().unwrap()).unwrap();
    disk.put_at(file.parent().unwrap());
    let guard = world.start(setup);
    wait_value(&guard, &file, "spot_guard_protected", &[], 1.0);
    disk.fill();
    guard.wait_line("No space left on device", seconds(30));
    assert_drains(&world, &guard);
    assert_eq!(read(&file).unwrap().get("spot_guard_up", &[]), Some(1.0), "what was there is there, as a whole");
    disk.make_room();
    wait_value(&guard, &file, "spot_guard_pods", &[("outcome", "graceful")], 1.0);
    guard.wait_line("are written to", seconds(20));
}

/// The inodes of the TCP sockets that listen, of all that this process sees.
fn listening(guard: &Guard) -> BTreeSet<String> {
    let tables = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/{}/net/{name}", guard.pid())));
    let tables: Vec<String> = tables.into_iter().flatten().collect();
    assert!(!tables.is_empty());
    let columns = tables.iter().flat_map(|table| table.lines()).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // 0A is TCP_LISTEN (include/net/tcp_states.h); the tenth column is the inode (proc(5)).
    columns.filter(|row| row.get(3) == Some(&"0A")).filter_map(|row| Some((*row.get(9)?).to_owned())).collect()
}

fn sockets(guard: &Guard) -> BTreeSet<String> {
    let files = fs::read_dir(format!("/proc/{}/fd", guard.pid())).unwrap().flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok()?.to_str().map(str::to_owned));
    links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

#[test]
fn it_listens_on_no_tcp_port() {
    let world = World::new("metrics-ports", &[PodSpec::new("web-0").grace(15).stops_in(5.0)]);
    let (setup, file) = writing(world.setup(PROGRAM), "out");
    let guard = world.start(setup);
    wait_value(&guard, &file, "spot_guard_protected", &[], 1.0);
    let assert_closed = |when: &str| {
        let (listening, own) = (listening(&guard), sockets(&guard));
        // The stand-ins do listen.
        assert!(!listening.is_empty() && !own.is_empty());
        assert!(listening.is_disjoint(&own), "{when}: {:?}", listening.intersection(&own));
    };
    assert_closed("it watches");
    world.interrupt(&guard, 20);
    wait_value(&guard, &file, "spot_guard_response_phase", &[("phase", "drain")], 1.0);
    assert_closed("it drains");
    guard.wait_done(seconds(40));
    assert_closed("it has drained");
}
