//! Pods whose containers tell what happens to them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use stand_ins::pods::PodSpec;

/// A pod with one container that, when it is told to stop, works for a while, and writes down each of its steps.
#[derive(Clone, Debug)]
pub struct Worker {
    spec: PodSpec,
    pub name: String,
    pub grace: u64,
    works: u64,
    image: &'static str,
    /// What it stops on; nothing: it ignores TERM.
    signal: Option<&'static str>,
    pre_stop: Option<Value>,
}

/// What a worker has written down: when, in seconds since the machine was booted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    pub started: Vec<f64>,
    pub prepared: Vec<f64>,
    pub told: Vec<f64>,
    pub finished: Vec<f64>,
}

impl Worker {
    /// Works for `works` seconds of a grace period of `grace`.
    pub fn new(name: &str, grace: u64, works: u64) -> Worker {
        let spec = PodSpec::new(name).grace(grace);
        let name = name.to_owned();
        Worker { spec, name, grace, works, image: "worker", signal: Some("TERM"), pre_stop: None }
    }

    /// `name-0`, `name-1`, …
    pub fn many(name: &str, count: usize, grace: u64, works: u64) -> Vec<Worker> {
        (0..count).map(|index| Worker::new(&format!("{name}-{index}"), grace, works)).collect()
    }

    /// Its image says that it stops on SIGQUIT, and TERM does nothing to it.
    pub fn stops_on_quit(mut self) -> Worker {
        (self.image, self.signal) = ("quits-on-quit", Some("QUIT"));
        self
    }

    pub fn ignores_term(mut self) -> Worker {
        self.signal = None;
        self
    }

    /// Its preStop handler is a command that takes a second.
    pub fn prepares(mut self) -> Worker {
        let script = format!("echo \"prepared $(cut -d' ' -f1 /proc/uptime)\" >>/out/{}; sleep 1", self.name);
        self.pre_stop = Some(json!({"exec": {"command": ["sh", "-c", script]}}));
        self
    }

    pub fn daemon_set(mut self) -> Worker {
        // As the DaemonSet controller marks its pods.
        self.spec = self.spec.daemon_set().label("pod-template-generation", "1");
        self
    }

    /// What is created; its container writes to a file of its name in `out`.
    pub fn object(&self, node: &str, out: &Path) -> Value {
        let mut object = self.spec.object(node);
        let mut container = json!({
            "name": "c", "image": format!("docker.io/test/{}:1", self.image), "imagePullPolicy": "Never",
            "command": ["sh", "-c", self.script()], "volumeMounts": [{"name": "out", "mountPath": "/out"}],
        });
        if let Some(handler) = &self.pre_stop {
            container["lifecycle"] = json!({"preStop": handler});
        }
        object["spec"]["containers"] = json!([container]);
        object["spec"]["volumes"] = json!([{"name": "out", "hostPath": {"path": out}}]);
        // Without a scheduler it is bound at once, even before the node says that it is ready.
        object["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        object
    }

    /// A shell as first process has no signal by default; a trap runs once what it waits for is interrupted.
    fn script(&self) -> String {
        let Worker { name, works, .. } = self;
        let told = format!("say told; sleep {works}; say finished; exit 0");
        let trap = self.signal.map_or("trap 'say told' TERM".to_owned(), |signal| format!("trap '{told}' {signal}"));
        format!(
            "say() {{ echo \"$1 $(cut -d' ' -f1 /proc/uptime)\" >>/out/{name}; }}\n\
             {trap}\nsay started\nwhile :; do sleep 1000 & wait $!; done"
        )
    }
}

impl Story {
    pub fn read(file: &Path) -> Story {
        let mut story = Story::default();
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            let (step, time) = line.split_once(' ').expect("a step and its time");
            let steps = match step {
                "started" => &mut story.started,
                "prepared" => &mut story.prepared,
                "told" => &mut story.told,
                _ => &mut story.finished,
            };
            steps.push(time.parse().expect("a time"));
        }
        story
    }
}
