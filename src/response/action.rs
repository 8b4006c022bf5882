//! What the machine wants done.

use std::time::Duration;

use log::Level;

use crate::hooks::Hook;
use crate::moment::Moment;
use crate::objects::{Node, PodId, Taint};
use crate::process::Started;
use crate::record::{Record, Stage};

/// One thing to do. Numbers tie an answer to what asked for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Look for hooks and answer with [`super::Event::HooksFound`].
    FindHooks,
    /// Send a request to the API server. `afresh`: over a new connection, because the old ones may be dead.
    Request {
        number: u64,
        request: Request,
        afresh: bool,
    },
    /// The old connections are dead: what follows goes over the latest new ones.
    GoOnAfresh,
    /// The watch of that number is of no more use.
    EndWatch {
        number: u64,
    },
    RunHook(Box<HookOrder>),
    /// TERM, then KILL.
    StopHook {
        number: u64,
    },
    /// Kill the hooks of that response that an earlier life of the daemon left running, with all that they started.
    KillLeftOver {
        response: String,
        started: Vec<Started>,
    },
    /// Tell the webhook of [`super::Guard::record`], by this moment, and answer with [`super::Event::Delivered`].
    SendWebhook {
        number: u64,
        stage: Stage,
        until: Moment,
    },
    /// Write [`super::Guard::record`] to disk and answer with [`super::Event::Recorded`].
    Record {
        revision: u64,
    },
    /// Write the record of a response that is over.
    WriteClosed {
        revision: u64,
        record: Box<Record>,
    },
    /// Tell the journal.
    Say(Level, String),
    /// End the daemon.
    Exit,
}

/// A request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    ReadNode,
    PatchNode(NodeChange),
    AddTaints {
        on: Node,
        taints: Vec<Taint>,
    },
    RemoveTaints {
        on: Node,
        taints: Vec<Taint>,
    },
    RestoreNode(Restoration),
    WatchPods,
    WatchNode,
    /// `None`: with the pod's own grace.
    Evict {
        pod: PodId,
        grace: Option<Duration>,
    },
    Delete {
        pod: PodId,
        grace: Duration,
    },
    MarkDisrupted(PodId),
    /// There is a notice.
    SetCondition(Told),
    /// There is none any more.
    ClearCondition(Told),
    CreateEvent(Told),
}

/// What one PATCH changes on the own Node, besides the cordon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeChange {
    /// Also set the label that takes it out of load balancers.
    pub exclude: bool,
    /// The annotation `spot-guard/response`.
    pub annotation: Option<String>,
}

/// What one PATCH undoes on the own Node; the annotation goes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restoration {
    pub uncordon: bool,
    /// Take away the label that keeps it out of load balancers.
    pub unlabel: bool,
}

/// What an event or a condition on the Node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// One word in camel case.
    pub reason: &'static str,
    pub message: String,
    pub warning: bool,
}

/// A hook to run.
#[derive(Clone, Debug, PartialEq)]
pub struct HookOrder {
    pub number: u64,
    pub hook: Hook,
    /// After the phase: `start` or `end` for local-drain.
    pub argument: Option<&'static str>,
    /// The pods of its wave, for local-drain.
    pub pods: Vec<PodId>,
    /// TERM comes then.
    pub ends: Moment,
}
