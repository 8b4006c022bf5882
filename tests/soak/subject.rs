//! What is soaked: the daemon, its metadata service, its cluster and its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stand_ins::guard::Guard;
use stand_ins::imds::{Date, SPOT};
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;

/// What `Setup::new` runs where `SPOT_GUARD_TEST_BINARY` names no other.
const OWN_BINARY: &str = env!("CARGO_BIN_EXE_spot-guard");

/// Pods of each response.
const PODS: usize = 10;

/// From the notice to the deadline.
pub const WINDOW: Duration = Duration::from_secs(40);

/// After its deadline a notice has to be gone for so long before another is responded to.
pub const FORGOTTEN: Duration = Duration::from_secs(305);

const CONFIG: &str = "[imds]\npoll-interval = \"200ms\"\ntimeout = \"500ms\"\n";

pub struct Subject {
    pub world: World,
    pub guard: Guard,
    /// The folder of the kubeconfig, the certificates and the settings.
    pub folder: PathBuf,
    /// Of the kubeconfig as it should be.
    kubeconfig: Vec<u8>,
    responses: usize,
}

impl Subject {
    pub fn start() -> Subject {
        let world = World::new("soak", &[]);
        let setup = world.setup(OWN_BINARY).config(CONFIG);
        // Hooks that say much, are killed, leave others behind, and live as long as they may.
        let setup = setup
            .hook("notice", "10-says-much", "head -c 3000000 /dev/zero | tr '\\0' 'x'")
            .hook("during", "10-lives", "exec sleep 1000")
            .hook("pre-drain", "10-is-killed", "kill -9 $$")
            .hook("pre-drain", "20-leaves-others", "sleep 1000 & echo left")
            .hook("local-drain", "10-nothing", "true")
            .hook("post-drain", "10-fails", "exit 1");
        let folder = setup.folder().to_owned();
        let guard = world.start(setup);
        let kubeconfig = fs::read(folder.join("kubelet.conf")).expect("the kubeconfig");
        Subject { world, guard, folder, kubeconfig, responses: 0 }
    }

    pub fn kubeconfigs(&self) -> Kubeconfigs<'_> {
        let Subject { world, folder, .. } = self;
        Kubeconfigs::new(&world.cluster, &world.node.name, folder).through(&world.faults.server())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// All is as it should be again, with a certificate that was just renewed.
    pub fn mend(&self) {
        self.world.imds.heal();
        self.world.imds.set_date(Date::Right);
        self.world.faults.heal();
        replace(&self.at("kubelet.conf"), &self.kubeconfig);
        self.kubeconfigs().rotate(&self.world.cluster.identity_of(&self.world.node.name));
        self.reload("");
    }

    /// Has the settings read again, with these lines of TOML at their end.
    pub fn reload(&self, more: &str) {
        replace(&self.at("config.toml"), format!("{CONFIG}{more}").as_bytes());
        self.guard.signal(Signal::SIGHUP);
    }

    /// Whether the status says that all is well.
    pub fn is_well(&self) -> bool {
        let Some(status) = self.guard.status() else { return false };
        let problems = status["configuration_problems"].as_array().is_some_and(Vec::is_empty);
        let kubernetes = &status["kubernetes"];
        status["imds"]["ok"] == true && kubernetes["state"] == "ready" && kubernetes["why"].is_null() && problems
    }

    /// Announces an interruption of an instance with pods, whose node nobody has touched yet.
    pub fn interrupt(&mut self) {
        self.responses += 1;
        let spare = json!({"spec": {"unschedulable": null}, "metadata": {
            "labels": {"node.kubernetes.io/exclude-from-external-load-balancers": null},
            "annotations": {"spot-guard/response": null}}});
        self.world.cluster.patch_node(&self.world.node, &spare);
        let pods = PodSpec::many(&format!("web-{}", self.responses), PODS);
        let pods: Vec<PodSpec> = pods.into_iter().map(|pod| pod.grace(10).stops_in(3.0)).collect();
        self.world.cluster.make_pods(&self.world.node, &pods);
        self.world.imds.interrupt("terminate", WINDOW);
    }

    /// The record of the response to the latest notice, once it has ended; the notice is then taken away.
    pub fn ended(&self, former: Option<&str>) -> Option<Value> {
        let record = self.guard.record()?;
        if record["outcome"].is_null() || record["id"].as_str() == former {
            return None;
        }
        self.world.imds.remove(SPOT);
        Some(record)
    }
}

/// What every pod of a response came to, if that is not as it should be.
pub fn not_graceful(record: &Value) -> Option<String> {
    let pods = record["pods"].as_array().map(Vec::as_slice).unwrap_or_default();
    let graceful = pods.iter().filter(|pod| pod["outcome"] == "graceful").count();
    (graceful != PODS).then(|| format!("{graceful} of {PODS} pods graceful: {record}"))
}

/// Writes a file so that nobody sees half of it.
pub fn replace(path: &Path, text: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
