//! Two daemons on one machine would each run the hooks: the second ends.

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
