//! The kubelet of the world: hears of deletions, stops containers, starts them again, reports their ends.

use spot_guard::response::PodNews;

use crate::containers::{Containers, KUBELET_TAKES};
use crate::history::Told;
use crate::scenario::{Link, Ms};
use crate::world::{Due, World};

impl World {
    /// Whether the kubelet can speak to the API server.
    fn kubelet_is_heard(&self) -> bool {
        !self.scenario.kubelet_shares_link || matches!(self.link(), Link::Answers { .. })
    }

    /// Frozen, or cut off from the API server, it does what is due later.
    pub(crate) fn kubelet_does(&mut self, due: Due) {
        let needs_the_api_server = matches!(due, Due::KubeletHears(_) | Due::Gone(_));
        if needs_the_api_server && !self.kubelet_is_heard() {
            return self.kubelet_backlog.push(due);
        }
        if self.kubelet_frozen {
            // What the API server sent waits in the kubelet's socket.
            let due = if let Due::KubeletHears(index) = due { Due::KubeletReads(index) } else { due };
            return self.kubelet_backlog.push(due);
        }
        match due {
            Due::KubeletHears(index) | Due::KubeletReads(index) => self.kubelet_hears(index),
            Due::PreStopOver(index) => self.pre_stop_over(index),
            Due::Gone(index) => self.gone(index),
            _ => {}
        }
    }

    pub(crate) fn kubelet_catches_up(&mut self) {
        for due in std::mem::take(&mut self.kubelet_backlog) {
            self.kubelet_does(due);
        }
        if self.kubelet_frozen {
            return;
        }
        // What ended while it was frozen, and nobody has asked to stop, is started again.
        for index in 0..self.pods.len() {
            self.start_again(index);
        }
    }

    fn kubelet_hears(&mut self, index: usize) {
        let now = self.now;
        let pod = &mut self.pods[index];
        if pod.heard.is_some() || pod.gone.is_some() {
            return;
        }
        pod.heard = Some(now);
        match pod.containers {
            Containers::Run => {
                let pre_stop = pod.plan.pre_stop.min(pod.asked.map_or(0, |(_, grace)| grace));
                self.at(now + pre_stop, Due::PreStopOver(index));
            }
            Containers::Told { .. } => {}
            Containers::Ended { .. } => self.at(now + KUBELET_TAKES, Due::Gone(index)),
        }
    }

    fn pre_stop_over(&mut self, index: usize) {
        let now = self.now;
        let pod = &mut self.pods[index];
        pod.pre_stop_over = true;
        let kill_at = pod.heard.unwrap_or(now) + pod.asked.map_or(0, |(_, grace)| grace);
        if let Some(ends) = pod.term(now, kill_at) {
            self.at(ends, Due::ContainersEnd(index));
        }
    }

    pub(crate) fn containers_end(&mut self, index: usize) {
        let now = self.now;
        let pod = &mut self.pods[index];
        pod.end(now);
        if !matches!(pod.containers, Containers::Ended { .. }) {
            return;
        }
        if pod.heard.is_some() {
            self.at(now + KUBELET_TAKES, Due::Gone(index));
        } else if !self.kubelet_frozen {
            self.start_again(index);
        }
    }

    fn start_again(&mut self, index: usize) {
        let now = self.now;
        let pod = &mut self.pods[index];
        if matches!(pod.containers, Containers::Ended { .. }) && pod.heard.is_none() && pod.gone.is_none() {
            pod.containers = Containers::Run;
            pod.started_again = Some(now);
            self.history.note(now, Told::StartedAgain(self.pods[index].plan.uid.clone()));
        }
    }

    fn gone(&mut self, index: usize) {
        let now = self.now;
        let pod = &mut self.pods[index];
        if pod.gone.replace(now).is_some() {
            return;
        }
        let released = pod.plan.volume.flatten();
        let last = self.shape(index);
        self.pod_news(PodNews::Gone(last));
        if let Some(after) = released {
            self.at(now + after, Due::VolumesChange);
        }
    }

    pub(crate) fn appears(&mut self, index: usize) {
        // Another of that name must be gone first, as names are unique.
        let name = self.pods[index].plan.name.clone();
        let taken = self.pods.iter().enumerate().any(|(other, pod)| {
            other != index && pod.plan.name == name && pod.gone.is_none() && pod.plan.appears < Ms::MAX && other < index
        });
        if taken && self.now < 125_000 {
            self.pods[index].plan.appears = self.now + 500;
            return self.at(self.now + 500, Due::Appears(index));
        }
        if taken {
            self.pods[index].plan.appears = Ms::MAX;
            return;
        }
        self.history.note(self.now, Told::Appears(self.pods[index].plan.uid.clone()));
        if self.now > 0 {
            let pod = self.shape(index);
            self.pod_news(PodNews::Seen(pod));
        }
    }
}
