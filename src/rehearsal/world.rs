//! What a rehearsal assumes of what it cannot ask: pods that were let go are gone when their grace is over, what was
//! refused is refused again, volumes are released at once, hooks take all the time that they have.
//!
//! Told what was asked and answered, and the time. Sends nothing and reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::budgets::Budgets;
use super::failures::Failures;
use crate::moment::Moment;
use crate::objects::{Answer, Node, Pod, Refusal};
use crate::process::{Cut, Ended, Exit};
use crate::response::{Answered, Event, HookOrder, PodNews, Request};

/// What is said of answers that were not waited for.
const TOO_LONG: &str = "it takes too long for a rehearsal";

/// A pod of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub pod: Pod,
    /// When it was let go, and with what grace.
    pub asked: Option<(Moment, Duration)>,
    gone: bool,
}

/// What is still to happen.
#[derive(Debug)]
enum Due {
    Tell(Event),
    /// That pod's grace is over.
    Gone(usize),
}

#[derive(Debug, Default)]
pub struct World {
    /// In the order in which they were seen.
    pods: Vec<Known>,
    listed: bool,
    /// The watch that is told of the pods.
    watch: Option<u64>,
    node: Node,
    /// What was sent and is not answered.
    sent: Vec<(u64, Request)>,
    failures: Failures,
    budgets: Budgets,
    gave_up: bool,
    /// The next first.
    due: VecDeque<(Moment, Due)>,
}

impl World {
    pub fn new(budgets: Budgets) -> World {
        World { budgets, ..World::default() }
    }

    pub fn pods(&self) -> &[Known] {
        &self.pods
    }

    /// Whether pods that share a budget are known to.
    pub fn knows_budgets(&self) -> bool {
        self.budgets.known()
    }

    /// Whether something that was sent is not answered yet.
    pub fn awaits(&self) -> bool {
        !self.sent.is_empty()
    }

    /// When something happens next.
    pub fn next(&self) -> Option<Moment> {
        self.due.front().map(|(moment, _)| *moment)
    }

    /// What has happened by now, one thing at a time.
    pub fn happens(&mut self, now: Moment) -> Option<Event> {
        while self.next().is_some_and(|next| next <= now) {
            let event = match self.due.pop_front()?.1 {
                Due::Tell(event) => Some(event),
                Due::Gone(index) => self.goes(index),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Takes a request. Whether it is to be sent: what can be known without is answered at once.
    pub fn takes(&mut self, number: u64, request: &Request, now: Moment) -> bool {
        match (request, self.failures.standing(request)) {
            _ if self.gave_up => self.fail(number, request, given_up(), now),
            (Request::WatchPods, _) if self.listed => self.show_pods(number, now),
            (Request::WatchNode, _) => {
                let node = Node { volumes: Vec::new(), ..self.node.clone() };
                self.at(now, Due::Tell(Event::NodeSeen { number, node }));
            }
            (_, Some(answer)) => self.fail(number, request, answer.clone(), now),
            (_, None) => {
                self.sent.push((number, request.clone()));
                return true;
            }
        }
        false
    }

    /// Takes what came of a request that was sent. Gives what the machine is to be told, if anything.
    pub fn hears(&mut self, event: Event, now: Moment) -> Option<Event> {
        match event {
            Event::Pods { number, news } => self.hears_of_pods(number, news, now),
            Event::WatchEnded { number, answer } => {
                let request = self.unsend(number)?;
                if let Some(answer) = &answer {
                    self.failures.add(&request, answer);
                }
                Some(Event::WatchEnded { number, answer })
            }
            Event::Answered { number, uid, answered } => {
                let request = self.unsend(number)?;
                let answered = self.answered(&request, answered, now);
                Some(Event::Answered { number, uid, answered })
            }
            event => Some(event),
        }
    }

    fn hears_of_pods(&mut self, number: u64, news: PodNews, now: Moment) -> Option<Event> {
        // What happens to the pods from now on is made up.
        if self.listed {
            return None;
        }
        match &news {
            PodNews::Seen(pod) => self.sees(pod),
            PodNews::Gone(pod) => self.pods.retain(|known| known.pod.id != pod.id),
            PodNews::Synced => {
                self.listed = true;
                self.watch = Some(number);
                self.sent.retain(|(_, request)| *request != Request::WatchPods);
                self.schedule_those_that_stop_already(now);
            }
        }
        Some(Event::Pods { number, news })
    }

    fn sees(&mut self, pod: &Pod) {
        match self.pods.iter_mut().find(|known| known.pod.id == pod.id) {
            Some(known) => known.pod = pod.clone(),
            None => self.pods.push(Known { pod: pod.clone(), asked: None, gone: false }),
        }
    }

    /// Somebody else has asked them, it is not known when.
    fn schedule_those_that_stop_already(&mut self, now: Moment) {
        for index in 0..self.pods.len() {
            if self.pods[index].pod.stopping {
                let grace = self.pods[index].pod.grace;
                self.at(now + grace, Due::Gone(index));
            }
        }
    }

    fn answered(&mut self, request: &Request, answered: Answered, now: Moment) -> Answered {
        match answered {
            Answered::Node(node) => {
                self.node = node.clone();
                Answered::Node(node)
            }
            Answered::Other(answer) => {
                let answer = self.within_budget(request, answer);
                match &answer {
                    Answer::Accepted => self.lets_go(request, now),
                    answer => self.failures.add(request, answer),
                }
                self.notice_that_it_is_gone(request, now);
                Answered::Other(answer)
            }
        }
    }

    /// A dry run takes nothing from a budget, so each pod that shares one is let go as if it were the first.
    fn within_budget(&mut self, request: &Request, answer: Answer) -> Answer {
        let (Request::Evict { pod, .. }, Answer::Accepted) = (request, &answer) else { return answer };
        let known = self.pods.iter().find(|known| known.pod.id == *pod && !known.pod.stopping);
        match known.and_then(|known| self.budgets.take(&known.pod)) {
            Some(refusal) => Answer::Refused(refusal),
            None => answer,
        }
    }

    fn lets_go(&mut self, request: &Request, now: Moment) {
        let (id, grace) = match request {
            Request::Evict { pod, grace } => (pod, *grace),
            Request::Delete { pod, grace } => (pod, Some(*grace)),
            _ => return,
        };
        let Some(index) = self.pods.iter().position(|known| known.pod.id == *id) else { return };
        let known = &mut self.pods[index];
        // The first ask sets the kubelet's timer.
        if known.asked.is_none() && !known.pod.stopping {
            let grace = grace.unwrap_or(known.pod.grace);
            known.asked = Some((now, grace));
            self.at(now + grace, Due::Gone(index));
        }
    }

    /// It went, or was replaced under its name, while it was asked for.
    fn notice_that_it_is_gone(&mut self, request: &Request, now: Moment) {
        let (Request::Evict { pod, .. } | Request::Delete { pod, .. }) = request else { return };
        let is_gone =
            matches!(self.failures.standing(request), Some(Answer::Refused(Refusal { status: 404 | 409, .. })));
        let index = self.pods.iter().position(|known| known.pod.id == *pod);
        if let (Some(index), true) = (index, is_gone) {
            self.at(now, Due::Gone(index));
        }
    }

    /// That watch is of no more use.
    pub fn forgets(&mut self, number: u64) {
        self.unsend(number);
    }

    /// The request of that number is under way no more.
    fn unsend(&mut self, number: u64) -> Option<Request> {
        let place = self.sent.iter().position(|(sent, _)| *sent == number)?;
        Some(self.sent.swap_remove(place).1)
    }

    /// Nothing more is asked: what is under way and what comes gets no answer.
    pub fn gives_up(&mut self, now: Moment) {
        self.gave_up = true;
        for (number, request) in std::mem::take(&mut self.sent) {
            self.fail(number, &request, given_up(), now);
        }
    }

    pub fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// Why the rest is rehearsed without an API server, if so.
    pub fn silence(&self) -> Option<&str> {
        if self.gave_up { Some(TOO_LONG) } else { self.failures.silence() }
    }

    /// A hook begins, and takes all its time.
    pub fn hook_begins(&mut self, order: &HookOrder) {
        let ended = Ended { exit: Exit::Code(0), cut: None, dropped: 0, tail: String::new() };
        self.at(order.ends, Due::Tell(Event::HookEnded { number: order.number, ended }));
    }

    /// A hook is told to end, and does.
    pub fn hook_stops(&mut self, stopped: u64, now: Moment) {
        self.due.retain(|(_, due)| !matches!(due, Due::Tell(Event::HookEnded { number, .. }) if *number == stopped));
        let ended = Ended { exit: Exit::Signal(15), cut: Some(Cut::Stopped), dropped: 0, tail: String::new() };
        self.at(now, Due::Tell(Event::HookEnded { number: stopped, ended }));
    }

    /// The machine is told so at that moment.
    pub fn tells(&mut self, event: Event, when: Moment) {
        self.at(when, Due::Tell(event));
    }

    fn at(&mut self, when: Moment, due: Due) {
        let place = self.due.partition_point(|(moment, _)| *moment <= when);
        self.due.insert(place, (when, due));
    }

    fn show_pods(&mut self, number: u64, now: Moment) {
        self.watch = Some(number);
        let there: Vec<Pod> = self.pods.iter().filter(|known| !known.gone).map(Known::shown).collect();
        let news = there.into_iter().map(PodNews::Seen).chain([PodNews::Synced]);
        for news in news.collect::<Vec<_>>() {
            self.tells(Event::Pods { number, news }, now);
        }
    }

    fn goes(&mut self, index: usize) -> Option<Event> {
        let known = self.pods.get_mut(index).filter(|known| !known.gone)?;
        known.gone = true;
        let pod = known.shown();
        self.watch.map(|number| Event::Pods { number, news: PodNews::Gone(pod) })
    }

    fn fail(&mut self, number: u64, request: &Request, answer: Answer, now: Moment) {
        let event = match request {
            Request::WatchPods | Request::WatchNode => Event::WatchEnded { number, answer: Some(answer) },
            Request::Evict { pod, .. } | Request::Delete { pod, .. } => {
                Event::Answered { number, uid: Some(pod.uid.clone()), answered: Answered::Other(answer) }
            }
            _ => Event::Answered { number, uid: None, answered: Answered::Other(answer) },
        };
        self.tells(event, now);
    }
}

impl Known {
    /// As the API server would show it now.
    fn shown(&self) -> Pod {
        Pod { stopping: self.pod.stopping || self.asked.is_some(), cut: self.gone && self.is_cut(), ..self.pod.clone() }
    }

    /// Whether a container that uses all the time that it has is killed before its pod's own grace is over.
    pub fn is_cut(&self) -> bool {
        self.asked.is_some_and(|(_, grace)| grace < self.pod.grace)
    }
}

fn given_up() -> Answer {
    Answer::Nothing(TOO_LONG.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::PodId;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(1000 + seconds))
    }

    fn pod(name: &str, grace: u64, stopping: bool) -> Pod {
        let id = PodId { namespace: "web".into(), name: name.into(), uid: format!("uid-{name}") };
        let grace = Duration::from_secs(grace);
        let labels = [("app".to_owned(), name.to_owned())].into();
        let (priority, claims) = (0, Vec::new());
        let (mirror, daemon_set, finished, cut, bare, local_data) = (false, false, false, false, false, false);
        Pod { id, priority, grace, labels, mirror, daemon_set, finished, stopping, cut, claims, bare, local_data }
    }

    /// A world that has shown these pods on watch 1.
    fn with(pods: &[Pod]) -> World {
        let mut world = World::default();
        assert!(world.takes(1, &Request::WatchPods, at(0)));
        for pod in pods {
            world.hears(Event::Pods { number: 1, news: PodNews::Seen(pod.clone()) }, at(0)).unwrap();
        }
        world.hears(Event::Pods { number: 1, news: PodNews::Synced }, at(0)).unwrap();
        assert!(!world.awaits());
        world
    }

    fn evict(pod: &Pod, grace: Option<u64>) -> Request {
        Request::Evict { pod: pod.id.clone(), grace: grace.map(Duration::from_secs) }
    }

    fn answer(number: u64, pod: &Pod, answer: Answer) -> Event {
        Event::Answered { number, uid: Some(pod.id.uid.clone()), answered: Answered::Other(answer) }
    }

    fn refused(status: u16, causes: &[&str]) -> Answer {
        let causes = causes.iter().map(|cause| (*cause).to_owned()).collect();
        Answer::Refused(Refusal { status, message: "no".into(), causes, retry_after: None })
    }

    /// The pod that goes, and whether it was cut.
    fn gone(event: Option<Event>) -> Option<(String, bool)> {
        match event {
            Some(Event::Pods { news: PodNews::Gone(pod), .. }) => Some((pod.id.name, pod.cut)),
            _ => None,
        }
    }

    #[test]
    fn a_pod_that_is_let_go_is_gone_when_its_grace_is_over_and_cut_if_that_was_shortened() {
        for (own, asked, goes, cut) in [(30, None, 30, false), (300, Some(118), 118, true), (0, Some(1), 1, false)] {
            let api = pod("api", own, false);
            let mut world = with(std::slice::from_ref(&api));
            assert!(world.takes(2, &evict(&api, asked), at(5)));
            assert!(world.hears(answer(2, &api, Answer::Accepted), at(5)).is_some());
            // Another ask sets no timer anew.
            world.takes(3, &evict(&api, asked), at(6));
            world.hears(answer(3, &api, Answer::Accepted), at(6));
            assert_eq!(world.next(), Some(at(5 + goes)));
            assert_eq!(gone(world.happens(at(4 + goes))), None);
            assert_eq!(gone(world.happens(at(5 + goes))), Some(("api".to_owned(), cut)));
            assert_eq!(gone(world.happens(at(500))), None, "it goes once");
        }
    }

    #[test]
    fn one_that_stops_already_has_its_whole_grace_at_worst() {
        let mut world = with(&[pod("api", 40, true)]);
        assert_eq!(gone(world.happens(at(39))), None);
        assert_eq!(gone(world.happens(at(40))), Some(("api".to_owned(), false)));
    }

    #[test]
    fn what_a_budget_or_admission_refuses_is_refused_again_without_being_asked() {
        for refusal in [refused(429, &["DisruptionBudget"]), refused(403, &[])] {
            let api = pod("api", 30, false);
            let mut world = with(std::slice::from_ref(&api));
            assert!(world.takes(2, &evict(&api, None), at(1)));
            world.hears(answer(2, &api, refusal.clone()), at(1));
            assert!(!world.takes(3, &evict(&api, None), at(2)));
            assert_eq!(world.happens(at(2)), Some(answer(3, &api, refusal)));
            let delete = Request::Delete { pod: api.id.clone(), grace: api.grace };
            assert!(world.takes(4, &delete, at(3)), "that is another question");
        }
    }

    #[test]
    fn a_pod_that_is_not_found_five_times_is_gone() {
        let api = pod("api", 30, false);
        let mut world = with(std::slice::from_ref(&api));
        for number in 2..7 {
            assert_eq!(world.next(), None);
            assert!(world.takes(number, &evict(&api, None), at(number)));
            world.hears(answer(number, &api, refused(404, &[])), at(number));
        }
        assert_eq!(gone(world.happens(at(6))), Some(("api".to_owned(), false)));
    }

    #[test]
    fn once_the_pods_are_listed_their_watch_is_made_up() {
        let api = pod("api", 30, false);
        let mut world = with(std::slice::from_ref(&api));
        let late = Event::Pods { number: 1, news: PodNews::Gone(api.clone()) };
        assert_eq!(world.hears(late, at(1)), None, "what really happens then is no part of it");
        assert!(!world.takes(2, &Request::WatchPods, at(2)));
        assert_eq!(world.happens(at(2)), Some(Event::Pods { number: 2, news: PodNews::Seen(api) }));
        assert_eq!(world.happens(at(2)), Some(Event::Pods { number: 2, news: PodNews::Synced }));
    }

    #[test]
    fn after_it_gave_up_nothing_is_sent_and_what_comes_late_counts_no_more() {
        let api = pod("api", 30, false);
        let mut world = with(std::slice::from_ref(&api));
        world.takes(2, &evict(&api, None), at(1));
        world.gives_up(at(20));
        assert!(!world.awaits());
        assert!(matches!(world.happens(at(20)), Some(Event::Answered { number: 2, .. })));
        assert_eq!(world.hears(answer(2, &api, Answer::Accepted), at(21)), None);
        assert!(!world.takes(3, &Request::ReadNode, at(22)));
        assert_eq!(world.silence(), Some(TOO_LONG));
    }

    #[test]
    fn a_hook_takes_all_its_time_or_ends_when_it_is_told_to() {
        let hook = crate::hooks::Hook { phase: crate::hooks::Phase::During, name: "a".into(), path: "/a".into() };
        let order = |number| HookOrder { number, hook: hook.clone(), argument: None, pods: Vec::new(), ends: at(9) };
        let mut world = World::default();
        world.hook_begins(&order(1));
        world.hook_begins(&order(2));
        world.hook_stops(2, at(3));
        let stopped = |event: Option<Event>| match event {
            Some(Event::HookEnded { number, ended }) => Some((number, ended.cut)),
            _ => None,
        };
        assert_eq!(stopped(world.happens(at(3))), Some((2, Some(Cut::Stopped))));
        assert_eq!(stopped(world.happens(at(8))), None);
        assert_eq!(stopped(world.happens(at(9))), Some((1, None)));
        assert_eq!(world.next(), None);
    }
}
