//! What the machine is told.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Settings;
use crate::hooks::Hook;
use crate::instance::Instance;
use crate::notice::{Key, Kind, Sighting};
use crate::objects::{Answer, Node, Pod, Standing};
use crate::process::{Ended, Started};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The metadata service showed a notice.
    Noticed(Sighting),
    /// That notice was taken back.
    TakenBack(Key),
    /// That scheduled event is said to have been done.
    Completed(Key),
    /// The metadata service has shown all notices of that kind: what it did not show is not there.
    Polled(Kind),
    /// The metadata service does not answer as it should, or is well again.
    MetadataService {
        trouble: Option<String>,
    },
    /// Which instance this is.
    Instance(Instance),
    /// How things stand with the cluster.
    Standing(Standing),
    /// One of the new connections that a silence asked for came about: the API server lives.
    Reached,
    /// So long a small request to the API server takes, while nothing is asked of it here.
    Distance(Duration),
    HooksFound(Vec<Hook>),
    /// A request to the API server has ended; `uid` names the pod that was asked, if one was.
    Answered {
        number: u64,
        uid: Option<String>,
        answered: Answered,
    },
    /// News from the pod watch of that number.
    Pods {
        number: u64,
        news: PodNews,
    },
    /// News from the node watch.
    NodeSeen {
        number: u64,
        node: Node,
    },
    /// A watch has ended; `None` if the server closed it in the usual way.
    WatchEnded {
        number: u64,
        answer: Option<Answer>,
    },
    HookStarted {
        number: u64,
        started: Started,
    },
    HookEnded {
        number: u64,
        ended: Ended,
    },
    /// What came of that attempt to tell the webhook.
    Delivered {
        number: u64,
        answer: Answer,
    },
    /// The record is on disk, up to this revision.
    Recorded {
        revision: u64,
    },
    /// Settings for the next response.
    Reloaded(Arc<Settings>),
    /// SIGTERM; whether the whole machine is being stopped.
    Terminate {
        machine_stops: bool,
    },
    /// An administrator wants the node back.
    Uncordon,
    /// The machine slept, or was hibernated, and is awake again.
    Woke,
    /// Time has passed.
    Tick,
}

/// What a request to the API server came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// The Node, read or patched.
    Node(Node),
    Other(Answer),
}

/// News from the pod watch.
#[derive(Clone, Debug, PartialEq)]
pub enum PodNews {
    Seen(Pod),
    /// Its last state.
    Gone(Pod),
    /// All pods that were there when the watch began have been seen; others are gone.
    Synced,
}
