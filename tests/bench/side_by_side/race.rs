//! One race: from a notice to the last pod gone, as the API server's audit log has it.

use std::thread;
use std::time::{Duration, Instant};

use stand_ins::cluster::{Audited, TestNode};
use stand_ins::imds::SPOT;
use stand_ins::pods::PodSpec;
use stand_ins::world::World;
use time::OffsetDateTime;

use crate::contender::Contender;
use crate::throttle::Throttle;

/// From the notice to the deadline.
const WINDOW: Duration = Duration::from_secs(120);
/// How often is looked how far it is: rarely, since looking takes time from what is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a pod takes to stop: nobody stops pods yet while pods are asked.
const STOPS_IN: f64 = 5.0;

/// What is between the contender and the API server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Direct,
    /// A proxy that counts bytes, and holds all back for so long, each way.
    Proxy(Duration),
    /// The API server takes few requests of the contender at a time.
    Throttled,
}

/// Milliseconds since the notice was served, and what it took.
#[derive(Clone, Debug)]
pub struct Race {
    pub cordoned: f64,
    pub first_asked: f64,
    pub last_asked: f64,
    pub gone: f64,
    /// Of the contender's credentials, from the notice on.
    pub requests: f64,
    pub refused: f64,
    /// Both ways, with TLS; none where no proxy counts.
    pub bytes: Option<f64>,
    /// MiB.
    pub peak: Option<f64>,
}

/// Runs it once.
pub fn run(contender: Contender, pods: usize, way: Way) -> Race {
    let specs: Vec<PodSpec> = PodSpec::many("web", pods).into_iter().map(|pod| pod.stops_in(STOPS_IN)).collect();
    let world = World::new("bench", &specs);
    let _throttle = (way == Way::Throttled).then(|| Throttle::of(&world.cluster, &world.node));
    let (server, delay) = match way {
        Way::Direct | Way::Throttled => (world.cluster.server().to_owned(), Duration::ZERO),
        Way::Proxy(delay) => (world.faults.server(), delay),
    };
    world.faults.delay(delay);
    let mut running = contender.start(&world, &server, delay * 2);

    let mut log = world.cluster.audit_tail_about(&world.node);
    let passed = world.faults.passed();
    world.imds.interrupt("terminate", WINDOW);
    let served = world.imds.wait_served(SPOT, WINDOW).expect("the notice is served");
    let served = OffsetDateTime::now_utc() - served.elapsed();
    let patience = Instant::now() + WINDOW * 2;
    let (mut seen, mut peak, mut done) = (Vec::new(), None, false);
    while !done || gone(&seen, &world.node).count() < pods {
        assert!(Instant::now() < patience, "{} has not drained {pods} pods", contender.name());
        thread::sleep(LOOK);
        done = done || running.is_done();
        peak = running.peak().or(peak);
        seen.extend(log.read());
    }
    let bytes = matches!(way, Way::Proxy(_)).then(|| (world.faults.passed() - passed) as f64);
    // What is asked for at the very end.
    thread::sleep(LOOK);
    seen.extend(log.read());
    Race { bytes, peak, ..Race::of(&seen, &world.node, served) }
}

/// Pods that the kubelet has removed for good.
fn gone<'a>(seen: &'a [Audited], node: &TestNode) -> impl Iterator<Item = &'a Audited> {
    let user = user(node);
    seen.iter().filter(move |request| request.user != user && request.what() == "delete pods" && request.code == 200)
}

fn user(node: &TestNode) -> String {
    format!("system:node:{}", node.name)
}

impl Race {
    fn of(seen: &[Audited], node: &TestNode, served: OffsetDateTime) -> Race {
        let user = user(node);
        let since = |request: &Audited| (request.answered - served).as_seconds_f64() * 1000.0;
        let own: Vec<&Audited> = seen.iter().filter(|request| request.user == user && request.at >= served).collect();
        let done = |what: &str| -> Vec<f64> {
            let done = own.iter().filter(|request| request.what() == what && (200..300).contains(&request.code));
            done.map(|request| since(request)).collect()
        };
        let asked = [done("create pods/eviction"), done("delete pods")].concat();
        let first = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        Race {
            cordoned: first(&done("patch nodes")),
            first_asked: first(&asked),
            last_asked: asked.iter().copied().fold(0.0, f64::max),
            gone: gone(seen, node).map(since).fold(0.0, f64::max),
            requests: own.len() as f64,
            refused: own.iter().filter(|request| request.code == 429).count() as f64,
            bytes: None,
            peak: None,
        }
    }
}
