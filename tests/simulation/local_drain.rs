//! The container hook of local-drain, as its contract in docs/hooks.md says, and the kubelet that it freezes.

use std::collections::BTreeSet;

use spot_guard::process::Exit;
use spot_guard::response::{HookOrder, Running};

use crate::containers::{Containers, KUBELET_TAKES};
use crate::history::Told;
use crate::scenario::Ms;
use crate::world::{Due, World, milliseconds};

/// A blind run looks so often for pods whose moment has come, and takes in those of the time until it looks again.
const LOOKS: Ms = 1000;

impl World {
    pub(crate) fn run_local_drain(&mut self, order: HookOrder) {
        let run = (self.life, order.number);
        let takes = self.scenario.local_drain.unwrap_or(0);
        if order.argument == Some("end") {
            self.at(self.now + takes, Due::LocalEnd { life: self.life });
            return self.hook_ends(self.now + takes, order.number, Exit::Code(0), None);
        }
        let named: Vec<usize> =
            (0..self.pods.len()).filter(|pod| order.pods.iter().any(|id| id.uid == self.pods[*pod].plan.uid)).collect();
        let blind = order.pods.is_empty();
        self.local_runs.insert(run, order);
        if blind {
            self.at(self.now + takes, Due::LocalLook { run, seen: BTreeSet::new() });
        } else {
            self.at(self.now + takes, Due::LocalStop { run, pods: named });
        }
    }

    /// A run without names: stops each pod of this machine at its own last moment.
    pub(crate) fn local_look(&mut self, run: (u64, u64), mut seen: BTreeSet<usize>) {
        let Some(order) = self.local_runs.get(&run) else { return };
        let drain_end = milliseconds(order.ends);
        if self.now >= drain_end {
            return;
        }
        let guard = self.guard.as_ref();
        let all_from = guard.and_then(|guard| guard.running()).and_then(Running::all_from).map(milliseconds);
        let due = |pod: &crate::containers::Pod| {
            let last = drain_end.saturating_sub(pod.plan.grace.max(1) * 1000 + 200);
            pod.is_there(self.now) && pod.is_to_stop() && self.now + LOOKS >= all_from.map_or(last, |all| all.min(last))
        };
        let pods: Vec<usize> =
            (0..self.pods.len()).filter(|pod| !seen.contains(pod) && due(&self.pods[*pod])).collect();
        seen.extend(&pods);
        self.at(self.now, Due::LocalStop { run, pods });
        self.at(self.now + LOOKS, Due::LocalLook { run, seen });
    }

    /// Stops the containers of these pods, the kubelet being frozen first.
    pub(crate) fn local_stop(&mut self, run: (u64, u64), pods: &[usize]) {
        let Some(order) = self.local_runs.get(&run) else { return };
        // A grace has whole seconds; the one that is rounded up is of the two before the deadline.
        let left = milliseconds(order.ends).saturating_sub(self.now).div_ceil(1000);
        let mut last_end = self.now;
        for index in pods {
            let pod = &self.pods[*index];
            if pod.plan.appears > self.now || !matches!(pod.containers, Containers::Run | Containers::Told { .. }) {
                continue;
            }
            self.freeze_the_kubelet();
            let pod = &mut self.pods[*index];
            let grace = pod.plan.grace.min(left).max(1) * 1000;
            if let Some(ends) = pod.term(self.now, self.now + grace) {
                self.history.note(self.now, Told::StoppedLocally(pod.plan.uid.clone()));
                self.at(ends, Due::ContainersEnd(*index));
                last_end = last_end.max(ends);
            }
        }
        let blind = self.local_runs.get(&run).is_none_or(|order| order.pods.is_empty());
        if !blind {
            self.hook_ends(last_end + KUBELET_TAKES, run.1, Exit::Code(0), None);
        }
    }

    fn freeze_the_kubelet(&mut self) {
        if !std::mem::replace(&mut self.kubelet_frozen, true) {
            self.history.frozen.push((self.now, Ms::MAX));
        }
    }

    pub(crate) fn local_end(&mut self, life: u64) {
        if life == self.life {
            self.history.note(self.now, Told::Thawed);
            self.kubelet_frozen = false;
            self.history.frozen.last_mut().into_iter().for_each(|span| span.1 = span.1.min(self.now));
            self.kubelet_catches_up();
        }
    }
}
