//! Asking pods to stop: who gets the next free slot, with what request, and what its answer means.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use log::Level;

use super::{PodWork, Pods};
use crate::config::Force;
use crate::moment::Moment;
use crate::objects::{Answer, Refusal};
use crate::response::action::Request;
use crate::response::line::{Line, Purpose};
use crate::response::node_work::LOST_AGAIN_AFTER;
use crate::response::plan;
use crate::response::turn::Turn;

/// A pod behind a closed budget is marked as disrupted this long before its force time.
const MARK_LEAD: Duration = Duration::from_secs(2);

/// A DELETE does not wait longer than this for the mark's answer.
const MARK_PATIENCE: Duration = Duration::from_millis(500);

/// A 404 is either the truth, which the watch tells in a moment, or a pod so new that NodeRestriction's informer does
/// not know it yet (kubernetes/kubernetes `plugin/pkg/admission/noderestriction/admission.go`, `admitPodEviction`).
const UNKNOWN_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// After so many a 404 is a refusal like any other.
const UNKNOWN_TRIES: u32 = 4;

/// An API server that has too much to do is asked again after this long at least: what it says itself where it says
/// nothing else (kubernetes/kubernetes `staging/src/k8s.io/apiserver/pkg/server/filters/maxinflight.go`).
const OVERLOADED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A refused DELETE is repeated after this long, whatever Retry-After says: there is no budget to wait for, and each
/// second is one of the pod's grace.
const DELETE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What the response as a whole allows at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Pods may be asked before their force times.
    pub open: bool,
    /// Budgets are not waited for.
    pub at_once: bool,
    /// Whether budgets are passed over at all.
    pub force: Force,
    pub drain_end: Moment,
}

/// What a pod needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Mark,
    Evict,
    Delete,
}

impl PodWork {
    /// The last moment at which it can be asked and still have its grace.
    pub fn force_time(&self, drain_end: Moment) -> Moment {
        plan::force_time(self.grace, drain_end)
    }

    fn step(&self, turn: &mut Turn, line: &Line, rules: &Rules) -> Option<Step> {
        if !self.waits() {
            return None;
        }
        let force_time = self.force_time(rules.drain_end);
        let forced_from = match rules.force {
            Force::Never => Moment::NEVER,
            Force::AtForceTime if rules.at_once => turn.now,
            Force::AtForceTime => force_time,
        };
        let unanswered = self.sent.filter(|(number, _)| line.flying(Some(*number)) && !line.silent());
        if let Some((_, sent)) = unanswered {
            // An ask that is not answered by the force time gets this much more before a DELETE goes beside it.
            let patience = sent.max(forced_from) + line.patience();
            return if turn.has_come(patience) { self.step_when_forced(turn) } else { None };
        }
        if self.refused_at.is_none() {
            let allowed = rules.open || turn.has_come(force_time);
            return (allowed && turn.has_come(self.not_before)).then_some(Step::Evict);
        }
        if turn.has_come(forced_from) {
            return self.step_when_forced(turn);
        }
        if self.marked.is_none() && turn.has_come(forced_from - MARK_LEAD) {
            return Some(Step::Mark);
        }
        turn.has_come(self.not_before).then_some(Step::Evict)
    }

    fn step_when_forced(&self, turn: &mut Turn) -> Option<Step> {
        match self.marked {
            None => Some(Step::Mark),
            Some((sent, false)) if !turn.has_come(sent + MARK_PATIENCE) => None,
            Some(_) => (!self.forced || turn.has_come(self.not_before)).then_some(Step::Delete),
        }
    }

    fn eviction(&self, drain_end: Moment, now: Moment) -> Request {
        let grace = plan::fitted_grace(self.grace, drain_end, now);
        let own_grace_fits = !self.capped && grace == self.grace;
        Request::Evict { pod: self.id.clone(), grace: (!own_grace_fits).then_some(grace) }
    }

    fn deletion(&self, drain_end: Moment, now: Moment) -> Request {
        Request::Delete { pod: self.id.clone(), grace: plan::fitted_grace(self.grace, drain_end, now) }
    }

    fn take(&mut self, turn: &mut Turn, line: &mut Line, step: Step, drain_end: Moment) {
        let uid = self.id.uid.clone();
        self.tried_at.get_or_insert(turn.now);
        match step {
            Step::Mark => {
                self.marked = Some((turn.now, false));
                line.send(turn, Purpose::Mark(uid), Request::MarkDisrupted(self.id.clone()));
            }
            Step::Evict => {
                let request = self.eviction(drain_end, turn.now);
                self.sent = Some((line.send(turn, Purpose::Ask(uid), request), turn.now));
            }
            Step::Delete => {
                if !std::mem::replace(&mut self.forced, true) {
                    self.tried_at = Some(turn.now);
                }
                let request = self.deletion(drain_end, turn.now);
                self.sent = Some((line.send(turn, Purpose::Ask(uid), request), turn.now));
            }
        }
    }

    fn accepted(&mut self, turn: &mut Turn) {
        self.asked_at.get_or_insert(turn.now);
        turn.say(Level::Debug, format!("{}/{} asked to stop", self.id.namespace, self.id.name));
    }

    /// The API server has too much to do. It says when to come back; the force time does not wait for that, and up to a
    /// fifth more keeps those apart who were refused together.
    fn is_to_come_back(&mut self, now: Moment, refusal: &Refusal, drain_end: Moment) {
        let wait = refusal.retry_after.unwrap_or_default().max(OVERLOADED_AGAIN_AFTER);
        let apart = wait.mul_f64(f64::from((self.luck() % 200) as u32) / 1000.0);
        let force_time = self.force_time(drain_end);
        let again = now + wait + apart;
        self.not_before = if now < force_time { again.min(force_time) } else { now + OVERLOADED_AGAIN_AFTER };
        self.reason = Some(answered(refusal));
    }

    fn was_refused(&mut self, turn: &mut Turn, refusal: &Refusal, drain_end: Moment) {
        self.refusals += 1;
        if refusal.is_overload() && !self.forced {
            return self.is_to_come_back(turn.now, refusal, drain_end);
        }
        let unknown = refusal.status == 404 && self.refusals <= UNKNOWN_TRIES;
        if !unknown {
            self.refused_at.get_or_insert(turn.now);
        }
        let wait = match self.forced {
            _ if unknown => UNKNOWN_AGAIN_AFTER,
            // Each second more is one of its grace.
            true => DELETE_AGAIN_AFTER,
            false => plan::repeat_after(self.refusals, self.luck()).max(refusal.retry_after.unwrap_or_default()),
        };
        self.not_before = turn.now + wait;
        let reason = answered(refusal);
        turn.say(Level::Debug, format!("cannot evict {}/{}: {reason}", self.id.namespace, self.id.name));
        self.reason = Some(reason);
    }

    fn luck(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.id.uid, self.refusals).hash(&mut hasher);
        hasher.finish()
    }
}

impl Pods {
    /// Hands the free slots to the pods that need one, the nearest force time first.
    pub fn ask(&mut self, turn: &mut Turn, line: &mut Line, rules: &Rules) {
        let mut due = Vec::new();
        for (index, pod) in self.stop.iter().enumerate() {
            if let Some(step) = pod.step(turn, line, rules) {
                due.push((plan::turn(pod.critical(), pod.force_time(rules.drain_end), turn.now), index, step));
            }
        }
        due.sort_unstable_by_key(|(order, index, _)| (*order, *index));
        // In a silence the slots may all be taken by what was lost; the next attempt needs none.
        let slots = if line.silent() || due.is_empty() { 1 } else { line.free_slots(due.len()) };
        for (_, index, step) in due.into_iter().take(slots) {
            if !line.open() {
                return;
            }
            if let Some(pod) = self.stop.get_mut(index) {
                pod.take(turn, line, step, rules.drain_end);
                if step == Step::Delete && !std::mem::replace(&mut self.told_of_force, true) {
                    let words = "its last moment has come, it is deleted past any budget; perhaps others too";
                    turn.say(Level::Info, format!("{}/{}: {words}", pod.id.namespace, pod.id.name));
                }
            }
        }
    }

    /// Their time or terms are others now: what was refused before may be let go.
    pub fn are_tried_anew(&mut self, now: Moment) {
        for pod in self.stop.iter_mut().filter(|pod| !pod.forced) {
            pod.tried_at = pod.tried_at.map(|_| now);
        }
    }

    /// The ask of that pod was answered.
    pub fn answered(&mut self, turn: &mut Turn, uid: &str, answer: &Answer, drain_end: Moment) {
        let told = self.told_of_refusals;
        let Some(pod) = self.of(uid) else { return };
        match answer {
            Answer::Accepted => pod.accepted(turn),
            Answer::Refused(refusal) => pod.was_refused(turn, refusal, drain_end),
            Answer::Nothing(_) => pod.not_before = turn.now + LOST_AGAIN_AFTER,
        }
        if let (false, true, Some(reason)) = (told, pod.refused_at.is_some(), &pod.reason) {
            let pod = format!("{}/{}", pod.id.namespace, pod.id.name);
            turn.say(
                Level::Info,
                format!("{pod} is held, perhaps others too: {}; asked again and again", reason.trim_end_matches('.')),
            );
            self.told_of_refusals = true;
        }
    }

    /// The mark of that pod was answered; whatever the answer, the DELETE need not wait for it.
    pub fn marked(&mut self, uid: &str) {
        if let Some((_, answered)) = self.of(uid).and_then(|pod| pod.marked.as_mut()) {
            *answered = true;
        }
    }
}

fn answered(refusal: &Refusal) -> String {
    format!("the API server answered {}: {}", refusal.status, refusal.message)
}
