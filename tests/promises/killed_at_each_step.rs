//! A daemon that is killed at any step of a response takes it up again: with the same deadline and under the same id,
//! without a hook that had ended, without asking a pod that is stopping, and with nothing left of a hook that was cut.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use stand_ins::guard::Guard;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::wait::wait;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};

/// How long requests and answers take while the daemon is killed in between: long enough to see it and to do it.
const ON_ITS_WAY: Duration = Duration::from_millis(900);

/// Says that it runs, then waits for `$OUT/go`.
const HOLD: &str = "echo $$ >>$OUT/held; until [ -e $OUT/go ]; do sleep 0.1; done";

fn lines(guard: &Guard, name: &str) -> Vec<String> {
    fs::read_to_string(guard.out().join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn let_go(guard: &Guard) {
    fs::write(guard.out().join("go"), "").unwrap();
}

fn wait_held(guard: &Guard, times: usize) {
    guard.expect("the hook holds", seconds(20), || (lines(guard, "held").len() == times).then_some(()));
}

/// Waits until the process of the hook of this name is on disk.
fn wait_recorded(guard: &Guard, name: &str) -> Value {
    guard.wait_record("the hook's process", seconds(20), |record| !hook(record, name)["process"].is_null())
}

fn hook<'a>(record: &'a Value, name: &str) -> &'a Value {
    let hooks = record["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    hooks.iter().find(|hook| hook["name"] == name).unwrap_or(&Value::Null)
}

fn assert_taken_up(before: &Value, after: &Value) {
    assert_eq!(after["id"], before["id"]);
    let moved = (record::time(&after["deadline"]) - record::time(&before["deadline"])).abs();
    assert!(moved < Duration::from_millis(50), "the deadline moved by {moved}");
}

fn assert_each_asked_once(world: &World) {
    let accepted = world.asks().into_iter().filter(|ask| ask.code < 300);
    let mut names: Vec<String> = accepted.map(|ask| ask.name).collect();
    names.sort();
    assert!(names.windows(2).all(|two| two[0] != two[1]), "a pod that is stopping was asked again: {names:?}");
}

fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn killed_before_the_record_is_on_disk_it_begins_anew_with_the_same_deadline() {
    let world = World::new("unrecorded", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-hold", HOLD);
    let in_the_way = setup.folder().join("state/responses");
    fs::write(&in_the_way, "no folder").unwrap();
    let mut guard = world.start(setup);
    let time = world.imds.interrupt("terminate", seconds(24));
    wait_held(&guard, 1);
    guard.kill();
    fs::remove_file(in_the_way).unwrap();
    guard.start_again();
    wait_held(&guard, 2);
    let_go(&guard);

    let record = guard.wait_done(seconds(30));
    let moved = (record::time(&record["deadline"]) - time).abs();
    assert!(moved < seconds(2), "the deadline is {moved} from the notice's time");
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_each_asked_once(&world);
    let node = &record["node"];
    assert_eq!((&node["cordoned_by_us"], &node["labelled_by_us"]), (&true.into(), &true.into()), "{node}");
}

#[test]
fn killed_in_a_hook_it_kills_what_is_left_of_it_and_runs_it_for_what_its_phase_has_left() {
    let world = World::new("hookcut", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let tick = "for tick in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo $tick >>$OUT/ticks; sleep 1; done";
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-first", "echo ran >>$OUT/first").hook(
        "pre-drain",
        "20-second",
        &format!("sleep 300 & echo $! >>$OUT/child; echo $$ >>$OUT/held; {tick}"),
    );
    let mut guard = world.start(setup);
    world.interrupt(&guard, 38);
    let before = wait_recorded(&guard, "20-second");
    guard.expect("it ran for some seconds", seconds(10), || (lines(&guard, "ticks").len() == 3).then_some(()));
    guard.kill();
    // The hook's first process dies with the daemon; what that had started does not.
    let (leader, child) = (lines(&guard, "held").remove(0), lines(&guard, "child").remove(0));
    kill(Pid::from_raw(leader.parse().unwrap()), Signal::SIGKILL).unwrap();
    // Where nobody waits for it, it stays as a zombie, by which its group is known as well.
    let _ = wait(seconds(3), || (!Path::new("/proc").join(&leader).exists()).then_some(()));
    assert!(!lives(&leader) && lives(&child));
    guard.start_again();
    wait_held(&guard, 2);
    assert!(!lives(&child), "what the cut hook had started still runs beside its second run");

    let record = guard.wait_done(seconds(40));
    assert_taken_up(&before, &record);
    assert_eq!(lines(&guard, "first").len(), 1, "a hook that had ended ran again");
    assert_eq!(hook(&record, "20-second")["timed_out"], true, "{record:#}");
    // A quarter of the window, whenever it was run again; from TERM on a shell that sleeps has a second at most.
    let took = record::since_notice(&record, &record["phases"][0]["ended_at"]);
    assert!((9.0..12.5).contains(&took), "pre-drain ended {took} s after the notice");
    assert_eq!(record["outcome"], "complete", "{record:#}");
}

#[test]
fn killed_while_the_cordon_is_under_way_it_knows_afterwards_that_the_cordon_is_its_own() {
    let world = World::new("cordoning", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let mut guard = world.start(world.setup(PROGRAM));
    world.faults.delay(ON_ITS_WAY);
    world.interrupt(&guard, 35);
    guard.expect("the API server has cordoned the node", seconds(20), || {
        (world.cluster.node(&world.node)["spec"]["unschedulable"] == true).then_some(())
    });
    guard.kill();
    let before = guard.record().expect("a record");
    assert!(before["node"]["settled_at"].is_null(), "the answer was held back: {before:#}");
    world.faults.heal();
    guard.start_again();

    let record = guard.wait_done(seconds(40));
    assert_taken_up(&before, &record);
    let node = &record["node"];
    assert_eq!((&node["cordoned_by_us"], &node["labelled_by_us"]), (&true.into(), &true.into()), "{node}");
    let annotation = world.cluster.node(&world.node)["metadata"]["annotations"]["spot-guard/response"].clone();
    let annotation: Value = serde_json::from_str(annotation.as_str().expect("an annotation")).unwrap();
    assert_eq!((&annotation["id"], &annotation["cordoned"]), (&record["id"], &true.into()));
    assert_eq!(record["outcome"], "complete", "{record:#}");
}

#[test]
fn killed_among_evictions_it_asks_no_pod_twice_and_forgets_none() {
    let pods: Vec<PodSpec> = PodSpec::many("web", 24).into_iter().map(|pod| pod.grace(15).stops_in(10.0)).collect();
    let world = World::new("evicting", &pods);
    world.cluster.make_pods(&world.node, &[PodSpec::new("db-0").grace(5).stops_in(1.0)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let mut guard = world.start(world.setup(PROGRAM));
    let stopping = || {
        let pods = world.cluster.pods(&world.node);
        pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string()).count()
    };
    world.faults.delay(ON_ITS_WAY);
    world.interrupt(&guard, 32);
    guard.expect("some evictions were accepted", seconds(20), || (stopping() >= 5).then_some(()));
    guard.kill();
    let accepted = stopping();
    let before = guard.record().expect("a record");
    let known = before["pods"].as_array().into_iter().flatten().filter(|pod| !pod["asked_at"].is_null()).count();
    assert!(known < accepted, "{accepted} were accepted and it had heard of {known}");
    // What the dead one had sent must not come among what the next one does.
    world.faults.reset();
    world.faults.heal();
    let mut settled = 0;
    guard.expect("no more of it arrives", seconds(10), || {
        thread::sleep(Duration::from_millis(500)); // no sooner than that is it known to be quiet
        (std::mem::replace(&mut settled, stopping()) == settled).then_some(())
    });
    guard.start_again();

    let record = guard.wait_done(seconds(35));
    assert_taken_up(&before, &record);
    assert_eq!(record::count(&record, "graceful"), 25, "{record:#}");
    assert_each_asked_once(&world);
    let left = record::before_deadline(&record, &record::pod(&record, "db-0")["asked_at"]);
    assert!((6.0..=8.0).contains(&left), "db-0 was forced {left} s before the deadline");
}

#[test]
fn killed_in_the_local_drain_it_goes_on_with_the_same_pods() {
    let world = World::new("localcut", &[]);
    let uids = world.cluster.make_pods(&world.node, &[PodSpec::new("web-0").grace(12).stops_in(1.0)]);
    world.cluster.make_budget(&world.node, "web", "web", 1, 1);
    let local = format!("echo \"$2 $SPOT_GUARD_POD_UIDS\" >>$OUT/local; [ $2 = end ] || {{ {HOLD}; }}");
    let mut guard = world.start(world.setup(PROGRAM).hook("local-drain", "10-stop", &local));
    world.interrupt(&guard, 26);
    guard.wait_record("the pod is known and waits", seconds(10), |record| !record["pods"][0]["reason"].is_null());
    world.faults.hang();
    let before = wait_recorded(&guard, "10-stop");
    wait_held(&guard, 1);
    guard.kill();
    guard.start_again();
    wait_held(&guard, 2);
    let first = lines(&guard, "held").remove(0);
    assert!(!lives(&first), "the cut hook still runs beside its second run");
    let_go(&guard);
    world.faults.heal();

    let record = guard.wait_done(seconds(35));
    assert_taken_up(&before, &record);
    let start = format!("start {}", uids[0]);
    assert_eq!(lines(&guard, "local"), [start.clone(), start, "end ".to_owned()]);
    assert_eq!(record["local_drain"]["wave"], 1, "it was taken for another wave");
    assert_eq!(record["outcome"], "complete", "{record:#}");
}

#[test]
fn killed_in_a_post_drain_hook_it_runs_that_again_and_no_other() {
    let world = World::new("postcut", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let setup = world
        .setup(PROGRAM)
        .hook("pre-drain", "10-once", "echo ran >>$OUT/once")
        .hook("post-drain", "10-once", "echo ran >>$OUT/once")
        .hook("post-drain", "20-hold", HOLD)
        .hook("post-drain", "30-after", "echo ran >>$OUT/after");
    let mut guard = world.start(setup);
    world.interrupt(&guard, 30);
    wait_held(&guard, 1);
    let before = wait_recorded(&guard, "20-hold");
    guard.kill();
    guard.start_again();
    wait_held(&guard, 2);
    let_go(&guard);

    let record = guard.wait_done(seconds(35));
    assert_taken_up(&before, &record);
    assert_eq!((lines(&guard, "once").len(), lines(&guard, "after").len()), (2, 1));
    assert!(!lives(&lines(&guard, "held")[0]), "the cut hook still runs");
    assert_eq!(hook(&record, "20-hold")["exit"], 0, "{record:#}");
    assert_each_asked_once(&world);
    assert_eq!(world.audit().iter().filter(|request| request.what() == "patch nodes").count(), 1, "cordoned once");
}

#[test]
fn killed_after_the_end_it_does_nothing_more() {
    let world = World::new("endcut", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let setup = ["notice", "during", "pre-drain", "post-drain"]
        .iter()
        .fold(world.setup(PROGRAM), |setup, phase| setup.hook(phase, "10-once", "echo ran >>$OUT/once"));
    let mut guard = world.start(setup);
    world.interrupt(&guard, 20);
    let before = guard.wait_done(seconds(20));
    world.wait_event(&guard, "DrainFinished", "");
    guard.kill();
    // Who it is, and what there is, may be asked anew.
    let changes = |world: &World| {
        let asked = world.audit().into_iter().filter(|request| !["get", "list", "watch"].contains(&&*request.verb));
        asked.map(|request| request.what()).filter(|what| what != "create selfsubjectreviews").count()
    };
    let asked = changes(&world);
    guard.start_again();
    let pid = guard.pid().as_raw();
    let wait_status = |state: &str| {
        guard.expect(state, seconds(25), || {
            guard.status().filter(|status| status["pid"] == pid && status["state"] == state)
        })
    };
    assert_eq!(wait_status("done")["response"]["id"], before["id"]);
    wait_status("watching");
    assert_eq!(lines(&guard, "once").len(), 4);
    assert_eq!(changes(&world), asked, "{:#?}", world.audit());
    assert_eq!(guard.log().matches("to spare").count(), 1, "it ended a second time:\n{}", guard.log());
    let after = guard.record().unwrap();
    assert_taken_up(&before, &after);
    assert_eq!(after["outcome"], "complete", "{after:#}");
}

#[test]
fn started_again_only_after_the_deadline_it_closes_the_record_and_leaves_the_node_cordoned() {
    let world = World::new("toolate", &[PodSpec::new("web-0").grace(60).stops_in(60.0)]);
    let mut guard = world.start(world.setup(PROGRAM).hook("post-drain", "10-hold", HOLD));
    world.interrupt(&guard, 18);
    wait_held(&guard, 1);
    let before = wait_recorded(&guard, "10-hold");
    guard.kill();
    let held = lines(&guard, "held").remove(0);
    let deadline = record::time(&before["deadline"]);
    guard.expect("the deadline passes", seconds(25), || (OffsetDateTime::now_utc() > deadline).then_some(()));
    guard.start_again();

    let record = guard.wait_done(seconds(10));
    assert_taken_up(&before, &record);
    assert_eq!((&record["outcome"], record::count(&record, "left")), (&"incomplete".into(), 1), "{record:#}");
    guard.wait_line("its deadline came while no spot-guard ran", seconds(5));
    guard.expect("the cut hook is gone", seconds(5), || (!lives(&held)).then_some(()));
    guard.wait_line("the machine still runs; its node stays cordoned", seconds(10));
    assert_eq!(lines(&guard, "held").len(), 1, "a hook ran after the deadline");
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
    assert_eq!(fs::read_dir(guard.folder().join("state/responses")).unwrap().count(), 1, "a second response began");
}
