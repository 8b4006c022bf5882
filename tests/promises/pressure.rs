//! A node under pressure is cordoned within a second of the notice being served, and its pods are stopped: with processors
//! that never rest, with memory that is short, with a disk that hangs, and with all three.
//!
//! What is driven is the release, with the weight that its unit gives it.

mod disk;
mod memory;
mod processors;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stand_ins::guard::{Guard, Setup};
use stand_ins::pods::PodSpec;
use stand_ins::skip::skip;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::{PROGRAM, seconds};
use disk::Hanging;
use memory::Shortage;
use processors::Busy;

const PODS: usize = 10;
const PROMISED: Duration = Duration::from_secs(1);

/// The release; `None`, after having said so, where there is none: what a build for trying things out needs is no promise.
fn release() -> Option<PathBuf> {
    let named = std::env::var_os("SPOT_GUARD_TEST_BINARY").map(PathBuf::from);
    if named.is_none() {
        skip("SPOT_GUARD_TEST_BINARY names no release; `make test` builds one");
    }
    named
}

/// On a stand-in: how long a real API server takes on a busy machine says nothing of spot-guard.
fn world(purpose: &str) -> World {
    let pods = PodSpec::many("web", PODS).into_iter().map(|pod| pod.grace(5).stops_in(0.5));
    World::on_stand_in(purpose, &pods.collect::<Vec<_>>())
}

fn setup(world: &World) -> Setup {
    let setup = world.setup(PROGRAM).config("[imds]\npoll-interval = \"200ms\"");
    setup.hook("pre-drain", "10-x", "true").hook("post-drain", "10-x", "true")
}

/// Has `program` run in the groups that these files let it into.
fn in_groups(setup: Setup, program: &Path, doors: &[PathBuf]) -> Setup {
    let join: String = doors.iter().map(|door| format!("echo $$ >{}\n", door.display())).collect();
    let script = setup.folder().join("in-groups");
    fs::write(&script, format!("#!/bin/sh -e\n{join}exec {} \"$@\"\n", program.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    setup.program(script.to_str().unwrap())
}

/// Lets the notice come: the node is cordoned in time, each pod is asked once and stops in its own time.
fn assert_responds_in_time(world: &World, guard: &Guard) {
    let served = world.interrupt(guard, 12);
    let served = OffsetDateTime::now_utc() - served.elapsed();
    let cordon = guard.expect("the node is cordoned", seconds(20), || {
        world.audit().into_iter().find(|request| request.what() == "patch nodes" && request.code == 200)
    });
    let took = cordon.answered - served;
    println!("cordoned {took} after the notice was served");
    assert!(took <= PROMISED, "cordoned {took} after the notice was served\n{}", guard.log());
    // The record may be on a disk that hangs.
    let response = guard.expect("the response has ended", seconds(30), || {
        guard.status().filter(|status| status["state"] == "done").map(|mut status| status["response"].take())
    });
    let pods = response["pods"].as_array().unwrap();
    assert!(pods.len() == PODS && pods.iter().all(|pod| pod["outcome"] == "graceful"), "{pods:#?}");
    assert_eq!(world.asks().len(), PODS, "{:#?}", world.asks());
}

#[test]
fn processors_that_never_rest_do_not_hold_up_the_cordon() {
    let Some(release) = release() else { return };
    let Some(mut busy) = Busy::new() else { return };
    let world = world("busy");
    let guard = world.start(in_groups(setup(&world), &release, &[busy.door()]));
    busy.begin();
    assert_responds_in_time(&world, &guard);
    busy.assert_still_busy();
}

#[test]
fn memory_that_is_short_does_not_hold_up_the_cordon() {
    let Some(release) = release() else { return };
    let Some(mut shortage) = Shortage::new() else { return };
    let world = world("short");
    let setup = setup(&world);
    let program = memory::not_in_memory(&release, setup.folder());
    let guard = world.start(in_groups(setup, &program, &[shortage.door()]));
    shortage.begin(guard.pid(), guard.folder());
    let before = memory::read_from_disk(guard.pid());
    assert_responds_in_time(&world, &guard);
    assert!(memory::read_from_disk(guard.pid()) > before, "all that was needed was in memory");
    shortage.assert_still_short();
}

#[test]
fn a_disk_that_hangs_does_not_hold_up_the_cordon() {
    let Some(release) = release() else { return };
    let Some(mut disk) = Hanging::new() else { return };
    let world = world("hang");
    let setup = setup(&world);
    let program = disk.take(&setup, &release);
    let guard = world.start(in_groups(setup, &program, &[disk.door()]));
    // Let go before spot-guard is to end, which waits for it.
    let _hang = disk.hang();
    assert_responds_in_time(&world, &guard);
    assert!(guard.record().is_none(), "the disk did not hang");
}

#[test]
fn all_three_at_once_do_not_hold_up_the_cordon() {
    let Some(release) = release() else { return };
    let (Some(mut busy), Some(mut shortage), Some(mut disk)) = (Busy::new(), Shortage::new(), Hanging::new()) else {
        return;
    };
    let world = world("all");
    let setup = setup(&world);
    // The program is on another disk: what is short of memory has to read it again and again.
    let program = memory::not_in_memory(&release, setup.folder());
    disk.take(&setup, &release);
    let guard = world.start(in_groups(setup, &program, &[busy.door(), shortage.door(), disk.door()]));
    busy.begin();
    shortage.begin(guard.pid(), guard.folder());
    let _hang = disk.hang();
    assert_responds_in_time(&world, &guard);
    assert!(guard.record().is_none(), "the disk did not hang");
    busy.assert_still_busy();
    shortage.assert_still_short();
}
