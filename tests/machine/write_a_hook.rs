//! What docs/write-a-hook.md has a new user do, done word by word, and what it says that one sees.

use stand_ins::docs;

use crate::machine::{Machine, plan};

/// What a shell says, in the folder that the page asks for.
fn says(machine: &Machine, commands: &str) -> String {
    machine.says(&["bash", "-ec", &format!("exec 2>&1\nmkdir -p /root/new\ncd /root/new\n{commands}\necho went well")])
}

/// The words of a line. Numbers are those of the day, and so is the width of columns.
fn words(line: &str) -> String {
    let words = line.split_whitespace().map(|word| if word.parse::<f64>().is_ok() { "0" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn assert_shows(said: &str, shown: &str) {
    let mut lines = said.lines().map(words);
    for line in shown.lines().map(words) {
        assert!(lines.any(|said| said.contains(&line)), "{line}\nis not to be seen there in\n{said}");
    }
}

fn is_healthy(machine: &Machine) -> bool {
    says(machine, "[ ! -e /run/healthy ] || echo healthy").contains("healthy")
}

#[test]
fn the_page_on_writing_a_hook_can_be_followed_word_by_word() {
    let Some(plan) = plan() else { return };
    let machine = plan.boot();
    let mut said = String::new();
    for (language, block) in docs::blocks("write-a-hook.md") {
        if block.starts_with("#!") {
            assert_eq!(machine.read("/root/new/my-hooks/pre-drain.d/10-leave"), block, "the page shows the template");
        } else if language == "sh" {
            said = says(&machine, &block);
            assert!(said.ends_with("went well\n"), "{block}{said}");
            // The one response beside the daemon.
            assert!(!block.contains("--state-dir") || !is_healthy(&machine), "{said}");
        } else {
            assert_shows(&said, &block);
        }
    }
    let told = ["hook pre-drain/10-leave: out of service", "hook uncordon/10-leave: in service again"];
    for line in told {
        machine.wait_for(line, || machine.journal().contains(line));
    }
    machine.wait_for("the file", || is_healthy(&machine));
}
