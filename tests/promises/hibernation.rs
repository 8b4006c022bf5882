//! A machine that was hibernated and wakes up gets its node back; the notice that is still there is an old one.
//!
//! Its sleep is made up by LD_PRELOAD, so this runs the dynamically linked program that was just built.

use stand_ins::imds::{Date, SPOT};
use stand_ins::pods::PodSpec;
use stand_ins::wall_clock::WallClock;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const SLEEP: i64 = 3600;

#[test]
fn a_machine_that_wakes_up_brings_its_node_back_and_responds_to_no_old_notice() {
    let world = World::new("sleep", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let setup = world.setup(PROGRAM).hook("uncordon", "10-tell", "echo back >>$OUT/back");
    let (setup, clock) = WallClock::of(setup, PROGRAM, 0);
    let guard = world.start(setup);
    world.imds.interrupt("hibernate", seconds(30));
    let before = guard.wait_done(seconds(20));
    assert!(world.is_cordoned(), "{before:#}");

    world.imds.set_date(Date::Ahead(SLEEP));
    clock.sleep(SLEEP);
    guard.wait_line("the machine slept for", seconds(10));
    world.wait_back(&guard);
    world.wait_event(&guard, "Uncordon", "");
    world.wait_polls(&guard, SPOT, 3, seconds(20));
    assert!(!world.is_cordoned() && !world.is_labelled() && world.annotation().is_none());
    assert_eq!((guard.told("back"), guard.count_responses()), (vec!["back".to_owned()], 1));

    world.imds.remove(SPOT);
    world.wait_polls(&guard, SPOT, 2, seconds(20));
    world.imds.set_date(Date::Ahead(SLEEP));
    world.imds.interrupt("terminate", seconds(30));
    guard.expect("the next notice is a new one", seconds(20), || (guard.count_responses() == 2).then_some(()));
}
