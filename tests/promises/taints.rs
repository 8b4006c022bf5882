//! Taints of one's own choosing go on the node where the credentials may set them; where not, the cordon stands alone.

use std::time::Duration;

use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const CONFIG: &str = "[kubernetes]\ntaints = [\"example.com/going=soon:NoSchedule\"]";

fn has_taint(world: &World) -> bool {
    let taints = world.cluster.node(&world.node)["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints
        .iter()
        .any(|taint| taint["key"] == "example.com/going" && taint["value"] == "soon" && taint["effect"] == "NoSchedule")
}

#[test]
fn a_refused_taint_stops_neither_the_cordon_nor_the_drain() {
    let world = World::new("no-taint", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let guard = world.start(world.setup(PROGRAM).config(CONFIG));
    world.interrupt(&guard, 15);
    let record = guard.wait_done(seconds(20));
    assert_eq!(world.cluster.node(&world.node)["spec"]["unschedulable"], true);
    assert!(!has_taint(&world));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    let errors = record["errors"].as_array().cloned().unwrap_or_default();
    assert!(errors.iter().any(|error| error.as_str().is_some_and(|text| text.contains("taints"))), "{errors:?}");
}

#[test]
fn a_taint_is_set_where_the_credentials_may() {
    let world = World::new("taint", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let setup = world.setup(PROGRAM).config(CONFIG).argument("--node-name").argument(&world.node.name);
    let administrator = world.cluster.authority().client("administrator", "system:masters", Duration::from_secs(3600));
    world.kubeconfigs(&setup).rotate(&administrator);
    let guard = setup.start();
    guard.wait_line("is ready", seconds(10));
    world.interrupt(&guard, 15);
    guard.expect("the taint", seconds(10), || has_taint(&world).then_some(()));
    assert_eq!(guard.wait_done(seconds(20))["outcome"], "complete");
}
