//! What `kubectl describe node` shows of a response, which docs/operate.md carries.

use std::fs;
use std::path::Path;
use std::process::Command;

use stand_ins::pods::PodSpec;
use stand_ins::skip::skip;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// What kubectl shows of the node, or that it cannot be asked.
fn described(world: &World) -> Option<String> {
    let Some(folder) = std::env::var_os("SPOT_GUARD_TEST_CLUSTER") else {
        skip("kubectl needs a real API server");
        return None;
    };
    let kubeconfig = Path::new(&folder).join("admin.kubeconfig");
    let mut kubectl = Command::new("kubectl");
    let Ok(output) = kubectl.arg("--kubeconfig").arg(kubeconfig).args(["describe", "node", &world.node.name]).output()
    else {
        skip("there is no kubectl here");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The lines that spot-guard is the reason of.
fn of_spot_guard(text: &str) -> Vec<&str> {
    let words = ["exclude-from", "spot-guard", "Taints:", "Unschedulable:", "TerminationNotice"];
    text.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect()
}

/// In any order, with every number and name of a test's as one and the same.
fn blurred(lines: &[&str], node: &str) -> Vec<String> {
    let line = |line: &&str| -> String {
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul"];
        let more = ["Aug", "Sep", "Oct", "Nov", "Dec", "Annotations:", "Labels:"];
        let words = line.split_whitespace().map(|word| word.trim_end_matches(',').replace(node, "NODE"));
        let words = words.filter(|word| !names.contains(&word.as_str()) && !more.contains(&word.as_str()));
        let numbers = words.map(|word| {
            word.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("0")
        });
        numbers.filter(|word| !["s", "m", "m0s", ""].contains(&word.as_str())).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = lines.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn kubectl_shows_the_response_as_the_docs_do() {
    let pods: Vec<PodSpec> = PodSpec::many("web", 5).into_iter().map(|pod| pod.grace(5).stops_in(1.0)).collect();
    let world = World::new("described", &pods);
    let guard = world.start(world.setup(PROGRAM).hook("pre-drain", "10-nginx", "exit 7"));
    world.interrupt(&guard, 20);
    guard.wait_done(seconds(30));
    for reason in ["SpotInterruption", "Cordon", "DrainStarted", "HookFailed", "DrainFinished"] {
        world.wait_event(&guard, reason, "");
    }
    let Some(text) = described(&world) else { return };
    let seen = of_spot_guard(&text);
    println!("{}", seen.join("\n"));
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operate.md")).unwrap();
    let (_, block) = page.split_once("$ kubectl describe node").expect("what kubectl shows in docs/operate.md");
    let shown = of_spot_guard(block.split("```").next().unwrap());
    assert_eq!(
        blurred(&shown, "ip-10-0-1-7"),
        blurred(&seen, &world.node.name),
        "docs/operate.md does not show\n{text}"
    );
}
