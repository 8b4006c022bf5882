//! What the shipped hook of local-drain stops where there is no cluster: containers of docker, podman and containerd, each
//! with its own stop timeout.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use stand_ins::skip::skip;

use crate::machine::{Machine, plan_on};

/// Docker's bridge needs more of the network than a machine here may change.
const DOCKER: &str = r#"{"iptables": false, "ip-forward": false, "bridge": "none"}"#;

/// Makes the image test/worker:1 for each of them, of busybox.
const IMAGE: &str = r"set -e
cd $(mktemp -d)
mkdir bin /var/tmp/out
cp /bin/busybox bin
for applet in sh sleep cut echo; do ln -s busybox bin/$applet; done
tar -c . | docker import - docker.io/test/worker:1
docker save docker.io/test/worker:1 --output image.tar
podman load --input image.tar
ctr images import image.tar";

/// A container, called after the tool that runs it.
struct Worker {
    name: &'static str,
    options: &'static str,
    /// What it is told to stop with.
    signal: &'static str,
    /// So many seconds it works then; nothing: it ignores that.
    works: Option<u32>,
}

/// Without another number docker, podman and nerdctl give 10 s.
const WORKERS: [Worker; 4] = [
    Worker { name: "plain", options: "--restart=always", signal: "TERM", works: Some(4) },
    Worker { name: "slow", options: "--stop-timeout=45", signal: "TERM", works: Some(14) },
    Worker { name: "quits", options: "--stop-signal=SIGQUIT", signal: "QUIT", works: Some(1) },
    Worker { name: "stubborn", options: "--stop-timeout=3", signal: "TERM", works: None },
];

impl Worker {
    /// A shell that writes down each of its steps.
    fn script(&self, tool: &str) -> String {
        let work = self.works.map(|seconds| format!("; sleep {seconds}; say finished; exit 0")).unwrap_or_default();
        format!(
            "say() {{ echo $1 >>/out/{tool}-{}; }}; trap 'say told{work}' {}; say started; while :; do sleep 1000 & wait $!; done",
            self.name, self.signal
        )
    }

    fn run(&self, machine: &Machine, tool: &str, image: &str, more: &str) {
        let Worker { name, options, .. } = self;
        let run = format!(
            "{tool} run --detach --network=none --volume=/var/tmp/out:/out --name={name} {options} {more} {image} sh -c \"$1\""
        );
        machine.run(&["sh", "-c", &run, "-", &self.script(tool)]);
        self.wait_started(machine, tool);
    }

    fn wait_started(&self, machine: &Machine, tool: &str) {
        machine.wait_for(&format!("{tool}-{}", self.name), || !self.story(machine, tool).is_empty());
    }

    fn story(&self, machine: &Machine, tool: &str) -> Vec<String> {
        let story = machine.read(&format!("/var/tmp/out/{tool}-{}", self.name));
        story.lines().map(str::to_owned).collect()
    }

    /// It was told once, had the time that it needs, and was not started again. How often containerd starts one that is
    /// to run always, while that is new to it, is its own matter.
    fn assert_stopped(&self, machine: &Machine, tool: &str) {
        let mut steps = self.story(machine, tool);
        steps.dedup();
        let wanted = if self.works.is_some() { &["started", "told", "finished"][..] } else { &["started", "told"] };
        assert_eq!(steps, wanted, "{tool}-{}:\n{}", self.name, machine.journal());
    }
}

fn machine() -> Option<Machine> {
    let plan = plan_on("SPOT_GUARD_TEST_CONTAINERS")?.with_containers();
    let machine = plan.file("/etc/docker/daemon.json", 0o644, DOCKER).boot();
    machine.run(&["sh", "-c", IMAGE]);
    Some(machine)
}

/// Interrupts the machine and waits for the end of the response, in which all goes well.
fn drain(machine: &Machine) {
    machine.interrupt(Duration::from_secs(100));
    let record = || machine.records().pop().unwrap_or_default();
    machine.wait_for("the end of the response", || !record()["outcome"].is_null());
    let record = record();
    let hooks = record["hooks"].as_array().unwrap();
    let failed: Vec<&Value> = hooks.iter().filter(|hook| hook["exit"] != 0).collect();
    assert!(hooks.len() == 1 && failed.is_empty(), "{hooks:#?}");
}

#[test]
fn containers_of_docker_podman_and_containerd_have_their_own_time_and_are_not_started_again() {
    let Some(machine) = machine() else { return };
    for worker in WORKERS {
        worker.run(&machine, "docker", "docker.io/test/worker:1", "");
        // The machines here have no pids controller.
        worker.run(&machine, "podman", "localhost/test/worker:1", "--pids-limit=0");
    }
    // What holds a pod's namespaces is nothing that works, and runs on.
    let pod = "podman pod create --name=pod --network=none --infra-image=localhost/test/worker:1 \
        --infra-command='sleep 1000' && podman run --detach --pod=pod --pids-limit=0 localhost/test/worker:1 sleep 1000";
    machine.run(&["sh", "-c", pod]);
    let [plain, ..] = WORKERS;
    let ctr = "ctr run --detach --cpu-shares=0 --mount=type=bind,src=/var/tmp/out,dst=/out,options=rbind:rw \
        docker.io/test/worker:1 plain sh -c \"$1\"";
    machine.run(&["sh", "-c", ctr, "-", &plain.script("ctr")]);
    plain.wait_started(&machine, "ctr");

    drain(&machine);
    for worker in WORKERS {
        worker.assert_stopped(&machine, "docker");
        worker.assert_stopped(&machine, "podman");
    }
    plain.assert_stopped(&machine, "ctr");
    assert_eq!(machine.says(&["docker", "ps", "--quiet"]), "");
    assert_eq!(machine.says(&["podman", "ps", "--format={{.IsInfra}}"]), "true\n");
    assert!(!machine.says(&["ctr", "tasks", "ls"]).contains("RUNNING"));
}

#[test]
fn containers_of_nerdctl_have_their_own_time_and_are_not_started_again() {
    let Some(nerdctl) = std::env::var_os("SPOT_GUARD_TEST_NERDCTL") else {
        return skip("SPOT_GUARD_TEST_NERDCTL names no nerdctl; `make test`, run by root, builds one");
    };
    let Some(machine) = machine() else { return };
    fs::copy(nerdctl, machine.path("/usr/local/bin/nerdctl")).unwrap();
    for worker in WORKERS {
        worker.run(&machine, "nerdctl", "docker.io/test/worker:1", "");
    }
    drain(&machine);
    for worker in WORKERS {
        worker.assert_stopped(&machine, "nerdctl");
    }
    assert_eq!(machine.says(&["nerdctl", "ps", "--quiet"]), "");
}
