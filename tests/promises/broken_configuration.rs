//! A typo does not leave a machine unprotected: what is broken is left out, and that is seen until it is mended.

use std::fs;

use nix::sys::signal::Signal;
use stand_ins::guard::Guard;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_broken_file_is_told_everywhere_until_it_is_mended_and_the_node_is_drained_all_the_same() {
    let world = World::new("broken", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM).config("[drain]\nreserve = \"3s\"\ndelya = \"2s\""));
    let words = "unknown key \"delya\" in [drain]; did you mean \"delay\"?";
    guard.wait_line(words, seconds(10));
    let problems = |guard: &Guard| guard.status().map(|status| status["configuration_problems"].clone());
    let told = guard.expect("a status", seconds(10), || problems(&guard));
    assert!(told[0].as_str().is_some_and(|problem| problem.contains(words)), "{told}");
    let event = guard.expect("an event on the Node", seconds(10), || {
        world.cluster.events(&world.node).into_iter().find(|event| event["reason"] == "InvalidConfiguration")
    });
    assert!(event["message"].as_str().is_some_and(|message| message.contains(words)), "{event}");

    fs::write(guard.folder().join("config.toml"), "[drain]\nreserve = \"3s\"\n").unwrap();
    guard.signal(Signal::SIGHUP);
    guard.wait_line("settings read again", seconds(10));
    guard.expect("the status is clean", seconds(10), || problems(&guard).filter(|told| *told == serde_json::json!([])));

    fs::write(guard.folder().join("config.toml"), "[drain\n").unwrap();
    guard.signal(Signal::SIGHUP);
    guard.expect("the status tells", seconds(10), || problems(&guard).filter(|told| told[0].is_string()));
    world.interrupt(&guard, 25);
    let record = guard.wait_done(seconds(30));
    assert_eq!((&record["outcome"], &record["terms"]["drain"]["reserve_seconds"]), (&"complete".into(), &3.0.into()));
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
}
