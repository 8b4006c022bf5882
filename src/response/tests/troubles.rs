//! What is kept for whoever reads the record: silences, trouble with the metadata service, refusals, pods that stay.

use super::world::{World, at, s};
use crate::record::{Other, Record, StayingWritten, TroubleWritten};
use crate::response::{Event, written};

fn record(world: &World) -> Record {
    world.guard.record().unwrap()
}

/// Each trouble with when it began and ended, in seconds after the start of the world; the end is -1 while it lasts.
fn troubles(world: &World) -> Vec<(Other, f64, f64)> {
    let record = record(world);
    let start = record.clock.wall;
    let seconds = |time: crate::moment::Timestamp| time.later_than(start).unwrap_or_default().as_secs_f64();
    let of =
        |trouble: &TroubleWritten| (trouble.with, seconds(trouble.started_at), trouble.ended_at.map_or(-1.0, seconds));
    record.troubles.iter().map(of).collect()
}

#[test]
fn each_silence_of_the_api_server_is_kept_with_its_end() {
    let mut world = World::new();
    world.pod("db", 60, 5).budget_opens = Some(at(100.0));
    world.outages = vec![(at(5.0), at(12.0)), (at(25.0), at(1000.0))];
    world.interrupt(120);
    world.run(24.0);
    let first = troubles(&world);
    assert!(matches!(first[..], [(Other::ApiServer, 5.0..10.0, 12.0..18.0)]), "{first:?}");
    world.run(40.0);
    let both = troubles(&world);
    assert!(both.len() == 2 && both[0] == first[0], "{both:?}");
    assert!(matches!(both[1], (Other::ApiServer, 25.0..31.0, -1.0)), "{both:?}");
}

#[test]
fn trouble_with_the_metadata_service_is_kept_and_its_end_too_even_after_a_restart() {
    let mut world = World::new();
    world.pod("a", 30, 60);
    world.interrupt(120);
    world.run(2.0);
    for reason in ["no answer within 1s", "500"] {
        world.feed(Event::MetadataService { trouble: Some(reason.into()) });
    }
    assert!(matches!(troubles(&world)[..], [(Other::MetadataService, 2.0..2.1, -1.0)]), "{:?}", troubles(&world));
    assert_eq!(record(&world).troubles[0].reason.as_deref(), Some("no answer within 1s"), "the first reason");
    world.run(3.0);
    world.restart();
    world.run(4.0);
    world.feed(Event::MetadataService { trouble: None });
    assert!(matches!(troubles(&world)[..], [(Other::MetadataService, 2.0..2.1, 4.0..4.1)]), "{:?}", troubles(&world));
}

#[test]
fn no_more_than_fifty_troubles_are_kept_and_no_long_reasons() {
    let mut world = World::new();
    world.pod("a", 90, 80);
    world.interrupt(120);
    for second in 1..=60 {
        world.run(f64::from(second));
        world.feed(Event::MetadataService { trouble: Some("x".repeat(1000)) });
        world.run(f64::from(second) + 0.5);
        world.feed(Event::MetadataService { trouble: None });
    }
    let troubles = record(&world).troubles;
    assert_eq!(troubles.len(), 50);
    assert!(troubles.iter().all(|trouble| trouble.reason.as_ref().is_some_and(|reason| reason.len() == 300)));
}

#[test]
fn the_first_refusal_of_a_pod_and_how_many_pods_stay_are_kept() {
    let mut world = World::new();
    world.pod("a", 30, 5);
    world.pod("db", 60, 5).budget_opens = Some(at(20.0));
    world.pod("ds", 30, 5).pod.daemon_set = true;
    world.pod("etcd", 30, 5).pod.mirror = true;
    world.interrupt(120);
    world.run(40.0);
    let record = record(&world);
    let of = |name: &str| record.pods.iter().find(|pod| pod.name == name).unwrap();
    assert_eq!(of("a").refused_at, None);
    let refused = of("db").refused_at.and_then(|time| time.later_than(record.clock.wall)).unwrap();
    assert!(refused < s(1) && of("db").asked_at.is_some(), "{refused:?}");
    assert_eq!(record.staying, Some(StayingWritten { daemon_set: 1, static_pods: 1, skipped: 0 }));
    assert_eq!(written::write(&written::read(record.clone())), record);
}
