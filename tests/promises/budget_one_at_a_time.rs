//! A budget that lets go one pod at a time is waited for: each eviction is repeated until it is accepted.

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::replicas::replace_elsewhere;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

#[test]
fn pods_behind_a_budget_that_allows_one_at_a_time_are_all_evicted_and_none_forced() {
    let pods: Vec<PodSpec> = PodSpec::many("db", 4).into_iter().map(|pod| pod.grace(4).stops_in(0.5)).collect();
    let world = World::new("one", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 3, 4);
    replace_elsewhere(&world.cluster, &world.node, "db");
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 30);
    let record = guard.wait_done(seconds(35));

    assert_eq!(record["outcome"], "complete");
    assert_eq!(record::count(&record, "graceful"), 4);
    let asks = world.asks();
    let accepted: Vec<_> = asks.iter().filter(|ask| ask.code == 201).collect();
    assert_eq!(accepted.len(), 4, "{asks:#?}");
    assert!(asks.iter().all(|ask| ask.what() == "create pods/eviction"), "none is forced: {asks:#?}");
    // A busy real API server sorts conflicts out within one request, for so long that the budget is open again.
    let closed_at_times = asks.iter().any(|ask| ask.code == 429);
    assert!(closed_at_times || world.cluster.api().is_none(), "the budget was closed at times: {asks:#?}");
    world.assert_only_allowed_requests();
}
