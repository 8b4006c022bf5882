//! The log tells the story of a response in fewer than 20 lines, each with the response's id; and nothing while nothing
//! happens.

use std::fs;

use serde_json::Value;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::SPOT;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// A hundred pods to stop: most at once, some that take their time, some behind a closed budget, one that wants more than
/// there is.
fn world() -> World {
    let mut pods: Vec<PodSpec> = PodSpec::many("web", 86).into_iter().map(|pod| pod.grace(10).stops_in(1.0)).collect();
    pods.extend(PodSpec::many("api", 7).into_iter().map(|pod| pod.grace(20).stops_in(6.0)));
    pods.extend(PodSpec::many("db", 6).into_iter().map(|pod| pod.grace(14).stops_in(6.0)));
    pods.push(PodSpec::new("queue-0").grace(300).stops_in(4.0));
    pods.extend([PodSpec::new("cni-0").daemon_set(), PodSpec::new("proxy-0").mirror()]);
    let world = World::new("story", &pods);
    world.cluster.make_budget(&world.node, "db", "db", 6, 6);
    world
}

fn setup(world: &World) -> Setup {
    let setup = world.setup(PROGRAM).hook("notice", "10-tell", "true");
    setup.hook("pre-drain", "10-nginx", "echo nginx takes no new connections").hook(
        "post-drain",
        "20-ship-logs",
        "true",
    )
}

fn texts(guard: &Guard) -> Vec<String> {
    guard.lines().into_iter().map(|line| line.text).collect()
}

/// Runs a response to its end: the lines before it, its own, and its id.
fn respond(world: &World, setup: Setup) -> (Vec<String>, Vec<String>, String) {
    let guard = world.start(setup);
    guard.wait_line("is ready", seconds(20));
    let before = texts(&guard);
    world.interrupt(&guard, 30);
    let record = guard.wait_done(seconds(40));
    guard.wait_line("s to spare", seconds(20));
    world.wait_event(&guard, "DrainFinished", "");
    let lines = texts(&guard);
    let id = record["id"].as_str().unwrap().to_owned();
    (before.clone(), lines[before.len()..].to_vec(), id)
}

#[test]
fn a_response_of_a_hundred_pods_is_told_in_fewer_than_twenty_lines_each_with_its_id() {
    let world = world();
    let (before, told, id) = respond(&world, setup(&world));
    assert!(told.len() < 20, "{} lines: {told:#?}", told.len());
    let prefix = format!("response {id}: ");
    // After the time and the level.
    assert!(told.iter().all(|line| line[31..].starts_with(&prefix)), "{prefix}: {told:#?}");
    assert_eq!(before.len(), 3, "{before:#?}");

    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operate.md")).unwrap();
    let (_, block) = page.split_once("```text\n2026-").expect("a log in docs/operate.md");
    let shown: Vec<String> =
        format!("2026-{}", block.split("```").next().unwrap()).lines().map(str::to_owned).collect();
    let all = [before, told].concat();
    assert_eq!(blurred(&shown), blurred(&all), "docs/operate.md shows another log than\n{}", all.join("\n"));
}

/// Without times, numbers of seconds, and what a test's node, namespace, pods and folders are called; in no order, as
/// hooks run beside each other.
fn blurred(lines: &[String]) -> Vec<String> {
    let name = |word: &str| match word {
        word if word.contains("/db-") => "POD".to_owned(),
        word if word.contains("://") => "URL".to_owned(),
        word if word.contains("/kubelet") => "KUBECONFIG".to_owned(),
        word if word.ends_with('Z') || word.ends_with("Z:") => "TIME".to_owned(),
        word if word.parse::<f64>().is_ok_and(|_| word.contains('.')) => "SECONDS".to_owned(),
        word => word.to_owned(),
    };
    let line = |line: &String| {
        let mut words: Vec<String> = line.split_whitespace().map(name).collect();
        for at in 1..words.len() {
            if words[at - 1] == "node" && words[at] != "cordoned," {
                words[at] = "NODE".to_owned();
            }
        }
        // The colon after a pod.
        words.join(" ").replace("POD:", "POD")
    };
    let mut lines: Vec<String> = lines.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn a_program_reads_the_same_story_as_objects_with_the_responses_id() {
    let world = World::new("story-json", &PodSpec::many("web", 3));
    let (before, told, id) = respond(&world, setup(&world).config("[log]\nformat = \"json\""));
    let object = |line: &String| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(before.iter().map(object).all(|line| line["response"].is_null()), "{before:#?}");
    let told: Vec<Value> = told.iter().map(object).collect();
    assert!(told.iter().all(|line| line["response"] == id.as_str()), "{id}: {told:#?}");
    let hook = told.iter().find(|line| line["hook"] == "pre-drain/10-nginx").unwrap_or_else(|| panic!("{told:#?}"));
    assert_eq!(hook["message"], "nginx takes no new connections");
}

#[test]
fn nothing_is_said_while_nothing_happens() {
    let world = World::new("story-calm", &PodSpec::many("web", 3));
    let guard = world.start(world.setup(PROGRAM).config("[imds]\npoll-interval = \"200ms\""));
    guard.wait_line("is ready", seconds(20));
    let said = texts(&guard);
    assert_eq!(said.len(), 3, "what it is, the cluster it found, and that it is ready: {said:#?}");
    let polls = || world.imds.log().iter().filter(|asked| asked.path == SPOT).count();
    let before = polls();
    guard.expect("25 polls more", seconds(30), || (polls() >= before + 25).then_some(()));
    assert_eq!(texts(&guard), said);
}
