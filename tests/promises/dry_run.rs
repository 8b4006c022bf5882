//! A dry run changes nothing: the API server is asked for dry runs, hooks are named and not run, and log and record say
//! that this is all there was.

use std::fs;

use stand_ins::cluster::Audited;
use stand_ins::guard::{Guard, Setup};
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

const PHASES: [&str; 5] = ["notice", "during", "pre-drain", "local-drain", "post-drain"];

/// One pod to evict, one to delete past its budget, one that stays.
fn world(purpose: &str) -> World {
    let pod = |name: &str| PodSpec::new(name).grace(5);
    let world = World::new(purpose, &[pod("web-0"), pod("db-0"), PodSpec::new("cni-0").daemon_set()]);
    world.cluster.make_budget(&world.node, "db", "db", 1, 1);
    world
}

fn setup(world: &World) -> Setup {
    PHASES.iter().fold(world.setup(PROGRAM), |setup, phase| setup.hook(phase, "10-touch", "touch $OUT/$1"))
}

/// What asks who it is changes nothing and knows no dry run.
fn writes(world: &World) -> Vec<Audited> {
    let all = world.audit().into_iter();
    all.filter(|request| {
        !matches!(request.verb.as_str(), "get" | "list" | "watch") && request.resource != "selfsubjectreviews"
    })
    .collect()
}

fn assert_nothing_changed(world: &World) {
    let node = world.cluster.node(&world.node);
    for ours in [
        "/spec/unschedulable",
        "/metadata/labels/node.kubernetes.io~1exclude-from-external-load-balancers",
        "/metadata/annotations/spot-guard~1response",
    ] {
        assert_eq!(node.pointer(ours), None, "{ours}");
    }
    let conditions = node["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().all(|condition| condition["type"] != "TerminationNotice"), "{conditions:#?}");
    let events = world.cluster.events(&world.node);
    assert!(events.iter().all(|event| event["source"]["component"] != "spot-guard"), "{events:#?}");
    let pods = world.cluster.pods(&world.node);
    assert_eq!(pods.len(), 3);
    for pod in pods {
        assert_eq!(pod["metadata"].get("deletionTimestamp"), None, "{pod:#}");
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        assert!(conditions.iter().all(|condition| condition["type"] != "DisruptionTarget"), "{pod:#}");
    }
}

fn touched(guard: &Guard) -> Vec<String> {
    let entries = fs::read_dir(guard.out()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// It went all the way, and each step of it as a dry run.
fn assert_asked_for_dry_runs(world: &World) {
    let writes = writes(world);
    let wet: Vec<&Audited> = writes.iter().filter(|request| !request.uri.contains("?dryRun=All")).collect();
    assert!(wet.is_empty(), "{wet:#?}");
    for (what, name, code) in [
        ("patch nodes", world.node.name.as_str(), 200),
        ("patch nodes/status", &world.node.name, 200),
        ("create pods/eviction", "web-0", 201),
        ("create pods/eviction", "db-0", 429),
        ("delete pods", "db-0", 200),
    ] {
        let asked = writes.iter().any(|r| r.what() == what && r.name == name && r.code == code);
        assert!(asked, "{what} {name} was not answered with {code}: {writes:#?}");
    }
    assert!(writes.iter().any(|request| request.what() == "create events"), "{writes:#?}");
}

#[test]
fn a_notice_changes_nothing_and_what_would_be_done_is_asked_told_and_recorded() {
    let world = world("dry");
    let guard = world.start(setup(&world).argument("--dry-run"));
    world.interrupt(&guard, 16);
    let record = guard.wait_done(seconds(25));

    assert_nothing_changed(&world);
    assert_asked_for_dry_runs(&world);
    assert_eq!(touched(&guard), Vec::<String>::new(), "hooks have run");
    // The API server is there.
    for phase in PHASES.iter().filter(|phase| **phase != "local-drain") {
        guard.wait_line(&format!("dry run: hook {phase}/10-touch is not run, and counts as done"), seconds(5));
    }
    guard.wait_line("drain, as a dry run: nothing is changed", seconds(5));
    assert_eq!(record["terms"]["dry_run"], true, "{record:#}");
    assert_eq!((record::count(&record, "left"), &record["outcome"]), (2, &"incomplete".into()), "{record:#}");
    assert!(["web-0", "db-0"].iter().all(|name| !record::pod(&record, name)["asked_at"].is_null()), "{record:#}");
}
