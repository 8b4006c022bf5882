//! Whatever is wrong with the disk that holds the records, the response goes on, the trouble is told, and it ends when
//! its cause does.

use std::fs;
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use stand_ins::disk::Disk;
use stand_ins::guard::{Guard, Setup};
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// Waits until `status.json` says so of the record.
fn wait_told(guard: &Guard, trouble: &str) {
    guard.expect(&format!("the status tells: {trouble}"), seconds(15), || {
        let record = guard.status()?["record"].clone();
        (record["ok"] == false && record["trouble"].as_str()?.contains(trouble)).then_some(())
    });
}

fn wait_well(guard: &Guard) {
    guard.expect("the status tells that all is well", seconds(15), || {
        guard.status().filter(|status| status["record"]["ok"] == true && status["record"]["trouble"].is_null())
    });
}

/// Waits until the response has ended, by the status; the response as that has it.
fn wait_ended(guard: &Guard) -> Value {
    guard.expect("the response has ended", seconds(30), || {
        guard.status().filter(|status| status["state"] == "done").map(|mut status| status["response"].take())
    })
}

fn pod() -> PodSpec {
    PodSpec::new("web-0").grace(5).stops_in(0.5)
}

fn with_hooks(setup: Setup) -> Setup {
    let setup = setup.hook("pre-drain", "10-x", "echo pre-drain >>$OUT/ran");
    setup.hook("post-drain", "10-x", "echo post-drain >>$OUT/ran")
}

fn assert_all_was_done(guard: &Guard, response: &Value) {
    assert_eq!(response["outcome"], "complete", "{response:#}");
    assert_eq!(fs::read_to_string(guard.out().join("ran")).unwrap_or_default(), "pre-drain\npost-drain\n");
}

#[test]
fn a_full_disk_stops_nothing_and_the_record_is_written_once_there_is_room() {
    let Some(disk) = Disk::in_memory() else { return };
    let world = World::new("diskfull", &[pod()]);
    let setup = with_hooks(world.setup(PROGRAM));
    disk.put_at(&setup.folder().join("state"));
    let guard = world.start(setup);
    wait_well(&guard);
    disk.fill();
    world.interrupt(&guard, 30);
    wait_told(&guard, "No space left on device");
    let response = wait_ended(&guard);
    assert_all_was_done(&guard, &response);
    assert!(guard.record().is_none(), "the disk was not full");

    disk.make_room();
    let record = guard.wait_done(seconds(10));
    assert_eq!(record["id"], response["id"]);
    wait_well(&guard);
    guard.wait_line("records are written again", seconds(5));
    assert_eq!(guard.log().matches("No space left").count(), 1, "said again and again:\n{}", guard.log());
}

#[test]
fn a_read_only_disk_is_told_before_there_is_any_notice_and_stops_nothing() {
    let Some(disk) = Disk::in_memory() else { return };
    let world = World::new("diskro", &[pod()]);
    let setup = with_hooks(world.setup(PROGRAM));
    disk.put_at(&setup.folder().join("state"));
    disk.make_read_only();
    let guard = world.start(setup);
    wait_told(&guard, "Read-only file system");
    world.interrupt(&guard, 30);
    assert_all_was_done(&guard, &wait_ended(&guard));

    disk.make_writable();
    assert_eq!(guard.wait_done(seconds(10))["outcome"], "complete");
    wait_well(&guard);
}

#[test]
fn a_disk_that_hangs_holds_up_nothing_and_has_the_record_once_it_goes_on() {
    let Some(mut disk) = Disk::that_can_hang() else { return };
    let world = World::new("diskhang", &[pod()]);
    let setup = with_hooks(world.setup(PROGRAM));
    disk.put_at(&setup.folder().join("state"));
    let guard = world.start(setup);
    wait_well(&guard);
    disk.hang();
    world.interrupt(&guard, 30);
    wait_told(&guard, "the disk has not answered");
    let response = wait_ended(&guard);
    assert_all_was_done(&guard, &response);
    assert!(guard.record().is_none(), "the disk did not hang");

    disk.go_on();
    let record = guard.wait_done(seconds(10));
    assert_eq!(record["id"], response["id"]);
    wait_well(&guard);
}

type Damage = fn(&PathBuf);

/// The record of a response that was cut in a hook, with what it was left as by `damage`, and the daemon started again.
fn taken_up_with(purpose: &str, damage: impl Fn(&PathBuf)) -> (World, Guard, PathBuf) {
    let world = World::new(purpose, &[pod()]);
    let hold = "echo ran >>$OUT/held; until [ -e $OUT/go ]; do sleep 0.1; done";
    let mut guard = world.start(with_hooks(world.setup(PROGRAM)).hook("pre-drain", "05-hold", hold));
    world.interrupt(&guard, 30);
    let before = guard.wait_record("a hook runs", seconds(10), |record| !record["hooks"][0]["process"].is_null());
    guard.kill();
    let name = format!("state/responses/{}.json", before["id"].as_str().unwrap());
    let path = guard.folder().join(name);
    damage(&path);
    guard.start_again();
    (world, guard, path)
}

#[test]
fn a_record_that_cannot_be_read_is_set_aside_and_the_response_begun_anew() {
    let cut = |path: &PathBuf| {
        let text = fs::read(path).unwrap();
        fs::write(path, &text[..text.len() / 2]).unwrap();
    };
    let of_another_version = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap().replace("\"version\":1", "\"version\":2");
        fs::write(path, text).unwrap();
    };
    let damages: [(&str, Damage); 4] = [
        ("reccut", cut),
        ("recempty", |path| fs::write(path, "").unwrap()),
        ("recgarbage", |path| fs::write(path, [0xff; 100_000]).unwrap()),
        ("recversion", of_another_version),
    ];
    std::thread::scope(|scope| {
        for (purpose, damage) in damages {
            scope.spawn(move || set_aside(purpose, damage));
        }
    });
}

fn set_aside(purpose: &str, damage: impl Fn(&PathBuf)) {
    let (_world, guard, path) = taken_up_with(purpose, damage);
    guard.wait_line("is no record", seconds(10));
    guard.expect("it is set aside", seconds(10), || path.with_extension("broken").exists().then_some(()));
    guard.expect("the hook runs again", seconds(10), || {
        (fs::read_to_string(guard.out().join("held")).ok()?.lines().count() == 2).then_some(())
    });
    fs::write(guard.out().join("go"), "").unwrap();
    let record = guard.wait_done(seconds(35));
    assert_all_was_done(&guard, &record);
    wait_well(&guard);
}

#[test]
fn a_record_whose_reading_hangs_holds_up_the_start_for_a_moment_only() {
    let (_world, guard, _) = taken_up_with("rechang", |path| {
        fs::remove_file(path).unwrap();
        // Whoever opens it waits for somebody who writes.
        mkfifo(path, Mode::S_IRWXU).unwrap();
    });
    fs::write(guard.out().join("go"), "").unwrap();
    guard.wait_line("the disk has not answered", seconds(10));
    let response = wait_ended(&guard);
    assert_all_was_done(&guard, &response);
}
