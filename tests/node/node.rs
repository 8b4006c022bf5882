//! One node and its control plane: how they are started, looked into and removed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stand_ins::cluster::{Cluster, TestNode};
use stand_ins::faults::Faults;
use stand_ins::folder::Folder;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::{network, wait};
use time::OffsetDateTime;

use crate::worker::{Story, Worker};

/// How long anything may take that is not about time itself. Far more than it needs, because the host may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// So many nodes at once: each starts a control plane, and a busy host makes them all slow.
static FREE: (Mutex<u32>, Condvar) = (Mutex::new(2), Condvar::new());

/// With what the hook stops containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Crictl,
    /// crictl is not installed on this node.
    Ctr,
}

/// A node that runs. When this is dropped, or the process ends in whatever way, nothing is left of it.
pub struct Node {
    pub cluster: Cluster,
    pub node: TestNode,
    /// Between spot-guard and the API server.
    pub faults: Faults,
    /// Between the kubelet and the API server.
    pub kubelet_faults: Faults,
    imds: Imds,
    tool: Tool,
    programs: PathBuf,
    folder: Folder,
    /// The node's first process, as the host numbers it.
    first_process: String,
    /// Removes the node when its standard input ends.
    up: Child,
    control_plane: Child,
    _turn: Turn,
}

/// What is to be seen of a response, in seconds since the machine was booted.
pub struct Response {
    pub guard: Guard,
    pub deadline: f64,
}

impl Node {
    /// A node on which these pods run; `None`, after having said so, where none can be had.
    pub fn with(purpose: &str, tool: Tool, workers: &[Worker]) -> Option<Node> {
        let Some(programs) = std::env::var_os("SPOT_GUARD_TEST_NODE").map(PathBuf::from) else {
            skip("SPOT_GUARD_TEST_NODE names no folder of the programs of a node; `make test`, run by root, makes one");
            return None;
        };
        let turn = Turn::take();
        network::leave_for_own();
        let folder = Folder::new("node");
        let (cluster, control_plane) = start_control_plane(&programs, &folder.path().join("cluster"));
        let (faults, kubelet_faults) = (Faults::before(cluster.server()), Faults::before(cluster.server()));
        let imds = Imds::on_loopback();
        let name = format!("sg-{purpose}-{}", std::process::id());
        let dir = folder.path().join("node");
        let kubeconfig = Kubeconfigs::new(&cluster, &name, &dir).through(&kubelet_faults.server()).inline();
        fs::rename(kubeconfig, dir.join("kubeconfig")).unwrap();
        let mut up = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/up"))
            .arg(&name)
            .args([&dir, &programs])
            .arg(imds.instance_id())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(up.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let first_process = said.strip_prefix("up ").expect("the node did not start").trim().to_owned();
        cluster.make_namespace(&name);
        let node = TestNode { namespace: name.clone(), name };
        let node = Node {
            cluster,
            node,
            faults,
            kubelet_faults,
            imds,
            tool,
            programs,
            folder,
            first_process,
            up,
            control_plane,
            _turn: turn,
        };
        node.run(workers);
        Some(node)
    }

    /// Makes the pods and waits until their containers have started.
    fn run(&self, workers: &[Worker]) {
        fs::create_dir_all(self.out()).unwrap();
        let path = format!("/api/v1/namespaces/{}/pods", self.node.namespace);
        for worker in workers {
            self.cluster.admin.post(&path, &worker.object(&self.node.name, &self.out())).ok();
        }
        for worker in workers {
            self.expect(&format!("{} runs", worker.name), PATIENCE, || {
                self.cluster.pod(&self.node, &worker.name)?["status"]["containerStatuses"][0]["started"].as_bool()?;
                (!self.story(&worker.name).started.is_empty()).then_some(())
            });
        }
    }

    /// Runs spot-guard on the node with the shipped hook, and waits until it is ready.
    pub fn guard(&self, config: &str) -> Guard {
        let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/hooks/local-drain.d/50-containers");
        let setup = Setup::new(crate::PROGRAM).program(&self.program_on_node()).imds(&self.imds).config(config);
        let kubeconfig =
            Kubeconfigs::new(&self.cluster, &self.node.name, setup.folder()).through(&self.faults.server());
        let kubeconfig = kubeconfig.combined();
        let path = std::env::var("PATH").unwrap();
        let path = if self.tool == Tool::Crictl { format!("{}:{path}", self.programs.display()) } else { path };
        let setup = setup.kubeconfig(&kubeconfig).environment("PATH", &path).hook_file("local-drain", &hook);
        let guard = setup.start();
        guard.wait_line(&format!("node {} is ready", self.node.name), PATIENCE);
        guard.expect("IMDS is polled", PATIENCE, || self.imds.log().into_iter().find(|asked| asked.path == SPOT));
        guard
    }

    /// A program that is spot-guard, run on the node.
    fn program_on_node(&self) -> String {
        let program = std::env::var("SPOT_GUARD_TEST_BINARY").unwrap_or(crate::PROGRAM.to_owned());
        let path = self.folder.path().join("spot-guard");
        fs::write(&path, format!("#!/bin/sh\nexec {} {program} \"$@\"\n", self.enter().join(" "))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// Announces a Spot termination so many seconds from now.
    pub fn interrupt(&self, guard: Guard, seconds: u64) -> Response {
        let deadline = self.imds.interrupt("terminate", Duration::from_secs(seconds));
        let left = (deadline - OffsetDateTime::now_utc()).as_seconds_f64();
        let deadline = uptime() + left;
        guard.expect("the notice is served", PATIENCE, || self.imds.first_served(SPOT));
        Response { guard, deadline }
    }

    /// Stops the control plane's API server (SIGSTOP): connections are taken and nothing is answered.
    pub fn freeze_api_server(&self) {
        self.signal_api_server(Signal::SIGSTOP);
    }

    pub fn thaw_api_server(&self) {
        self.signal_api_server(Signal::SIGCONT);
    }

    fn signal_api_server(&self, signal: Signal) {
        let pid = fs::read_to_string(self.folder.path().join("cluster/kube-apiserver.pid")).unwrap();
        kill(Pid::from_raw(pid.trim().parse().unwrap()), signal).unwrap();
    }

    /// Whether the kubelet is frozen.
    pub fn kubelet_is_frozen(&self) -> bool {
        let children = format!("/proc/{0}/task/{0}/children", self.first_process);
        let children = fs::read_to_string(children).unwrap();
        let stat = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let kubelet = children.split_whitespace().map(stat).find(|stat| stat.contains("(kubelet)"));
        kubelet.expect("a kubelet").contains("(kubelet) T")
    }

    /// Waits until the API server has no other pods of this node than these.
    pub fn wait_for_pods_left(&self, names: &[&str]) {
        self.expect("the pods are gone from the API", PATIENCE, || {
            let left = self.cluster.pods(&self.node);
            left.iter().all(|pod| names.iter().any(|name| pod["metadata"]["name"] == *name)).then_some(())
        });
    }

    /// What the worker of this name has written down.
    pub fn story(&self, name: &str) -> Story {
        Story::read(&self.out().join(name))
    }

    /// The pods of which a container runs, by name.
    pub fn running(&self) -> Vec<String> {
        let filter = "labels.\"io.cri-containerd.kind\"==container";
        let names = self.says(&["ctr", "--namespace", "k8s.io", "containers", "ls", filter]);
        let tasks = self.says(&["ctr", "--namespace", "k8s.io", "tasks", "ls"]);
        let runs = |id: &&str| tasks.lines().any(|task| task.starts_with(*id) && task.contains("RUNNING"));
        let ids = names.lines().skip(1).filter_map(|line| line.split_whitespace().next()).filter(runs);
        let label = |id| {
            let info = self.says(&["ctr", "--namespace", "k8s.io", "containers", "info", id]);
            let info: serde_json::Value = serde_json::from_str(&info).unwrap();
            info["Labels"]["io.kubernetes.pod.name"].as_str().unwrap().to_owned()
        };
        ids.map(label).collect()
    }

    /// What `command` writes on the node to standard output.
    fn says(&self, command: &[&str]) -> String {
        let enter = self.enter();
        let output = Command::new(&enter[0]).args(&enter[1..]).args(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What runs a command on the node.
    fn enter(&self) -> Vec<String> {
        ["nsenter", "--target", &self.first_process, "--mount", "--pid"].map(str::to_owned).to_vec()
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Waits for `seen`, and shows the ends of the node's logs where it does not come.
    pub fn expect<T>(&self, what: &str, within: Duration, seen: impl FnMut() -> Option<T>) -> T {
        wait::wait(within, seen).unwrap_or_else(|| {
            let logs = ["node/kubelet.log", "node/containerd.log"].map(|log| {
                let text = fs::read_to_string(self.folder.path().join(log)).unwrap_or_default();
                text.lines().rev().take(20).map(|line| format!("{line}\n")).collect::<String>()
            });
            panic!("waited {within:?} in vain: {what}\nthe logs, newest first:\n{}\n{}", logs[0], logs[1])
        })
    }
}

impl Response {
    /// When the drain ends: 2 s before the deadline.
    pub fn drain_end(&self) -> f64 {
        self.deadline - 2.0
    }

    pub fn wait_for_deadline(&self) {
        // The time until then is the fault itself: nothing else says that it is over.
        std::thread::sleep(Duration::from_secs_f64((self.deadline - uptime()).max(0.0)));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.up.stdin.take());
        let _ = self.up.wait();
        let _ = kill(Pid::from_raw(i32::try_from(self.control_plane.id()).unwrap()), Signal::SIGTERM);
        let _ = self.control_plane.wait();
    }
}

/// Seconds since the machine was booted, as containers see them too.
pub fn uptime() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("seconds")
}

fn start_control_plane(programs: &Path, dir: &Path) -> (Cluster, Child) {
    let mut command = Command::new(programs.join("cluster"));
    let mut child = command.args(["up", "--dir"]).arg(dir).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !dir.join("server").exists() {
        assert!(child.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE, "the control plane did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    (Cluster::at(dir), child)
}

/// Says on standard error, past what captures a test's output, that the tests here are not run.
fn skip(because: &str) {
    assert!(std::env::var_os("SPOT_GUARD_TEST_REQUIRE_ALL").is_none(), "may not be skipped, but {because}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}, because {because}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The right to run a node.
struct Turn;

impl Turn {
    fn take() -> Turn {
        let (free, freed) = &FREE;
        let mut free = freed.wait_while(free.lock().unwrap(), |free| *free == 0).unwrap();
        *free -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (free, freed) = &FREE;
        *free.lock().unwrap() += 1;
        freed.notify_one();
    }
}
