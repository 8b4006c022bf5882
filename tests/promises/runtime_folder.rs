//! Without its runtime folder the daemon goes on, and has it again as soon as that can be.

use std::fs;

use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};

use crate::{PROGRAM, seconds};

fn setup(imds: &Imds) -> Setup {
    Setup::new(PROGRAM).imds(imds).without_kubernetes()
}

fn wait_polled(guard: &Guard, imds: &Imds) {
    guard.expect("IMDS is polled", seconds(10), || imds.log().into_iter().find(|asked| asked.path == SPOT));
}

#[test]
fn a_runtime_folder_that_is_removed_comes_back_with_the_next_change() {
    let imds = Imds::on_loopback();
    let guard = setup(&imds).start();
    wait_polled(&guard, &imds);
    guard.expect("a status", seconds(10), || guard.status());
    // It may write just then.
    guard.expect("it is removed", seconds(10), || fs::remove_dir_all(guard.folder().join("run")).ok());
    imds.interrupt("terminate", seconds(12));
    guard.expect("the status is back", seconds(10), || guard.status().filter(|status| !status["response"].is_null()));
    assert_eq!(guard.wait_done(seconds(15))["outcome"], "complete");
}

/// Starts it with a file in the place of the folder.
fn start_without(setup: Setup, imds: &Imds) -> Guard {
    let run = setup.folder().join("run");
    fs::remove_dir(&run).unwrap();
    fs::write(&run, "").unwrap();
    let guard = setup.start();
    wait_polled(&guard, imds);
    guard.wait_line("a second copy would not be noticed", seconds(10));
    guard.wait_line("cannot write the status", seconds(10));
    guard
}

#[test]
fn a_file_in_its_place_is_told_and_stops_nothing() {
    let imds = Imds::on_loopback();
    let guard = start_without(setup(&imds).hook("pre-drain", "10-x", "touch $OUT/ran"), &imds);
    imds.interrupt("terminate", seconds(12));
    assert_eq!(guard.wait_done(seconds(15))["outcome"], "complete");
    assert!(guard.out().join("ran").exists());
}

#[test]
fn once_it_can_be_made_the_status_is_there_though_nothing_has_changed() {
    let imds = Imds::on_loopback();
    let guard = start_without(setup(&imds), &imds);
    // By then all that is news at a start has been told.
    guard.expect("some polls", seconds(20), || {
        (imds.log().iter().filter(|asked| asked.path == SPOT).count() >= 4).then_some(())
    });
    fs::remove_file(guard.folder().join("run")).unwrap();
    guard.expect("a status", seconds(10), || guard.status());
    guard.wait_line("the status is written again", seconds(10));
}
