//! The API server of the world, and the link to it with all its trouble.

use std::time::Duration;

use spot_guard::objects::{Answer, Node, Pod, PodId, Refusal};
use spot_guard::response::{Answered, Event, PodNews, Request};

use crate::containers::KUBELET_TAKES;
use crate::history::Told;
use crate::scenario::{Budget, Link, Ms};
use crate::world::{Due, World};

/// The patience of one request, as the client has it: for a connection and for an answer.
const CONNECTION_PATIENCE: Ms = 3_000;
const ANSWER_PATIENCE: Ms = 15_000;

impl World {
    /// The link as it is now.
    pub fn link(&self) -> Link {
        if self.scenario.dies_after_asks.is_some_and(|most| self.asks_accepted >= most) {
            return Link::Silent;
        }
        let stretches = self.scenario.links.iter().take_while(|stretch| stretch.from <= self.now);
        stretches.last().map_or(Link::Silent, |stretch| stretch.link)
    }

    fn one_way(&self) -> Ms {
        match self.link() {
            Link::Answers { round_trip } => round_trip.div_ceil(2),
            _ => 1,
        }
    }

    fn is_dead(&self, connected: Ms) -> bool {
        self.scenario.connections_die.is_some_and(|at| connected < at && at <= self.now)
    }

    pub(crate) fn send(&mut self, number: u64, request: Request, afresh: bool) {
        self.history.note(self.now, Told::Sent(number, request.clone(), afresh));
        if !self.ready {
            self.try_to_get_ready();
            return self.lost(self.life, number, &request, self.now + 1);
        }
        if afresh {
            self.connected_afresh = self.now;
        }
        let connected = if afresh { self.connected_afresh } else { self.connected };
        self.at(self.now + self.one_way(), Due::Arrives { life: self.life, number, request, connected, afresh });
    }

    /// No answer comes; the client says so at that moment.
    fn lost(&mut self, life: u64, number: u64, request: &Request, when: Ms) {
        let answer = Answer::Nothing("no answer".into());
        let event = match request {
            Request::WatchPods | Request::WatchNode => Event::WatchEnded { number, answer: Some(answer) },
            _ => Event::Answered { number, uid: uid(request), answered: Answered::Other(answer) },
        };
        self.at(when, Due::Tell(life, Box::new(event)));
    }

    fn refuse(&mut self, life: u64, number: u64, request: &Request, refusal: Refusal) {
        let answer = Answer::Refused(refusal);
        let event = match request {
            Request::WatchPods | Request::WatchNode => Event::WatchEnded { number, answer: Some(answer) },
            _ => Event::Answered { number, uid: uid(request), answered: Answered::Other(answer) },
        };
        self.at(self.now + self.one_way(), Due::Tell(life, Box::new(event)));
    }

    pub(crate) fn serve(&mut self, life: u64, number: u64, request: Request, connected: Ms, afresh: bool) {
        let patience = if afresh { CONNECTION_PATIENCE } else { ANSWER_PATIENCE };
        if self.is_dead(connected) {
            return self.lost(life, number, &request, self.now + ANSWER_PATIENCE);
        }
        if afresh && matches!(self.link(), Link::Answers { .. } | Link::Cuts | Link::Fails { .. }) {
            self.at(self.now + self.one_way(), Due::Tell(life, Box::new(Event::Reached)));
        }
        match self.link() {
            Link::Answers { .. } => self.answer(life, number, request, connected),
            Link::Silent => self.lost(life, number, &request, self.now + patience),
            Link::SilentThoughDone => {
                drop(self.work(&request));
                self.lost(life, number, &request, self.now + patience);
            }
            Link::Refuses => self.lost(life, number, &request, self.now + 1),
            Link::Cuts => {
                drop(self.work(&request));
                self.lost(life, number, &request, self.now + 5);
            }
            Link::Fails { status, retry_after } => {
                let mut refusal = refused(status);
                refusal.retry_after = retry_after.map(Duration::from_secs);
                self.refuse(life, number, &request, refusal);
            }
        }
    }

    fn answer(&mut self, life: u64, number: u64, request: Request, connected: Ms) {
        match &request {
            Request::WatchPods => return self.begin_pod_watch(life, number, connected),
            Request::WatchNode => {
                self.node_watches.push((number, connected));
                return self.node_news();
            }
            _ => {}
        }
        if let Some(answered) = self.work(&request) {
            let event = Event::Answered { number, uid: uid(&request), answered };
            self.at(self.now + self.one_way(), Due::Tell(life, Box::new(event)));
        }
    }

    /// Does what a request asks for; `None` for watches.
    fn work(&mut self, request: &Request) -> Option<Answered> {
        let answered = match request {
            Request::WatchPods | Request::WatchNode => return None,
            Request::ReadNode => Answered::Node(self.node.clone()),
            Request::PatchNode(_) => self.patch_node(),
            Request::Evict { pod, grace } => Answered::Other(self.evict(pod, *grace)),
            Request::Delete { pod, grace } => Answered::Other(self.ask(pod, Some(*grace), "delete")),
            Request::RestoreNode(what) => {
                self.node.cordoned &= !what.uncordon;
                Answered::Node(self.node.clone())
            }
            Request::AddTaints { .. } | Request::RemoveTaints { .. } | Request::MarkDisrupted(_) => {
                Answered::Other(Answer::Accepted)
            }
            Request::SetCondition(_) | Request::ClearCondition(_) | Request::CreateEvent(_) => {
                Answered::Other(Answer::Accepted)
            }
        };
        Some(answered)
    }

    fn patch_node(&mut self) -> Answered {
        if !self.patch_refusals.is_empty() {
            return Answered::Other(Answer::Refused(refused(self.patch_refusals.remove(0))));
        }
        self.node.cordoned = true;
        Answered::Node(self.node.clone())
    }

    /// The pod that has that name now.
    fn named(&self, id: &PodId) -> Option<usize> {
        (0..self.pods.len()).find(|index| {
            let pod = &self.pods[*index];
            pod.plan.name == id.name && pod.is_there(self.now)
        })
    }

    fn evict(&mut self, id: &PodId, grace: Option<Duration>) -> Answer {
        let Some(index) = self.named(id) else { return Answer::Refused(refused(404)) };
        let pod = &self.pods[index];
        if self.now < pod.plan.appears + pod.plan.unknown_for {
            return Answer::Refused(refused(404));
        }
        if pod.plan.uid == id.uid && pod.asked.is_none() {
            match pod.plan.budget.map(|budget| (budget, self.scenario.budgets[budget])) {
                Some((_, Budget::Two)) => return Answer::Refused(refused(500)),
                Some((budget, _)) if !self.budget_is_open(budget) => {
                    let causes = vec!["DisruptionBudget".to_owned()];
                    return Answer::Refused(Refusal { causes, ..refused(429) });
                }
                _ => {}
            }
        }
        self.ask(id, grace, "evict")
    }

    pub fn budget_is_open(&self, budget: usize) -> bool {
        match self.scenario.budgets[budget] {
            Budget::OpensAt(opens) => opens.is_some_and(|opens| opens <= self.now),
            Budget::OneAtATime { replaced_after } => !self.pods.iter().any(|pod| {
                pod.plan.budget == Some(budget)
                    && pod.asked.is_some()
                    && pod.gone.is_none_or(|gone| self.now < gone + replaced_after)
            }),
            Budget::Two => false,
        }
    }

    fn ask(&mut self, id: &PodId, grace: Option<Duration>, how: &'static str) -> Answer {
        let Some(index) = self.named(id) else { return Answer::Refused(refused(404)) };
        let now = self.now;
        let pod = &mut self.pods[index];
        if pod.plan.uid != id.uid {
            return Answer::Refused(refused(409));
        }
        if pod.asked.is_none() {
            let own = Duration::from_secs(pod.plan.grace);
            let grace = u64::try_from(grace.unwrap_or(own).as_millis()).unwrap_or(Ms::MAX);
            pod.asked = Some((now, grace));
            self.history.note(now, Told::Asked(id.uid.clone(), how, grace));
            self.asks_accepted += 1;
            self.at(now + KUBELET_TAKES, Due::KubeletHears(index));
            let seen = self.shape(index);
            self.pod_news(PodNews::Seen(seen));
        }
        Answer::Accepted
    }

    /// The pod as the API server shows it now.
    pub(crate) fn shape(&self, index: usize) -> Pod {
        let pod = &self.pods[index];
        let plan = &pod.plan;
        Pod {
            id: PodId { namespace: "web".into(), name: plan.name.clone(), uid: plan.uid.clone() },
            priority: if plan.critical { 2_000_000_000 } else { 0 },
            grace: Duration::from_secs(plan.grace),
            labels: Default::default(),
            mirror: plan.mirror,
            daemon_set: plan.daemon_set,
            finished: plan.finished,
            stopping: pod.asked.is_some(),
            cut: pod.gone.is_some() && matches!(pod.containers, crate::containers::Containers::Ended { cut: true, .. }),
            claims: plan.volume.iter().map(|_| format!("web/{}", plan.uid)).collect(),
            bare: false,
            local_data: false,
        }
    }

    fn begin_pod_watch(&mut self, life: u64, number: u64, connected: Ms) {
        self.pod_watches.push((number, connected));
        let when = self.now + self.one_way();
        for index in 0..self.pods.len() {
            if self.pods[index].is_there(self.now) {
                let news = PodNews::Seen(self.shape(index));
                self.at(when, Due::Tell(life, Box::new(Event::Pods { number, news })));
            }
        }
        self.at(when, Due::Tell(life, Box::new(Event::Pods { number, news: PodNews::Synced })));
    }

    pub(crate) fn end_watch(&mut self, number: u64) {
        self.pod_watches.retain(|(its, _)| *its != number);
        self.node_watches.retain(|(its, _)| *its != number);
    }

    /// A change, for whoever watches.
    pub(crate) fn pod_news(&mut self, news: PodNews) {
        for (number, connected) in self.pod_watches.clone() {
            self.say_to_a_watch(connected, Event::Pods { number, news: news.clone() });
        }
    }

    /// Nothing more comes over a dead connection; what a silence holds back comes when it is over.
    fn say_to_a_watch(&mut self, connected: Ms, event: Event) {
        if self.is_dead(connected) {
            return;
        }
        let life = self.life;
        match self.link() {
            Link::Answers { .. } | Link::Fails { .. } => {
                self.at(self.now + self.one_way(), Due::Tell(life, Box::new(event)))
            }
            Link::Silent | Link::SilentThoughDone => self.held_back.push((life, connected, event)),
            Link::Refuses | Link::Cuts => {}
        }
    }

    /// The volumes that are attached to the node: those of pods that are there, and of others until they are released.
    pub(crate) fn volumes(&self) -> Vec<String> {
        let held = self.pods.iter().filter(|pod| match pod.plan.volume {
            None => false,
            Some(None) => pod.plan.appears <= self.now,
            Some(Some(after)) => pod.plan.appears <= self.now && pod.gone.is_none_or(|gone| self.now < gone + after),
        });
        held.map(|pod| pod.plan.uid.clone()).collect()
    }

    pub(crate) fn volumes_change(&mut self) {
        self.node_news();
    }

    fn node_news(&mut self) {
        self.node.volumes = self.volumes();
        for (number, connected) in self.node_watches.clone() {
            self.say_to_a_watch(connected, Event::NodeSeen { number, node: Node::clone(&self.node) });
        }
    }

    /// Watches break where connections do.
    pub(crate) fn link_changed(&mut self) {
        let link = self.link();
        self.history.note(self.now, Told::LinkIs(link));
        match link {
            Link::Refuses | Link::Cuts => {
                self.held_back.clear();
                let pod_watches = std::mem::take(&mut self.pod_watches);
                for (number, _) in pod_watches.into_iter().chain(std::mem::take(&mut self.node_watches)) {
                    let answer = Some(Answer::Nothing("connection reset".into()));
                    self.at(self.now + 1, Due::Tell(self.life, Box::new(Event::WatchEnded { number, answer })));
                }
            }
            Link::Silent | Link::SilentThoughDone | Link::Fails { .. } => {}
            Link::Answers { .. } => {
                for (life, connected, event) in std::mem::take(&mut self.held_back) {
                    if life == self.life {
                        self.say_to_a_watch(connected, event);
                    }
                }
                self.kubelet_catches_up();
            }
        }
    }
}

fn uid(request: &Request) -> Option<String> {
    match request {
        Request::Evict { pod, .. } | Request::Delete { pod, .. } => Some(pod.uid.clone()),
        _ => None,
    }
}

fn refused(status: u16) -> Refusal {
    Refusal { status, message: format!("answered {status}"), causes: Vec::new(), retry_after: None }
}
