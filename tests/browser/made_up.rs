//! Made-up records of nights that could have been.

use std::time::Duration;

use spot_guard::config::{Terms, built_in};
use spot_guard::hooks::Phase;
use spot_guard::instance::Instance;
use spot_guard::moment::Timestamp;
use spot_guard::notice::{InstanceAction, Kind};
use spot_guard::record::{
    ClockWritten, HookWritten, LocalDrainWritten, NodeWritten, NoticeWritten, Other, Outcome, PhaseName, PhaseWritten,
    PodWritten, Record, ResponseOutcome, StayingWritten, TroubleWritten, VERSION,
};

/// So many seconds after first sight.
fn at(after: f64) -> Timestamp {
    Timestamp::from_rfc3339("2026-11-22T20:33:43.120Z").unwrap() + Duration::from_millis((after * 1000.0) as u64)
}

/// Ways that pods can go.
#[derive(Clone, Copy)]
enum Way {
    /// In so many seconds.
    Stops(f64),
    /// Let go by their budget one after the other, so many seconds apart.
    OneByOne(f64),
    /// Held by their budget to the last moment.
    Forced(f64),
    /// Do not stop by themselves.
    Stubborn,
    /// On the machine itself, from that moment on.
    Locally(f64),
    Stays,
}

struct Maker {
    random: fastrand::Rng,
    pods: Vec<PodWritten>,
}

impl Maker {
    fn new() -> Maker {
        Maker { random: fastrand::Rng::with_seed(7), pods: Vec::new() }
    }

    /// Letters and digits as in the names of pods.
    fn letters(&mut self, count: usize) -> String {
        let letters: Vec<char> = "bcdfghjklmnpqrstvwxz2456789".chars().collect();
        (0..count).map(|_| letters[self.random.usize(..letters.len())]).collect()
    }

    fn deployment(&mut self, namespace: &str, name: &str, count: usize, grace: u64, way: Way) {
        let hash = self.letters(9);
        for number in 0..count {
            let pod = format!("{name}-{hash}-{}", self.letters(5));
            self.pod(namespace, &pod, number, grace, way);
        }
    }

    fn stateful(&mut self, namespace: &str, name: &str, count: usize, grace: u64, way: Way) {
        for number in 0..count {
            self.pod(namespace, &format!("{name}-{number}"), number, grace, way);
        }
    }

    fn pod(&mut self, namespace: &str, name: &str, number: usize, grace: u64, way: Way) {
        let first = 1.05 + 0.004 * self.pods.len() as f64;
        let spread = self.random.f64();
        let budget = "the API server answered 429: Cannot evict pod as it would violate the pod's disruption budget.";
        let (refused, asked, gone) = match way {
            Way::Stops(takes) => {
                let longest = (grace as f64 - 0.5).min(116.0 - first);
                (None, Some(first), Some(first + (takes * (0.4 + spread)).min(longest)))
            }
            Way::OneByOne(apart) => {
                let asked = first + number as f64 * apart;
                ((number > 0).then_some(first), Some(asked), Some(asked + 3.0 + 2.0 * spread))
            }
            Way::Forced(takes) => {
                let asked = 117.8 - grace as f64;
                (Some(first), Some(asked), Some(asked + takes * (0.5 + spread / 2.0)))
            }
            Way::Stubborn => (None, Some(first), Some(first + grace as f64 + 0.4)),
            Way::Locally(_) => (None, None, Some(0.0)),
            Way::Stays => (None, Some(first), None),
        };
        let locally = if let Way::Locally(from) = way { Some(from) } else { None };
        let gone = locally.map(|from| from + 2.0 + 3.0 * spread).or(gone);
        let outcome = match way {
            Way::Stays => Outcome::Left,
            Way::Stubborn => Outcome::Killed,
            _ => Outcome::Graceful,
        };
        self.pods.push(PodWritten {
            namespace: namespace.into(),
            name: name.into(),
            uid: format!("{:08x}-5d1e-4c1b-9c55-{:012x}", self.random.u32(..), self.random.u64(..1 << 48)),
            priority: 0,
            grace_seconds: grace,
            capped: false,
            asked_at: asked.map(at),
            refused_at: refused.map(at),
            forced: matches!(way, Way::Forced(_)),
            locally_at: locally.map(at),
            gone_at: gone.map(at),
            cut: outcome == Outcome::Killed,
            has_claims: false,
            outcome: Some(outcome),
            reason: refused.map(|_| budget.to_owned()),
        });
    }
}

fn hook(phase: Phase, name: &str, started: f64, took: f64, exit: i32, output: &str) -> HookWritten {
    HookWritten {
        phase,
        name: name.into(),
        argument: None,
        wave: 0,
        started_at: Some(at(started)),
        seconds: Some(took),
        exit: Some(exit),
        signal: None,
        reason: None,
        timed_out: false,
        stopped: false,
        output_tail: output.into(),
        process: None,
    }
}

fn record(pods: Vec<PodWritten>, drained: Option<f64>, post_drain: f64, done: f64, hooks: Vec<HookWritten>) -> Record {
    let phase =
        |name, started, ended: Option<f64>| PhaseWritten { name, started_at: at(started), ended_at: ended.map(at) };
    Record {
        version: VERSION,
        id: "20261122T203343Z".into(),
        clock: ClockWritten {
            boot_id: "84881c4a-3f9e-4ce7-ba76-1849cde7eb2d".into(),
            boottime_seconds: 81_233.7,
            wall: at(0.0),
        },
        notice: NoticeWritten {
            kind: Kind::SpotInterruption,
            action: InstanceAction::Terminate,
            event_id: None,
            time: Some(at(119.88)),
            first_seen: at(0.0),
        },
        earlier_notices: Vec::new(),
        notices_beside: Vec::new(),
        deadline: at(119.88),
        overdue: false,
        terms: Terms::of(&built_in(), Kind::SpotInterruption),
        instance: Instance {
            id: Some("i-0ab1c2d3e4f567890".into()),
            kind: Some("m5.4xlarge".into()),
            availability_zone: Some("eu-west-1a".into()),
            region: Some("eu-west-1".into()),
            life_cycle: Some("spot".into()),
        },
        node: NodeWritten {
            name: Some("ip-10-0-1-7.eu-west-1.compute.internal".into()),
            settled_at: Some(at(0.012)),
            cordoned_by_us: true,
            labelled_by_us: true,
            restored_at: None,
            nothing_to_undo: false,
        },
        pods,
        staying: Some(StayingWritten { daemon_set: 5, static_pods: 1, skipped: 0 }),
        hooks,
        phases: vec![
            phase(PhaseName::PreDrain, 0.0, Some(1.04)),
            phase(PhaseName::Drain, 1.04, drained),
            phase(PhaseName::PostDrain, post_drain, Some(done)),
            phase(PhaseName::Done, done, None),
        ],
        local_drain: LocalDrainWritten::default(),
        webhook: Vec::new(),
        troubles: Vec::new(),
        outcome: Some(if drained.is_some() { ResponseOutcome::Complete } else { ResponseOutcome::Incomplete }),
        errors: Vec::new(),
    }
}

/// Five pods, all well.
pub fn calm() -> Record {
    let mut maker = Maker::new();
    maker.deployment("shop", "web", 3, 30, Way::Stops(4.0));
    maker.deployment("shop", "checkout", 1, 60, Way::Stops(18.0));
    maker.stateful("shop", "redis", 1, 30, Way::Stops(2.0));
    let drained = last(&maker.pods);
    let hooks = vec![
        hook(Phase::Notice, "10-slack", 0.02, 0.31, 0, "posted to #spot"),
        hook(Phase::PreDrain, "10-deregister", 0.02, 1.01, 0, "deregistered from targets/web"),
        hook(Phase::PostDrain, "20-ship-logs", drained + 0.01, 2.13, 0, "uploaded 41 files, 18 MiB"),
    ];
    record(maker.pods, Some(drained), drained, drained + 2.16, hooks)
}

fn last(pods: &[PodWritten]) -> f64 {
    let gone = pods.iter().filter_map(|pod| pod.gone_at).max();
    gone.and_then(|gone| gone.later_than(at(0.0))).unwrap_or_default().as_secs_f64()
}

/// A node with as many pods as it can have; a budget holds some.
pub fn full() -> Record {
    let mut maker = Maker::new();
    for (namespace, name, count, grace, way) in [
        ("shop", "web", 38, 30, Way::Stops(5.0)),
        ("shop", "checkout-api", 12, 60, Way::Stops(22.0)),
        ("shop", "search", 9, 30, Way::OneByOne(6.0)),
        ("payments", "ledger", 6, 90, Way::Stops(35.0)),
        ("payments", "fraud-model", 4, 30, Way::Forced(12.0)),
        ("media", "thumbnailer", 24, 30, Way::Stops(9.0)),
        ("media", "encoder", 8, 120, Way::Stops(60.0)),
        ("monitoring", "prometheus-adapter", 2, 30, Way::Stops(2.0)),
        ("kube-system", "coredns", 2, 30, Way::Stops(6.0)),
    ] {
        maker.deployment(namespace, name, count, grace, way);
    }
    maker.stateful("data", "postgres", 2, 60, Way::Forced(8.0));
    maker.stateful("data", "kafka", 3, 45, Way::Stops(25.0));
    let drained = last(&maker.pods);
    let hooks = vec![
        hook(Phase::Notice, "10-slack", 0.02, 0.28, 0, "posted to #spot"),
        hook(Phase::PreDrain, "10-deregister", 0.02, 1.02, 0, "deregistered from targets/web"),
        hook(Phase::PostDrain, "20-ship-logs", 104.88, 3.4, 0, "uploaded 214 files, 96 MiB"),
    ];
    record(maker.pods, Some(drained), 104.88, drained.max(108.3), hooks)
}

/// Five hundred pods, an API server that goes away for half a minute, and what comes of it.
pub fn night() -> Record {
    let mut maker = Maker::new();
    let teams = ["shop", "payments", "media", "search", "data", "ml"];
    let parts = ["api", "worker", "gateway", "cache", "indexer", "scheduler", "consumer", "frontend"];
    for team in teams {
        for part in parts {
            let (count, takes) = (maker.random.usize(4..15), maker.random.f64() * 25.0 + 1.0);
            maker.deployment(team, &format!("{team}-{part}"), count, 30, Way::Stops(takes));
        }
    }
    maker.deployment("ml", "trainer", 6, 600, Way::Stops(95.0));
    maker.deployment("data", "spark-executor", 24, 60, Way::Locally(57.8));
    maker.stateful("data", "cassandra", 3, 90, Way::Locally(27.8));
    maker.deployment("legacy", "billing", 4, 20, Way::Stubborn);
    maker.stateful("legacy", "nfs-client", 2, 30, Way::Stays);
    while maker.pods.len() < 500 {
        maker.deployment("batch", "resize", 1, 30, Way::Stops(12.0));
    }
    let mut timed_out =
        hook(Phase::PostDrain, "20-ship-logs", 104.88, 15.0, 0, "uploading…\nretry 1: connection reset\nretry 2");
    (timed_out.exit, timed_out.signal, timed_out.timed_out) = (None, Some(15), true);
    let mut wave = hook(Phase::LocalDrain, "50-containers", 27.8, 35.1, 0, "stopped 27 containers");
    (wave.argument, wave.wave) = (Some("start".into()), 1);
    let hooks = vec![
        hook(Phase::Notice, "10-slack", 0.02, 0.28, 0, ""),
        hook(Phase::PreDrain, "10-deregister", 0.02, 1.02, 1, "cannot deregister: 503 from the load balancer's API"),
        wave,
        timed_out,
    ];
    let trouble = |with, from, to, reason: Option<&str>| TroubleWritten {
        with,
        started_at: at(from),
        ended_at: Some(at(to)),
        reason: reason.map(str::to_owned),
    };
    let troubles = vec![
        trouble(Other::ApiServer, 24.2, 61.5, None),
        trouble(Other::MetadataService, 40.0, 52.0, Some("spot/instance-action: no answer within 1s")),
        trouble(Other::ApiServer, 70.1, 73.0, None),
    ];
    let errors = vec![
        "hook pre-drain/10-deregister failed: exit code 1 after 1.0 s".to_owned(),
        "hook post-drain/20-ship-logs was stopped after 15.0 s: its time was over".to_owned(),
        "not gone at the deadline: legacy/nfs-client-0, legacy/nfs-client-1".to_owned(),
    ];
    Record { troubles, errors, ..record(maker.pods, None, 104.88, 119.88, hooks) }
}

/// Names as long as Kubernetes allows, texts without a space in them.
pub fn long() -> Record {
    let mut maker = Maker::new();
    let name = "a-name-that-somebody-thought-would-be-good-to-be-very-explicit";
    maker.deployment(&"n".repeat(63), name, 4, 30, Way::Forced(9.0));
    maker.pod(&"n".repeat(63), &"p".repeat(253), 0, 100_000, Way::Stays);
    let output = "x".repeat(1500) + "\n" + &"word ".repeat(100);
    let hooks = vec![hook(Phase::PreDrain, &"hook-".repeat(50), 0.1, 29.0, 1, &output)];
    let mut record = record(maker.pods, None, 104.88, 119.88, hooks);
    record.errors = vec!["y".repeat(1000), "cannot ".repeat(60)];
    record.node.name = Some("node.".repeat(50));
    record
}
