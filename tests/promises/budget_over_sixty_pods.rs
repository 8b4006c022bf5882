//! Many pods under one budget all get through it, however the API server sorts out the conflicts.

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn sixty_pods_behind_one_open_budget_are_all_evicted_and_none_forced() {
    let pods: Vec<PodSpec> = PodSpec::many("web", 60).into_iter().map(|pod| pod.grace(10).stops_in(1.0)).collect();
    let world = World::new("sixty", &pods);
    world.cluster.make_budget(&world.node, "web", "web", 0, 60);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 30);
    let record = guard.wait_done(seconds(35));

    assert_eq!(record::count(&record, "graceful"), 60, "{record:#}");
    assert!(record["pods"].as_array().unwrap().iter().all(|pod| pod["forced"] == false));
    let asks = world.asks();
    assert!(asks.iter().all(|ask| ask.what() == "create pods/eviction"), "{asks:#?}");
    assert_eq!(asks.iter().filter(|ask| ask.code == 201).count(), 60);
}
