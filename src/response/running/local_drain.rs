//! The local drain: which pods are stopped on this machine itself, without the API server, and when that is over.

use std::time::Duration;

use log::Level;

use super::Running;
use crate::config::Force;
use crate::hooks::{Hook, Phase};
use crate::moment::Moment;
use crate::objects::PodId;
use crate::response::action::Request;
use crate::response::line::Purpose;
use crate::response::pod_work::PodWork;
use crate::response::turn::Turn;

/// Pods whose time comes this soon join a wave.
const WAVE: Duration = Duration::from_secs(1);

/// Waves follow each other no faster.
const NEXT_WAVE: Duration = Duration::from_millis(250);

/// A pod that the API server has not let go so long after its last moment is stopped on the machine itself, even if
/// the API server does answer: its disk may be full, or these credentials may not delete pods.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// The pods are not known so long after first sight, and what was tried to learn them has failed.
const LIST_PATIENCE: Duration = Duration::from_secs(1);

/// A kubelet learns of an eviction within milliseconds. So long after an accepted ask the API server must still have
/// answered something for it to be sure to have heard of it.
const HEARING_TAKES: Duration = Duration::from_millis(300);

/// A probe that came to nothing is repeated after this long.
const PROBE_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Hooks that look at the pods' times themselves begin up to so long before them: many stops take a while to begin.
const HOOKS_BEGIN_EARLY: Duration = Duration::from_secs(5);

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
    /// When the pods became known after that.
    pub blind_until: Option<Moment>,
    pub probed_at: Moment,
}

impl Running {
    /// Stops on this machine itself the containers of the pods whose time has come and whom nobody else stops.
    pub(super) fn drain_locally(&mut self, turn: &mut Turn, cluster: bool) {
        if !cluster {
            return self.drain_without_cluster(turn);
        }
        // It would pass over the budgets of all.
        if self.terms.force == Force::Never {
            return;
        }
        // After the deadline nothing starts any more; until then pods may still appear.
        if !self.has_hooks(Phase::LocalDrain) || !self.in_time(turn) {
            return;
        }
        if self.knows_the_pods() {
            self.end_the_blind_wave(turn);
            self.start_due_wave(turn);
            self.end_local_drain(turn);
        } else if self.line.silent() || self.pods.list_is_refused(turn, self.notice.first_seen + LIST_PATIENCE) {
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
    pub fn knows_the_pods(&self) -> bool {
        self.pods.listed() || self.phases.drain_started.is_some()
    }

    /// The pods were never listed, so their times are not known: the hooks find them and stop each at its own.
    fn drain_blindly(&mut self, turn: &mut Turn) {
        if !self.local_drain.blind {
            self.local_drain.blind = true;
            turn.say(
                Level::Warn,
                "the API server has never listed the pods: local-drain.d finds them and stops each in its time",
            );
            self.start_wave(turn, Vec::new());
        }
    }

    /// The deadline has come nearer: hooks that look at the pods' times themselves still go by the former one.
    pub(super) fn start_blind_waves_anew(&mut self, turn: &mut Turn) {
        if std::mem::take(&mut self.local_drain.blind) {
            self.hooks.end_waves(turn);
        }
    }

    /// The pods are known at last: from now on they are named.
    fn end_the_blind_wave(&mut self, turn: &mut Turn) {
        if std::mem::take(&mut self.local_drain.blind) {
            self.local_drain.blind_until = Some(turn.now);
            self.hooks.end_waves(turn);
            self.changed_urgently();
        }
    }

    /// Its containers were stopped on this machine itself, or may have been, by hooks that found it by themselves.
    fn may_be_stopped(&self, pod: &PodWork) -> bool {
        let time = in_silence(pod, self.drain_end(), self.all_from());
        pod.locally_at.is_some() || self.local_drain.blind_until.is_some_and(|until| time <= until + HOOKS_BEGIN_EARLY)
    }

    fn start_due_wave(&mut self, turn: &mut Turn) {
        let due: Vec<usize> = (0..self.pods.stop.len()).filter(|index| self.is_due(turn, *index)).collect();
        let first = self.local_drain.wave == 0;
        if due.is_empty() || !(first || turn.has_come(self.local_drain.wave_at + NEXT_WAVE)) {
            return;
        }
        let asked = due.iter().filter(|index| self.pods.stop.get(**index).is_some_and(PodWork::asked)).count();
        let reasons = match self.line.silent() {
            true => [("is silent", due.len()), ("", 0)],
            false => {
                [("does not let them go", due.len() - asked), ("has let them go, but the kubelet may be frozen", asked)]
            }
        };
        for (why, count) in reasons.into_iter().filter(|(_, count)| *count > 0) {
            turn.say(Level::Warn, format!("the API server {why}: {count} pods are stopped on this machine itself"));
        }
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
        let in_silence = in_silence(pod, self.drain_end(), self.all_from());
        match (pod.asked(), self.line.silent_since()) {
            (true, Some(_)) if self.local_drain.active => Some(in_silence),
            // Frozen by the hooks, the kubelet may not get to what it was told; most often it soon goes on.
            (true, None) if self.local_drain.active => {
                Some(pod.asked_at.map_or(in_silence, |asked| in_silence.max(asked + REFUSAL_PATIENCE)))
            }
            (true, Some(_)) if pod.asked_at.is_some_and(|asked| !self.line.answered_since(asked + HEARING_TAKES)) => {
                Some(in_silence)
            }
            (true, _) => None,
            (false, Some(_)) => Some(in_silence),
            (false, None) if self.hurries() => pod.tried_at.map(|tried| tried + REFUSAL_PATIENCE),
            (false, None) => pod.tried_at.map(|tried| tried.max(force_time) + REFUSAL_PATIENCE),
        }
    }

    /// Asks the API server for anything after the last of the accepted asks: were it dead by then, the kubelet might
    /// not have heard of them, and nothing else would show it while pods are waited for.
    pub(super) fn probe(&mut self, turn: &mut Turn) {
        let Some(heard_by) = self.kubelet_hears_by() else { return };
        let known = self.line.answered_since(heard_by) || self.line.under_way(&Purpose::Probe) || self.line.silent();
        let due = heard_by.max(self.local_drain.probed_at + PROBE_AGAIN_AFTER);
        if self.has_hooks(Phase::LocalDrain) && !known && turn.has_come(due) {
            self.local_drain.probed_at = turn.now;
            self.line.send(turn, Purpose::Probe, Request::ReadNode);
        }
    }

    /// When the kubelet must have heard of all pods that were asked and are not gone, if the API server lives.
    fn kubelet_hears_by(&self) -> Option<Moment> {
        let awaited = self.pods.stop.iter().filter(|pod| pod.gone_at.is_none());
        awaited.filter_map(|pod| pod.asked_at).max().map(|asked| asked + HEARING_TAKES)
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
        let unasked = self.pods.stop.iter().any(|pod| pod.waits() && self.may_be_stopped(pod));
        let heard = self.kubelet_hears_by().is_none_or(|by| self.line.answered_since(by));
        if !self.local_drain.active || self.line.silent() || !self.pods.listed() || unasked || !heard {
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

/// When that pod is stopped in a silence: at its last moment, or with all others.
fn in_silence(pod: &PodWork, drain_end: Moment, all_from: Option<Moment>) -> Moment {
    let own = pod.force_time(drain_end) - WAVE;
    all_from.map_or(own, |all_from| all_from.min(own))
}
