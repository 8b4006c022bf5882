//! The local drain: which pods are stopped on this machine itself, without the API server, and when that is over.

use std::time::Duration;

use log::Level;

use super::Running;
use crate::hooks::{Hook, Phase};
use crate::moment::Moment;
use crate::objects::PodId;
use crate::response::pod_work::PodWork;
use crate::response::turn::Turn;

/// Pods whose time comes this soon join a wave; waves follow each other no faster.
const WAVE: Duration = Duration::from_secs(1);

/// A pod that the API server has not let go so long after its last moment is stopped on the machine itself, even if
/// the API server does answer: its disk may be full, or these credentials may not delete pods.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// A kubelet learns of an eviction within milliseconds; of one that was accepted so shortly before a silence it may
/// never have heard.
const HEARSAY: Duration = Duration::from_secs(5);

/// What was begun of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalDrain {
    /// The wave that was started last, from 1.
    pub wave: u32,
    pub wave_at: Moment,
    /// It was started and its `end` has not been.
    pub active: bool,
    /// It was started without knowing the pods, and they are not known yet.
    pub blind: bool,
}

impl Running {
    /// Stops on this machine itself the containers of the pods whose time has come and whom nobody else stops.
    pub(super) fn drain_locally(&mut self, turn: &mut Turn, cluster: bool) {
        if !cluster {
            return self.drain_without_cluster(turn);
        }
        // After the deadline nothing starts any more.
        if !self.has_hooks(Phase::LocalDrain) || self.phases.ended.is_some() {
            return;
        }
        if self.knows_the_pods() {
            self.name_who_was_stopped_blindly(turn);
            self.start_due_wave(turn);
            self.end_local_drain(turn);
        } else if self.line.silent() {
            self.drain_blindly(turn);
        }
    }

    /// Where there is no cluster, or it turned out that the node is another's, everything is stopped at once.
    fn drain_without_cluster(&mut self, turn: &mut Turn) {
        if self.local_drain.wave == 0 && self.phases.drain_started.is_some() {
            self.start_wave(turn, Vec::new());
        }
    }

    /// Their times are known: the API server has shown all of them, to this daemon or to an earlier life of it.
    fn knows_the_pods(&self) -> bool {
        self.pods.listed() || self.phases.drain_started.is_some()
    }

    /// The pods were never listed, so their times are not known: the hooks find them and stop each at its own.
    fn drain_blindly(&mut self, turn: &mut Turn) {
        if !self.local_drain.blind {
            self.local_drain.blind = true;
            turn.say(
                Level::Warn,
                "the API server is silent and the pods were never listed: local-drain.d stops each in its time",
            );
            self.start_wave(turn, Vec::new());
        }
    }

    /// The pods are known at last: those whose time is over were stopped by the hooks, the others are asked.
    fn name_who_was_stopped_blindly(&mut self, turn: &mut Turn) {
        if !std::mem::take(&mut self.local_drain.blind) {
            return;
        }
        self.hooks.end_waves(turn);
        let drain_end = self.drain_end();
        for pod in self.pods.stop.iter_mut().filter(|pod| pod.gone_at.is_none()) {
            if turn.now + WAVE >= pod.force_time(drain_end) {
                pod.locally_at = Some(turn.now);
            }
        }
        self.changed_urgently();
    }

    fn start_due_wave(&mut self, turn: &mut Turn) {
        let due: Vec<usize> = (0..self.pods.stop.len()).filter(|index| self.is_due(turn, *index)).collect();
        let first = self.local_drain.wave == 0;
        if due.is_empty() || !(first || turn.has_come(self.local_drain.wave_at + WAVE)) {
            return;
        }
        let why = if self.line.silent() { "is silent" } else { "does not let them go" };
        let count = due.len();
        turn.say(Level::Warn, format!("the API server {why}: {count} pods are stopped on this machine itself"));
        let mut wave = Vec::new();
        for index in due {
            let Some(pod) = self.pods.stop.get_mut(index) else { continue };
            pod.locally_at = Some(turn.now);
            wave.push(pod.id.clone());
        }
        self.start_wave(turn, wave);
    }

    fn is_due(&self, turn: &mut Turn, index: usize) -> bool {
        let Some(pod) = self.pods.stop.get(index) else { return false };
        if pod.gone_at.is_some() || pod.locally_at.is_some() {
            return false;
        }
        self.local_time(pod).is_some_and(|moment| turn.has_come(moment))
    }

    /// When that pod is stopped on this machine itself, as things stand; `None`: others see to it.
    fn local_time(&self, pod: &PodWork) -> Option<Moment> {
        let force_time = pod.force_time(self.drain_end());
        let in_silence = self.all_from().map_or(force_time - WAVE, |all_from| all_from.min(force_time - WAVE));
        match (pod.asked(), self.line.silent_since()) {
            // Frozen by the hooks, the kubelet may not get to what it was told.
            (true, _) if self.local_drain.active => Some(force_time - WAVE),
            (true, Some(since)) if pod.asked_at.is_some_and(|asked| asked + HEARSAY > since) => Some(in_silence),
            (true, _) => None,
            (false, Some(_)) => Some(in_silence),
            (false, None) => Some(force_time + REFUSAL_PATIENCE),
        }
    }

    /// From when in a silence all pods are stopped on this machine itself, even before their own last moments.
    pub fn all_from(&self) -> Option<Moment> {
        if self.hurries() {
            return Some(self.notice.first_seen);
        }
        self.terms.drain.local_after.map(|after| self.notice.first_seen + after)
    }

    fn start_wave(&mut self, turn: &mut Turn, pods: Vec<PodId>) {
        self.local_drain.wave += 1;
        self.local_drain.wave_at = turn.now;
        self.local_drain.active = true;
        let hooks = self.found_hooks.clone().unwrap_or_default();
        self.hooks.begin(&hooks, Phase::LocalDrain, Some("start"), self.local_drain.wave, pods);
        self.changed_urgently();
    }

    /// The kubelet may go on once nothing is left that it would start again.
    fn end_local_drain(&mut self, turn: &mut Turn) {
        let unasked = self.pods.stop.iter().any(|pod| pod.waits() && pod.locally_at.is_some());
        if !self.local_drain.active || self.line.silent() || !self.pods.listed() || unasked {
            return;
        }
        self.local_drain.active = false;
        self.hooks.end_waves(turn);
        let hooks = self.found_hooks.clone().unwrap_or_default();
        self.hooks.begin(&hooks, Phase::LocalDrain, Some("end"), self.local_drain.wave, Vec::new());
        turn.say(Level::Info, "the API server is back and the pods are asked: the local drain ends");
        self.changed_urgently();
    }

    /// Waves that an earlier life of the daemon left in the middle run again, for the pods that are not gone.
    pub(super) fn take_up_waves(&mut self, hooks: &[Hook]) {
        let waiting = self.pods.stop.iter().filter(|pod| pod.locally_at.is_some() && pod.gone_at.is_none());
        let waiting: Vec<PodId> = waiting.map(|pod| pod.id.clone()).collect();
        // To the hooks no names mean all pods.
        if waiting.is_empty() && !self.local_drain.blind && self.node_name.is_some() {
            return;
        }
        for (argument, wave) in self.hooks.unfinished_waves() {
            self.hooks.begin(hooks, Phase::LocalDrain, argument, wave, waiting.clone());
        }
    }
}
