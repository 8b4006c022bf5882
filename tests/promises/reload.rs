//! SIGHUP reads the settings again, for the next response; broken ones leave the old in force.

use std::fs;

use nix::sys::signal::Signal;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const OBSERVE: &str = "[responses.spot-interruption]\naction = \"observe\"\n";

/// What becomes of the node when the configuration is replaced by this one and read again.
fn cordoned_after(reloaded: &str, said: &str) -> bool {
    let world = World::new("reload", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let setup = world.setup(PROGRAM).config(OBSERVE);
    let config = setup.folder().join("config.toml");
    let guard = world.start(setup);
    fs::write(&config, reloaded).unwrap();
    guard.signal(Signal::SIGHUP);
    guard.wait_line(said, seconds(10));
    world.interrupt(&guard, 10);
    guard.wait_done(seconds(15));
    world.cluster.node(&world.node)["spec"]["unschedulable"] == true
}

#[test]
fn settings_that_were_read_again_hold_for_the_next_response() {
    assert!(cordoned_after("[responses.spot-interruption]\naction = \"drain\"\n", "settings read again"));
}

#[test]
fn a_broken_file_leaves_the_old_settings_in_force() {
    assert!(!cordoned_after("[responses.spot-interruption]\naction = \"dran\"\n", "the settings stay as they were"));
}

#[test]
fn a_cluster_that_was_set_in_the_middle_of_a_response_is_taken_up_after_it() {
    let world = World::new("reload", &[]);
    let setup = world.setup(PROGRAM).without_kubernetes();
    let config = setup.folder().join("config.toml");
    let guard = setup.start();
    world.wait_polled(&guard);
    world.interrupt(&guard, 6);
    guard.wait_done(seconds(15));
    fs::write(&config, "").unwrap();
    guard.signal(Signal::SIGHUP);
    guard.wait_line("settings read again", seconds(10));
    guard.wait_line(&format!("node {} is ready", world.node.name), seconds(25));
}
