//! A made-up response in which a bit of everything happens, for tests.

use std::time::Duration;

use crate::config::{Terms, built_in};
use crate::hooks::Phase;
use crate::instance::Instance;
use crate::moment::Timestamp;
use crate::notice::{InstanceAction, Kind};
use crate::record::*;
use crate::report::groups::Span;

pub fn seconds(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

pub fn span(from: f64, to: f64) -> Span {
    Span { from: seconds(from), to: seconds(to) }
}

/// So many seconds after first sight, of an hour before it at most.
pub fn at(after: f64) -> Timestamp {
    Timestamp::from_rfc3339("2026-11-22T19:33:43.120Z").unwrap() + seconds(3600.0 + after)
}

/// A pod that was asked and gone at these seconds; below 0 for never.
fn pod(name: &str, grace_seconds: u64, asked: f64, gone: f64) -> PodWritten {
    let maybe = |after: f64| (after >= 0.0).then(|| at(after));
    PodWritten {
        namespace: "shop".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        priority: 0,
        grace_seconds,
        capped: false,
        asked_at: maybe(asked),
        refused_at: None,
        forced: false,
        locally_at: None,
        gone_at: maybe(gone),
        cut: false,
        has_claims: false,
        outcome: Some(if gone >= 0.0 { Outcome::Graceful } else { Outcome::Left }),
        reason: None,
    }
}

pub fn hook(phase: Phase, name: &str, started: f64, took: f64) -> HookWritten {
    HookWritten {
        phase,
        name: name.into(),
        argument: None,
        wave: 0,
        started_at: Some(at(started)),
        seconds: Some(took),
        exit: Some(0),
        signal: None,
        reason: None,
        timed_out: false,
        stopped: false,
        output_tail: String::new(),
        process: None,
    }
}

/// Nine pods: three that stop in time, two forced past a budget, one killed, one left, one stopped on the machine, one
/// that others stopped; a hook that fails and a silence.
pub fn record() -> Record {
    let forced = |name| PodWritten {
        refused_at: Some(at(0.4)),
        forced: true,
        reason: Some("the API server answered 429: it would violate the budget".into()),
        ..pod(name, 30, 87.8, 95.0)
    };
    let pods = vec![
        pod("web-7f9c5d8b4-x2x8k", 30, 0.3, 4.0),
        pod("web-7f9c5d8b4-zz9q2", 30, 0.3, 5.0),
        pod("web-7f9c5d8b4-bcdfg", 30, 0.3, 6.0),
        forced("db-0"),
        forced("db-1"),
        PodWritten { cut: true, outcome: Some(Outcome::Killed), ..pod("queue-0", 10, 0.3, 10.5) },
        PodWritten { reason: Some("a finalizer".into()), ..pod("cache-2", 30, 0.3, -1.0) },
        PodWritten { locally_at: Some(at(50.0)), ..pod("batch-x2x8k", 30, -1.0, 52.0) },
        pod("gone-by-itself", 30, -1.0, 3.0),
    ];
    let phase =
        |name, started, ended: Option<f64>| PhaseWritten { name, started_at: at(started), ended_at: ended.map(at) };
    let failing = HookWritten {
        exit: Some(1),
        output_tail: "cannot reach the load balancer".into(),
        ..hook(Phase::PreDrain, "10-deregister", 0.05, 0.2)
    };
    Record {
        version: VERSION,
        id: "20261122T203343Z".into(),
        clock: ClockWritten { boot_id: "boot".into(), boottime_seconds: 1000.0, wall: at(0.0) },
        notice: NoticeWritten {
            kind: Kind::SpotInterruption,
            action: InstanceAction::Terminate,
            event_id: None,
            time: Some(at(120.0)),
            first_seen: at(0.0),
        },
        earlier_notices: Vec::new(),
        notices_beside: Vec::new(),
        deadline: at(120.0),
        overdue: false,
        terms: Terms::of(&built_in(), Kind::SpotInterruption),
        instance: Instance {
            id: Some("i-0ab1c2d3e4f567890".into()),
            kind: Some("m5.large".into()),
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
        hooks: vec![failing, hook(Phase::PostDrain, "s3-logs", 105.0, 2.1)],
        phases: vec![
            phase(PhaseName::PreDrain, 0.0, Some(0.25)),
            phase(PhaseName::Drain, 0.25, None),
            phase(PhaseName::PostDrain, 105.0, Some(120.0)),
            phase(PhaseName::Done, 120.0, None),
        ],
        local_drain: LocalDrainWritten::default(),
        webhook: Vec::new(),
        troubles: vec![TroubleWritten {
            with: Other::ApiServer,
            started_at: at(45.0),
            ended_at: Some(at(55.0)),
            reason: None,
        }],
        outcome: Some(ResponseOutcome::Incomplete),
        errors: vec!["hook pre-drain/10-deregister failed: exit code 1 after 0.2 s".into()],
    }
}
