//! A response that is cut by a crash is taken up where it stood, with the old deadline.

use std::fs;
use std::time::Duration;

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_crash_in_the_middle_changes_neither_the_deadline_nor_what_was_done() {
    let pods = [PodSpec::new("slow-0").grace(15).stops_in(8.0), PodSpec::new("db-0").grace(5).stops_in(1.0)];
    let world = World::new("crash", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let setup = world.setup(PROGRAM).hook("pre-drain", "10-once", "echo ran >>$OUT/pre-drain");
    let setup = setup.hook("post-drain", "10-once", "echo ran >>$OUT/post-drain");
    let mut guard = world.start(setup.config("[drain]\nreserve = \"3s\""));
    world.interrupt(&guard, 22);
    let before = guard.wait_record("one pod is asked", seconds(10), |record| {
        let pods = record["pods"].as_array().into_iter().flatten();
        pods.filter(|pod| !pod["asked_at"].is_null()).count() == 1
    });
    guard.kill();
    guard.start_again();
    let record = guard.wait_done(seconds(25));

    assert_eq!(record["id"], before["id"]);
    let moved = (record::time(&record["deadline"]) - record::time(&before["deadline"])).abs();
    assert!(moved < Duration::from_millis(50), "the deadline moved by {moved}");
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record::count(&record, "graceful"), 2);
    let evictions = world.asks().iter().filter(|ask| ask.name == "slow-0").count();
    assert_eq!(evictions, 1, "a pod that is stopping is not asked again");
    let left = record::before_deadline(&record, &record::pod(&record, "db-0")["asked_at"]);
    assert!((6.0..=8.0).contains(&left), "db-0 was forced {left} s before the deadline");
    for phase in ["pre-drain", "post-drain"] {
        let runs = fs::read_to_string(guard.out().join(phase)).unwrap_or_default().lines().count();
        assert_eq!(runs, 1, "{phase}");
    }
    assert_eq!(world.audit().iter().filter(|r| r.what() == "patch nodes").count(), 1, "cordoned once");
}
