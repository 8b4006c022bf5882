//! The phases of a response: what must be over before the next begins, and by when it begins all the same.

use std::time::Duration;

use log::Level;

use super::{LAST_WORDS, Running, a_few};
use crate::hooks::Phase;
use crate::moment::Moment;
use crate::notice::InstanceAction;
use crate::record::{Outcome, Stage};
use crate::response::plan;
use crate::response::pod_work::asks::Rules;
use crate::response::turn::{Turn, tenths};

/// Pods are asked this long after first sight at the latest, even if the cordon has not been answered.
const CORDON_PATIENCE: Duration = Duration::from_secs(1);

/// How long after the deadline the ends of hooks that it cut are still taken in.
const LAST_ENDS: Duration = Duration::from_secs(5);

/// When each phase began or ended; `None`: not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The hooks of the first phases were lined up (not kept: they are lined up again after a restart).
    pub begun: bool,
    pub pre_drain_ended: Option<Moment>,
    pub drain_started: Option<Moment>,
    /// All pods are gone and their volumes released.
    pub drained: Option<Moment>,
    pub post_drain_started: Option<Moment>,
    /// Post-drain's hooks were lined up in this life of the daemon.
    pub post_drain_begun: bool,
    pub ended: Option<Moment>,
}

/// By when the hooks of each phase end.
pub struct HookEnds {
    pre_drain: Moment,
    drain: Moment,
    during: Moment,
    response: Moment,
}

impl HookEnds {
    pub fn of(&self, phase: Phase) -> Moment {
        match phase {
            Phase::PreDrain => self.pre_drain,
            Phase::LocalDrain => self.drain,
            Phase::During => self.during,
            Phase::Notice | Phase::PostDrain | Phase::Uncordon => self.response,
        }
    }
}

impl Running {
    pub fn drain_end(&self) -> Moment {
        plan::drain_end(self.deadline.at)
    }

    /// Nothing is waited for: the time has passed, or the machine is being frozen already.
    pub(super) fn hurries(&self) -> bool {
        self.deadline.overdue || self.notice.action == InstanceAction::Hibernate
    }

    fn window(&self) -> Duration {
        self.notice.first_seen.until(self.deadline.at)
    }

    fn pre_drain_end(&self) -> Moment {
        let limit = self.terms.hooks.pre_drain_limit.unwrap_or(self.window() / 4);
        (self.notice.first_seen + limit).min(self.drain_end())
    }

    pub(super) fn hook_ends(&self) -> HookEnds {
        HookEnds {
            pre_drain: self.pre_drain_end(),
            drain: self.drain_end(),
            during: self.phases.ended.unwrap_or(self.deadline.at),
            response: self.deadline.at,
        }
    }

    /// When post-drain starts at the latest.
    fn post_drain_by(&self) -> Moment {
        let default =
            if self.has_hooks(Phase::PostDrain) && !self.hurries() { plan::DEFAULT_RESERVE } else { Duration::ZERO };
        (self.deadline.at - self.terms.drain.reserve.unwrap_or(default)).min(self.drain_end())
    }

    /// What asking pods is bound to at this moment.
    pub(super) fn rules(&self, turn: &mut Turn, cluster: bool) -> Rules {
        Rules {
            // Only a whole list shows who is critical and has the nearest force time.
            open: self.may_ask(turn, cluster) && self.pods.listed(),
            at_once: self.hurries() || !self.terms.drain.respect_budgets,
            force: self.terms.force,
            drain_end: self.drain_end(),
        }
    }

    /// Whether the drain may begin: pre-drain is over, the node is out of the load balancers, the delay has passed.
    fn may_ask(&self, turn: &mut Turn, cluster: bool) -> bool {
        if self.hurries() || self.phases.drain_started.is_some() {
            return true;
        }
        let out_at = match self.node.settled_at {
            Some(settled) => settled,
            None if cluster => self.notice.first_seen + CORDON_PATIENCE,
            None => self.notice.first_seen,
        };
        let pre_drain_over = self.phases.pre_drain_ended.is_some() || turn.has_come(self.pre_drain_end());
        pre_drain_over && turn.has_come(out_at + self.terms.drain.delay)
    }

    pub(super) fn advance_phases(&mut self, turn: &mut Turn, cluster: bool) {
        self.begin_first_phases();
        if self.terms.drains() {
            self.end_pre_drain(turn);
            self.start_drain(turn, cluster);
            self.drain_locally(turn, cluster);
            self.end_drain(turn, cluster);
            self.start_post_drain(turn);
        }
        self.end(turn, cluster);
    }

    fn begin_first_phases(&mut self) {
        let Some(hooks) = self.found_hooks.clone() else { return };
        if std::mem::replace(&mut self.phases.begun, true) || self.phases.ended.is_some() {
            return;
        }
        self.hooks.begin(&hooks, Phase::Notice, None, self.take_overs(), Vec::new());
        if self.terms.drains() {
            self.hooks.begin(&hooks, Phase::During, None, 0, Vec::new());
            self.hooks.begin(&hooks, Phase::PreDrain, None, 0, Vec::new());
        }
        self.take_up_waves(&hooks);
    }

    fn end_pre_drain(&mut self, turn: &mut Turn) {
        if self.phases.begun && self.phases.pre_drain_ended.is_none() && self.hooks.ended(Phase::PreDrain) {
            self.phases.pre_drain_ended = Some(turn.now);
            self.changed();
        }
    }

    fn start_drain(&mut self, turn: &mut Turn, cluster: bool) {
        let known = !cluster || self.pods.listed();
        if self.phases.drain_started.is_some() || !known || !self.phases.begun || !self.may_ask(turn, cluster) {
            return;
        }
        self.phases.drain_started = Some(turn.now);
        self.changed_urgently();
        if cluster {
            let staying = self.count_staying();
            self.staying = Some(staying);
            let count = format!("{} pods to stop, {staying}", self.pods.stop.len());
            turn.say(Level::Info, count.clone());
            self.tell_event("DrainStarted", count, false);
        } else {
            turn.say(Level::Info, "no cluster; containers are stopped by local-drain.d");
        }
    }

    fn end_drain(&mut self, turn: &mut Turn, cluster: bool) {
        if self.phases.drained.is_some() || self.phases.drain_started.is_none() {
            return;
        }
        let gone = if cluster {
            self.pods.listed() && self.pods.left() == 0 && !self.waits_for_volumes()
        } else {
            self.hooks.ended(Phase::LocalDrain)
        };
        if gone {
            self.phases.drained = Some(turn.now);
            self.changed_urgently();
        }
    }

    fn waits_for_volumes(&self) -> bool {
        self.terms.drain.volumes && self.pods.had_claims() && !self.volumes.released(self.pods.claims_that_stay())
    }

    /// Looks at the node's volumes once all pods are gone; before, where post-drain hooks wait for that, whether Karpenter
    /// drains it too, which often is a moment later than spot-guard.
    pub(super) fn watch_the_node(&mut self, turn: &mut Turn) {
        let volumes = self.pods.left() == 0 && self.waits_for_volumes();
        let karpenter = self.has_hooks(Phase::PostDrain) && !self.phases.post_drain_begun;
        let wanted = self.phases.drain_started.is_some() && self.pods.listed() && (volumes || karpenter);
        self.volumes.watch(turn, &mut self.line, wanted);
    }

    fn start_post_drain(&mut self, turn: &mut Turn) {
        // After the deadline nothing starts any more.
        if self.phases.post_drain_begun || self.found_hooks.is_none() || self.phases.ended.is_some() {
            return;
        }
        let pods_asked = self.phases.drain_started.is_some();
        let due = self.phases.drained.is_some()
            || (pods_asked && self.node.karpenter_disrupts())
            || turn.has_come(self.post_drain_by());
        if !due && self.phases.post_drain_started.is_none() {
            return;
        }
        self.phases.post_drain_begun = true;
        self.phases.post_drain_started.get_or_insert(turn.now);
        if self.pods.listed() {
            turn.say(
                Level::Info,
                match self.pods.left() {
                    0 => "all pods that were to stop are gone".to_owned(),
                    left => format!("post-drain begins beside pods that still stop: {left}"),
                },
            );
        }
        let hooks = self.found_hooks.clone().unwrap_or_default();
        self.hooks.begin(&hooks, Phase::PostDrain, None, 0, Vec::new());
        self.changed_urgently();
    }

    fn end(&mut self, turn: &mut Turn, cluster: bool) {
        if self.phases.ended.is_some() {
            return;
        }
        let hooks_ended = [Phase::Notice, Phase::PreDrain, Phase::LocalDrain, Phase::PostDrain]
            .iter()
            .all(|phase| self.hooks.ended(*phase));
        let node_done = !cluster || !self.terms.cordons() || self.node.settled();
        let drained = !self.terms.drains() || (self.phases.drained.is_some() && self.phases.post_drain_begun);
        let done = self.phases.begun && hooks_ended && node_done && drained;
        if done || turn.has_come(self.deadline.at) {
            self.phases.ended = Some(turn.now);
            self.tell_the_end(turn);
            self.tell_webhook(Stage::End);
            self.changed_urgently();
        }
    }

    fn tell_the_end(&mut self, turn: &mut Turn) {
        let summary = self.summary();
        let spare = tenths(turn.now.until(self.deadline.at));
        turn.say(Level::Info, format!("{summary}; {spare} s to spare"));
        if !self.terms.drains() {
            return;
        }
        if let Some(left) = self.what_is_left() {
            turn.say(Level::Error, left.clone());
            self.tell_event("DrainIncomplete", format!("{summary}; {left}"), true);
            self.note_error(left);
        } else if self.pods.listed() {
            // Without a list of the pods nobody knows what was drained.
            self.tell_event("DrainFinished", summary, false);
        }
    }

    /// The pods that are not gone, or else the volumes that are not released.
    fn what_is_left(&self) -> Option<String> {
        if self.pods.left() > 0 {
            return Some(format!("not gone at the deadline: {}", a_few(&self.pods_left())));
        }
        if self.phases.drained.is_some() || !self.pods.listed() || !self.waits_for_volumes() {
            return None;
        }
        Some(format!("volumes not released at the deadline: {}", a_few(&self.volumes.there())))
    }

    /// `78 graceful (3 of them forced past a budget), 0 killed, 0 left`
    fn summary(&self) -> String {
        if !self.terms.drains() || !self.pods.listed() {
            return "done".to_owned();
        }
        let of = |outcome| self.pods.stop.iter().filter(|pod| pod.outcome() == outcome).count();
        let forced = self.pods.stop.iter().filter(|pod| pod.forced && pod.outcome() == Outcome::Graceful).count();
        let forced = if forced > 0 { format!(" ({forced} of them forced past a budget)") } else { String::new() };
        format!(
            "{} graceful{forced}, {} killed, {} left",
            of(Outcome::Graceful),
            of(Outcome::Killed),
            of(Outcome::Left)
        )
    }

    /// Whether there is nothing more to be done: the deadline has passed, or the notice was taken back, and what that cut
    /// has had time to end.
    pub fn is_over(&self, turn: &mut Turn) -> bool {
        if self.withdrawn {
            return self.hooks.all_ended() || self.phases.ended.is_none_or(|ended| turn.has_come(ended + LAST_WORDS));
        }
        let told_only = !self.terms.cordons() && self.has_said_all(turn) && self.webhook.is_done();
        told_only || (self.phases.ended.is_some() && turn.has_come(self.closing()))
    }

    /// When the response is closed at the latest.
    pub(super) fn closing(&self) -> Moment {
        self.deadline.at + LAST_ENDS
    }

    /// Ends what outlives a turn.
    pub fn close(&mut self, turn: &mut Turn) {
        self.pods.end_watch(turn);
        self.volumes.end(turn);
    }
}
