//! What becomes of the pods on the machine: a kubelet that hears of deletions and stops containers, and containers that
//! work on after TERM.

use crate::scenario::{Ms, PodPlan};

/// How long a kubelet needs to hear of a deletion, and to report the end of a pod.
pub const KUBELET_TAKES: Ms = 20;

/// The containers of one pod, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containers {
    Run,
    /// They were told to end.
    Told {
        at: Ms,
        ends: Ms,
        cut: bool,
    },
    Ended {
        at: Ms,
        cut: bool,
    },
}

/// A pod of the world and what has become of it.
#[derive(Clone, Debug)]
pub struct Pod {
    pub plan: PodPlan,
    /// The first accepted ask and the grace it gave.
    pub asked: Option<(Ms, Ms)>,
    /// When the kubelet heard of that.
    pub heard: Option<Ms>,
    pub pre_stop_over: bool,
    pub containers: Containers,
    /// The kubelet started them again after somebody else had stopped them.
    pub started_again: Option<Ms>,
    /// Its object is gone from the API server.
    pub gone: Option<Ms>,
}

impl Pod {
    pub fn new(plan: PodPlan) -> Pod {
        Pod {
            plan,
            asked: None,
            heard: None,
            pre_stop_over: false,
            containers: Containers::Run,
            started_again: None,
            gone: None,
        }
    }

    pub fn is_there(&self, now: Ms) -> bool {
        self.plan.appears <= now && self.gone.is_none()
    }

    /// It is one that spot-guard is to stop.
    pub fn is_to_stop(&self) -> bool {
        !(self.plan.daemon_set || self.plan.mirror || self.plan.finished)
    }

    /// TERM; KILL at `kill_at`. A second TERM changes nothing: the runtime remembers the first
    /// (containerd `internal/cri/server/container_stop.go`). Gives when they end.
    pub fn term(&mut self, now: Ms, kill_at: Ms) -> Option<Ms> {
        if self.containers != Containers::Run {
            return None;
        }
        let done = now + self.plan.works;
        let ends = done.min(kill_at.max(now));
        self.containers = Containers::Told { at: now, ends, cut: done > ends };
        Some(ends)
    }

    /// The end of its containers has come.
    pub fn end(&mut self, now: Ms) {
        if let Containers::Told { ends, cut, .. } = self.containers
            && ends <= now
        {
            self.containers = Containers::Ended { at: ends, cut };
        }
    }

    /// Whether all its work was done when the power went at `end`.
    pub fn was_graceful(&self, end: Ms) -> bool {
        matches!(self.containers, Containers::Ended { at, cut: false } if at <= end)
    }
}
