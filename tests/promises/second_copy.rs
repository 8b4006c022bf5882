//! Two daemons on one machine would each run the hooks: the second ends.

use std::fs;

use stand_ins::guard::Setup;
use stand_ins::imds::Imds;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_second_copy_ends_with_1_and_says_why_and_a_crash_leaves_no_lock() {
    let world = World::new("second", &[]);
    let mut guard = world.start(world.setup(PROGRAM));
    let (ended, log) = guard.second_copy(seconds(10));
    assert_eq!(ended.code(), Some(1), "{log}");
    assert!(log.contains("another spot-guard runs already"), "{log}");

    guard.kill();
    guard.start_again();
    let pid = guard.pid().as_raw();
    guard.expect("it takes its place", seconds(10), || guard.status().filter(|status| status["pid"] == pid));
}

#[test]
fn of_two_that_start_at_the_same_instant_one_is_left_and_does_everything_once() {
    for _ in 0..4 {
        let imds = Imds::on_loopback();
        let setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
        fs::remove_dir(setup.folder().join("run")).unwrap(); // as on the first start after a boot
        let setup = setup.hook("pre-drain", "10-once", "echo ran >>$OUT/once");
        imds.interrupt("terminate", seconds(20));
        let (guard, ended, log) = setup.start_two(seconds(20));
        assert_eq!(ended.code(), Some(1), "{log}");
        assert!(log.contains("another spot-guard runs already"), "{log}");
        guard.wait_done(seconds(30));
        assert_eq!(fs::read_to_string(guard.out().join("once")).unwrap_or_default(), "ran\n");
    }
}
