//! The pods in a response: found by one watch, each asked once, budgets waited for until the force time.

pub mod asks;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::plan::{self, Role};
use crate::config::Terms;
use crate::moment::Moment;
use crate::objects::{Pod, PodId};
use crate::record::Outcome;
use watch::Watch;

/// A pod that is to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodWork {
    pub id: PodId,
    pub priority: i32,
    /// Its own grace, capped by `drain.grace-period-limit`.
    pub grace: Duration,
    /// The cap took something away, so the grace must be named when it is asked.
    pub capped: bool,
    pub has_claims: bool,
    /// When its eviction or deletion was accepted.
    pub asked_at: Option<Moment>,
    /// When its eviction was first refused: at the force time a DELETE follows.
    pub refused_at: Option<Moment>,
    /// A DELETE that passes over a budget was sent.
    pub forced: bool,
    pub gone_at: Option<Moment>,
    pub cut: bool,
    /// The latest thing worth knowing: why it was refused, forced, or not asked.
    pub reason: Option<String>,
    /// Its containers are being stopped on this machine itself, since then.
    pub locally_at: Option<Moment>,
    /// Somebody asked it: it has a deletion timestamp.
    pub stopping: bool,
    refusals: u32,
    not_before: Moment,
    /// From when on the API server must let it go: it was first asked, or is asked by other terms, or for the first time
    /// past its budget; in this life of the daemon.
    pub tried_at: Option<Moment>,
    /// The latest ask: its number and when it went out.
    sent: Option<(u64, Moment)>,
    /// When its DisruptionTarget condition went out, and whether that was answered.
    marked: Option<(Moment, bool)>,
    /// The present watch has shown it.
    seen: bool,
}

impl PodWork {
    fn new(pod: &Pod, terms: &Terms) -> PodWork {
        let limit = terms.drain.grace_period_limit.unwrap_or(Duration::MAX);
        PodWork {
            has_claims: !pod.claims.is_empty(),
            ..PodWork::known(pod.id.clone(), pod.priority, pod.grace.min(limit), pod.grace > limit)
        }
    }

    /// A pod of which no more is known yet.
    pub fn known(id: PodId, priority: i32, grace: Duration, capped: bool) -> PodWork {
        PodWork {
            id,
            priority,
            grace,
            capped,
            has_claims: false,
            asked_at: None,
            refused_at: None,
            forced: false,
            gone_at: None,
            cut: false,
            reason: None,
            locally_at: None,
            stopping: false,
            refusals: 0,
            not_before: Moment::default(),
            tried_at: None,
            sent: None,
            marked: None,
            seen: false,
        }
    }

    pub fn critical(&self) -> bool {
        self.priority >= plan::CRITICAL_PRIORITY
    }

    /// It was asked, by us or by somebody else.
    pub fn asked(&self) -> bool {
        self.asked_at.is_some() || self.stopping
    }

    /// It must still be asked.
    pub fn waits(&self) -> bool {
        !self.asked() && self.gone_at.is_none()
    }

    /// What became of it, at the deadline or once it is gone.
    pub fn outcome(&self) -> Outcome {
        match self.gone_at {
            None => Outcome::Left,
            Some(_) if self.cut => Outcome::Killed,
            Some(_) => Outcome::Graceful,
        }
    }
}

/// All pods of this node that the response knows of.
#[derive(Debug, Default)]
pub struct Pods {
    /// Those that are to stop, in the order in which they were first seen.
    pub stop: Vec<PodWork>,
    by_uid: HashMap<String, usize>,
    /// Those that stay, with why and their claims.
    stay: BTreeMap<String, (Role, Vec<String>)>,
    watch: Watch,
    /// That a pod was refused, and that one is forced, is told of the first.
    told_of_refusals: bool,
    told_of_force: bool,
}

impl Pods {
    /// As an earlier life of the daemon left them.
    pub fn taken_up(stop: Vec<PodWork>) -> Pods {
        let by_uid = stop.iter().enumerate().map(|(index, pod)| (pod.id.uid.clone(), index)).collect();
        Pods { stop, by_uid, ..Pods::default() }
    }

    /// Whether the API server has shown all pods at least once.
    pub fn listed(&self) -> bool {
        self.watch.listed()
    }

    pub fn left(&self) -> usize {
        self.stop.iter().filter(|pod| pod.gone_at.is_none()).count()
    }

    /// How many stay, by reason.
    pub fn staying(&self, role: Role) -> usize {
        self.stay.values().filter(|(why, _)| *why == role).count()
    }

    /// Whether a pod that was to go has volumes that may have to be detached.
    pub fn had_claims(&self) -> bool {
        self.stop.iter().any(|pod| pod.has_claims)
    }

    /// How many volumes the pods that stay may keep attached.
    pub fn claims_that_stay(&self) -> usize {
        self.stay.values().flat_map(|(_, claims)| claims).collect::<BTreeSet<_>>().len()
    }

    fn of(&mut self, uid: &str) -> Option<&mut PodWork> {
        self.by_uid.get(uid).and_then(|index| self.stop.get_mut(*index))
    }

    /// Takes in a pod as the API server now shows it.
    fn take_in(&mut self, pod: &Pod, terms: &Terms, now: Moment) {
        if let Some(known) = self.of(&pod.id.uid) {
            known.seen = true;
            if pod.finished {
                // The object may stay for a finalizer's sake; nothing runs in it any more.
                known.gone_at.get_or_insert(now);
            }
            known.stopping |= pod.stopping;
            known.cut |= pod.cut;
            known.has_claims |= !pod.claims.is_empty();
            return;
        }
        match plan::role(pod, terms.drain.skip.as_ref()) {
            Role::Stops => {
                self.by_uid.insert(pod.id.uid.clone(), self.stop.len());
                let work = PodWork { seen: true, stopping: pod.stopping, cut: pod.cut, ..PodWork::new(pod, terms) };
                self.stop.push(work);
            }
            role => {
                self.stay.insert(pod.id.uid.clone(), (role, pod.claims.clone()));
            }
        }
    }

    fn gone(&mut self, pod: &Pod, now: Moment) {
        self.stay.remove(&pod.id.uid);
        if let Some(known) = self.of(&pod.id.uid) {
            known.cut |= pod.cut;
            known.gone_at.get_or_insert(now);
        }
    }
}
