//! What the API server says of its own load: flow control, refusals, processor time.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stand_ins::cluster::Cluster;
use stand_ins::metrics::Metrics;

use crate::process;

/// The priority level of what nodes ask for, but for their Nodes (kubernetes/kubernetes
/// `staging/src/k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap/default.go`, `SuggestedFlowSchemaSystemNodes`).
const LEVEL: &str = "system";
const OF_NODES: [(&str, &str); 1] = [("flow_schema", "system-nodes")];

const WAITS: &str = "apiserver_flowcontrol_request_wait_duration_seconds";
/// The bounds by which waits are counted.
const BOUNDS: [&str; 13] = ["0", "0.005", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "15", "30"];

/// How often the queues are looked at: the answer is one line a level.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(250);

/// All counters at one moment.
pub struct Counters {
    metrics: Metrics,
    api_server: f64,
    etcd: f64,
}

/// What has been counted between two moments.
pub struct Load {
    /// Processor time in seconds.
    pub api_server: f64,
    pub etcd: f64,
    /// Requests of nodes that flow control refused because the queues were full, and because they had waited too long.
    pub queue_full: f64,
    pub waited_too_long: f64,
    /// All requests that were answered 429, whoever asked.
    pub too_many: f64,
    /// How long a request of a node waited in the queues, in seconds: on average, and the bound that none was above.
    pub waited: f64,
    pub waited_at_most: &'static str,
}

impl Counters {
    pub fn read(cluster: &Cluster) -> Counters {
        let text = cluster.admin.get("/metrics").ok();
        let metrics = Metrics::read(text.as_str().expect("metrics are text"));
        Counters { metrics, api_server: cpu_of("kube-apiserver"), etcd: cpu_of("etcd") }
    }

    pub fn until(&self, later: &Counters) -> Load {
        let more =
            |name: &str, labels: &[(&str, &str)]| later.metrics.sum(name, labels) - self.metrics.sum(name, labels);
        let rejected =
            |reason: &str| more("apiserver_flowcontrol_rejected_requests_total", &[OF_NODES[0], ("reason", reason)]);
        let waits = more(&format!("{WAITS}_count"), &OF_NODES);
        let all_within = |bound: &&&str| more(&format!("{WAITS}_bucket"), &[OF_NODES[0], ("le", bound)]) >= waits;
        Load {
            api_server: later.api_server - self.api_server,
            etcd: later.etcd - self.etcd,
            queue_full: rejected("queue-full"),
            waited_too_long: rejected("time-out"),
            too_many: more("apiserver_request_total", &[("code", "429")]),
            waited: more(&format!("{WAITS}_sum"), &OF_NODES) / waits.max(1.0),
            waited_at_most: BOUNDS.iter().find(all_within).map_or("more", |bound| bound),
        }
    }
}

/// The processor time that a component of the control plane has used, in seconds.
fn cpu_of(component: &str) -> f64 {
    let folder = PathBuf::from(std::env::var_os("SPOT_GUARD_TEST_CLUSTER").expect("run by tests/really"));
    let pid = fs::read_to_string(folder.join(format!("{component}.pid"))).expect("the component's process id");
    process::processor_time(pid.trim().parse().expect("a process id")).as_secs_f64()
}

/// Looks at the queues of flow control until it is asked what it saw.
pub struct Queues {
    ended: Arc<AtomicBool>,
    looking: JoinHandle<Peak>,
}

/// The most requests of nodes at one moment.
#[derive(Clone, Copy, Default)]
pub struct Peak {
    pub waiting: u64,
    pub executing: u64,
}

impl Queues {
    pub fn watch(cluster: &Cluster) -> Queues {
        let (admin, ended) = (cluster.admin.clone(), Arc::<AtomicBool>::default());
        let flag = Arc::clone(&ended);
        let looking = thread::spawn(move || {
            let mut peak = Peak::default();
            while !flag.load(Ordering::SeqCst) {
                let levels = admin.get("/debug/api_priority_and_fairness/dump_priority_levels").ok();
                let (waiting, executing) = level(levels.as_str().unwrap_or_default()).unwrap_or_default();
                peak.waiting = peak.waiting.max(waiting);
                peak.executing = peak.executing.max(executing);
                thread::sleep(LOOKED_AT_EVERY);
            }
            peak
        });
        Queues { ended, looking }
    }

    pub fn peak(self) -> Peak {
        self.ended.store(true, Ordering::SeqCst);
        self.looking.join().expect("the queues were looked at")
    }
}

/// How many requests of nodes wait and how many are executed, of a dump of all levels (a table with commas: name,
/// active queues, idle, quiescing, waiting, executing, …).
fn level(levels: &str) -> Option<(u64, u64)> {
    let lines = levels.lines().map(|line| line.split(',').map(str::trim).collect::<Vec<&str>>());
    let line = lines.into_iter().find(|line| line.first() == Some(&LEVEL))?;
    Some((line.get(4)?.parse().ok()?, line.get(5)?.parse().ok()?))
}
