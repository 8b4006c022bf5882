//! A full node is drained in one burst: every pod asked at once, with its own grace, and nothing else touched.

use std::collections::BTreeSet;

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::sightings::Sightings;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn a_hundred_and_five_pods_are_asked_at_once_and_daemon_set_and_static_pods_stay() {
    let mut pods: Vec<PodSpec> = PodSpec::many("web", 103).into_iter().map(|pod| pod.grace(10).stops_in(2.0)).collect();
    pods.extend(PodSpec::many("dns", 2).into_iter().map(|pod| pod.grace(10).critical()));
    let staying = [PodSpec::new("cni-0").daemon_set(), PodSpec::new("proxy-0").mirror()];
    pods.extend(staying.clone());
    pods.push(PodSpec::new("job-0").job().succeeded());
    let world = World::new("many", &pods);
    let sightings = Sightings::of(&world.cluster, &world.node);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 30);
    let record = guard.wait_done(seconds(35));

    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record::count(&record, "graceful"), 105);
    let asks = world.asks();
    let asked: BTreeSet<&str> = asks.iter().map(|ask| ask.name.as_str()).collect();
    assert_eq!((asks.len(), asked.len()), (105, 105), "each pod is asked once");
    assert!(asks.iter().all(|ask| ask.what() == "create pods/eviction" && ask.code == 201));
    // A pod whose containers have ended is gone to spot-guard a moment before its kubelet has removed it.
    let stay: BTreeSet<String> = ["cni-0", "proxy-0", "job-0"].map(str::to_owned).into();
    guard.expect("only those that stay are left", seconds(20), || (names(&world) == stay).then_some(()));
    // Each with its own grace.
    assert!(asked.iter().all(|name| sightings.asked(name).and_then(|s| s.grace()) == Some(10)));
    // The figure, 1 s, is for the release on an idle machine; here others build and test.
    let burst = record::since_notice(
        &record,
        &record["pods"].as_array().unwrap().iter().map(|pod| pod["asked_at"].clone()).max_by_key(record::time).unwrap(),
    );
    assert!(burst < 5.0, "the last of 105 pods was asked after {burst} s");
    world.assert_only_allowed_requests();
    let others = world.audit().iter().filter(|r| r.what() != "create pods/eviction").count();
    assert!(
        others <= 15 + 5,
        "beside one a pod at most 15 requests, and the keeper's: {:#?}",
        world.audit().iter().filter(|r| r.what() != "create pods/eviction").collect::<Vec<_>>()
    );
}

#[test]
fn critical_pods_are_asked_last_in_the_burst() {
    let mut pods: Vec<PodSpec> = PodSpec::many("web", 60).into_iter().map(|pod| pod.grace(10)).collect();
    // The first of the list, by name.
    pods.push(PodSpec::new("dns-0").grace(10).critical());
    let world = World::new("critical", &pods);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 30);
    guard.wait_done(seconds(35));
    let asks = world.asks();
    let before = asks.iter().position(|ask| ask.name == "dns-0");
    // As many are under way at once as there are slots, more where the API server is slow, and they overtake each other.
    assert!(before >= Some(60 / 2), "asked as number {before:?}");
}

fn names(world: &World) -> BTreeSet<String> {
    let pods = world.cluster.pods(&world.node);
    pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect()
}
