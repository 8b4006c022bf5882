//! A grace weighs more than a budget: a pod that its budget does not let go is deleted at its force time.

use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::sightings::Sightings;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// The grace of the pods; the drain ends 2 s before the deadline.
const GRACE: u64 = 5;

#[test]
fn a_pod_behind_a_closed_budget_is_forced_at_its_force_time_and_not_before() {
    let pods: Vec<PodSpec> = PodSpec::many("db", 3).into_iter().map(|pod| pod.grace(GRACE).stops_in(2.0)).collect();
    let world = World::new("closed", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 3, 3);
    let sightings = Sightings::of(&world.cluster, &world.node);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 16);
    let record = guard.wait_done(seconds(20));

    assert_eq!(record::count(&record, "graceful"), 3, "{record:#}");
    for name in ["db-0", "db-1", "db-2"] {
        let pod = record::pod(&record, name);
        assert_eq!(pod["forced"], true);
        let left = record::before_deadline(&record, &pod["asked_at"]);
        assert!((left - (GRACE as f64 + 2.0)).abs() < 0.7, "{name} was forced {left} s before the deadline");
        // A Job's pod failure policy does not count a pod with this condition.
        let asked = sightings.asked(name).expect("seen when it was asked");
        assert!(asked.has_condition("DisruptionTarget"), "{:#}", asked.pod["status"]);
        // Whole seconds that end before the drain does.
        assert!((GRACE - 1..=GRACE).contains(&asked.grace().unwrap_or(0)), "asked with {:?}", asked.grace());
    }
    let asks = world.asks();
    let of = |what: &str| asks.iter().filter(|ask| ask.what() == what).map(|ask| ask.code).collect::<Vec<_>>();
    assert_eq!(of("delete pods"), [200; 3]);
    assert!(of("create pods/eviction").len() >= 6, "evictions were repeated: {asks:#?}");
    assert!(of("create pods/eviction").iter().all(|code| *code == 429));
    world.assert_only_allowed_requests();
}

#[test]
fn two_budgets_on_a_pod_are_a_closed_one() {
    let world = World::new("two", &[PodSpec::new("db-0").grace(GRACE).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "one", "db", 0, 1);
    world.cluster.make_budget(&world.node, "two", "db", 0, 1);
    let guard = world.start(world.setup(PROGRAM));
    world.interrupt(&guard, 12);
    let record = guard.wait_done(seconds(16));
    let pod = record::pod(&record, "db-0");
    assert_eq!((&pod["forced"], &pod["outcome"]), (&true.into(), &"graceful".into()), "{record:#}");
}

#[test]
fn where_budgets_are_not_respected_nobody_waits_for_them() {
    let world = World::new("disrespect", &[PodSpec::new("db-0").grace(GRACE).stops_in(0.5)]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    let guard = world.start(world.setup(PROGRAM).config("[drain]\nrespect-budgets = false"));
    world.interrupt(&guard, 20);
    let record = guard.wait_done(seconds(25));
    let pod = record::pod(&record, "db-0");
    assert!(record::since_notice(&record, &pod["asked_at"]) < 3.0, "{record:#}");
    assert_eq!(pod["outcome"], "graceful");
}
