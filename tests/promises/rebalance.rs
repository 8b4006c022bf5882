//! A rebalance recommendation is told of once and acted on as far as is wanted; a Spot interruption that follows finds
//! the poll quicker and takes over at once.

use std::time::Duration;

use serde_json::Value;
use stand_ins::guard::Guard;
use stand_ins::imds::{REBALANCE, SPOT};
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const NOTICE: &str = "echo $SPOT_GUARD_NOTICE $SPOT_GUARD_RESPONSE >>$OUT/notice";

fn configured(action: &str, window: &str) -> String {
    format!("[responses.rebalance-recommendation]\naction = \"{action}\"\nwindow = \"{window}\"")
}

/// What must be seen of a recommendation that was told of, however often it was polled.
fn assert_told_once(world: &World, guard: &Guard) {
    assert_eq!(guard.count_responses(), 1, "a second response began");
    assert_eq!(guard.told("notice"), ["rebalance-recommendation observe"]);
    assert_eq!(guard.told("pre-drain"), [""; 0]);
    assert_eq!(world.count_events("RebalanceRecommendation"), 1);
    assert_eq!(world.condition(), Some(("True".to_owned(), "RebalanceRecommendation".to_owned())));
    assert!(!world.is_cordoned() && !world.is_labelled() && world.annotation().is_none());
    assert_eq!(world.count_accepted("patch nodes"), 0);
    assert!(world.asks().is_empty(), "{:#?}", world.asks());
}

#[test]
fn it_is_told_of_once_and_changes_nothing_and_not_again_after_a_crash() {
    let world = World::new("rebalance", &[PodSpec::new("web-0")]);
    let setup =
        world.setup(PROGRAM).hook("notice", "10-tell", NOTICE).hook("pre-drain", "10-no", "echo >>$OUT/pre-drain");
    let mut guard = world.start(setup);
    world.imds.recommend_rebalance();
    let record = guard.wait_done(seconds(20));
    world.wait_event(&guard, "RebalanceRecommendation", "m5.large in eu-west-1a");
    world.assert_events_are_of_the_pool();
    assert_eq!(
        (&record["terms"]["reaction"], &record["outcome"]),
        (&"observe".into(), &"complete".into()),
        "{record:#}"
    );
    world.wait_polls(&guard, REBALANCE, 2, seconds(30));
    assert_told_once(&world, &guard);

    guard.kill();
    guard.start_again();
    world.wait_polls(&guard, REBALANCE, 2, seconds(40));
    assert_told_once(&world, &guard);
    world.assert_only_allowed_requests();
}

#[test]
fn where_a_cordon_is_wanted_the_node_is_cordoned_and_stays_in_the_load_balancers() {
    let world = World::new("rebalance-cordon", &[PodSpec::new("web-0").grace(5)]);
    let setup =
        world.setup(PROGRAM).hook("notice", "10-tell", NOTICE).hook("pre-drain", "10-no", "echo >>$OUT/pre-drain");
    let guard = world.start(setup.config(&configured("cordon", "10m")));
    world.imds.recommend_rebalance();
    let record = guard.wait_done(seconds(20));
    world.wait_event(&guard, "Cordon", "");
    world.wait_polls(&guard, REBALANCE, 1, seconds(20));
    assert!(world.is_cordoned() && !world.is_labelled());
    let node = &record["node"];
    assert_eq!((&node["cordoned_by_us"], &node["labelled_by_us"]), (&true.into(), &false.into()), "{record:#}");
    assert_eq!(guard.told("notice"), ["rebalance-recommendation cordon"]);
    assert_eq!(guard.told("pre-drain"), [""; 0]);
    assert!(world.asks().is_empty(), "{:#?}", world.asks());
    world.assert_only_allowed_requests();
}

#[test]
fn where_a_drain_is_wanted_a_closed_budget_is_never_passed_over() {
    let pods = [PodSpec::new("web-0").grace(2).stops_in(0.5), PodSpec::new("db-0").grace(2).stops_in(0.5)];
    let world = World::new("rebalance-drain", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(world.setup(PROGRAM).config(&configured("drain", "15s")));
    world.imds.recommend_rebalance();
    let record = guard.wait_done(seconds(40));
    assert_eq!(record["outcome"], "incomplete", "{record:#}");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "graceful");
    let held = record::pod(&record, "db-0");
    assert_eq!((&held["outcome"], &held["forced"], &held["asked_at"]), (&"left".into(), &false.into(), &Value::Null));
    let asks = world.asks();
    assert!(asks.iter().all(|ask| ask.what() == "create pods/eviction"), "{asks:#?}");
    assert!(asks.iter().filter(|ask| ask.name == "db-0").all(|ask| ask.code == 429), "{asks:#?}");
    let window = record::before_deadline(&record, &record["notice"]["first_seen"]);
    assert!((window - 15.0).abs() < 0.1, "its window is {window} s");
    assert!(world.is_cordoned() && world.is_labelled());
    world.assert_only_allowed_requests();
}

#[test]
fn while_it_stands_spots_path_is_asked_at_the_quicker_pace() {
    let world = World::new("rebalance-pace", &[]);
    world.imds.recommend_rebalance();
    let setup = world.setup(PROGRAM).config("[imds]\npoll-interval = \"3s\"\npoll-interval-at-risk = \"200ms\"");
    let guard = setup.start();
    guard.expect("the recommendation is served", seconds(40), || world.imds.first_served(REBALANCE));
    // At the slower pace these would take a minute.
    world.wait_polls(&guard, SPOT, 20, seconds(20));
}

#[test]
fn an_interruption_takes_a_drain_over_at_once_and_nothing_is_done_twice() {
    let slow = PodSpec::new("web-0").grace(20).stops_in(12.0);
    let world = World::new("rebalance-spot", &[slow, PodSpec::new("db-0").grace(3).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let setup =
        world.setup(PROGRAM).hook("notice", "10-tell", NOTICE).hook("pre-drain", "10-x", "echo >>$OUT/pre-drain");
    let guard = world.start(setup.config(&configured("drain", "10m")));
    world.imds.recommend_rebalance();
    let before = guard.wait_record("web-0 is asked", seconds(20), |record| {
        record["pods"].as_array().into_iter().flatten().any(|pod| !pod["asked_at"].is_null())
    });
    let noticed = world.interrupt(&guard, 25);
    let taken =
        guard.wait_record("it takes over", seconds(10), |record| record["notice"]["kind"] == "spot-interruption");
    assert!(noticed.elapsed() < seconds(5), "{:?}", noticed.elapsed());
    assert_eq!(
        (&taken["id"], &taken["earlier_notices"][0]["kind"]),
        (&before["id"], &"rebalance-recommendation".into())
    );

    let record = guard.wait_done(seconds(40));
    world.wait_event(&guard, "SpotInterruption", "");
    assert_eq!((&record["outcome"], record::count(&record, "graceful")), (&"complete".into(), 2), "{record:#}");
    let left = record::before_deadline(&record, &record::pod(&record, "db-0")["asked_at"]);
    assert!((left - 5.0).abs() < 0.9, "db-0 was forced {left} s before the deadline");
    assert_eq!(world.asks().iter().filter(|ask| ask.name == "web-0").count(), 1, "{:#?}", world.asks());
    assert_eq!(guard.told("notice"), ["rebalance-recommendation drain", "spot-interruption drain"]);
    assert_eq!(guard.told("pre-drain").len(), 1);
    assert_eq!(world.count_accepted("patch nodes"), 1, "cordoned once");
    assert_eq!(guard.count_responses(), 1);
    world.assert_only_allowed_requests();
}

#[test]
fn an_interruption_after_one_that_was_only_told_of_is_drained_at_once() {
    let world = World::new("rebalance-told", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM).hook("notice", "10-tell", NOTICE));
    world.imds.recommend_rebalance();
    let told = guard.wait_done(seconds(20));
    world.wait_event(&guard, "RebalanceRecommendation", "");
    world.interrupt(&guard, 20);
    let record = guard.wait_record("the drain has ended", seconds(30), |record| {
        record["id"] != told["id"] && !record["outcome"].is_null()
    });
    assert_eq!((&record["notice"]["kind"], &record["outcome"]), (&"spot-interruption".into(), &"complete".into()));
    assert!(record::since_notice(&record, &record["node"]["settled_at"]) < 2.0, "{record:#}");
    assert_eq!(guard.told("notice"), ["rebalance-recommendation observe", "spot-interruption drain"]);
    guard.expect("the condition is the interruption's", Duration::from_secs(10), || {
        world.condition().filter(|condition| condition.1 == "SpotInterruption")
    });
}
