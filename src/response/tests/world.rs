//! A world for the machine: an API server, pods, hooks and a disk, all on a clock that is turned by hand.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{self, Settings};
use crate::hooks::{Hook, Phase};
use crate::moment::{Clock, Moment, Timestamp};
use crate::notice::{InstanceAction, Kind, Sighting};
use crate::objects::{Answer, Node, Pod, PodId, Refusal, Standing};
use crate::process::{Cut, Ended, Exit};
use crate::record::{Record, Stage};
use crate::response::{Action, Answered, Event, Guard, HookOrder, NodeChange, PodNews, Request, Restoration};

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// When a world begins, in seconds after boot. Everything in a test is told in seconds after this.
pub const START: u64 = 1000;

pub fn at(seconds: f64) -> Moment {
    Moment::after_boot(s(START)) + Duration::from_secs_f64(seconds)
}

/// A pod of the world and what becomes of it.
#[derive(Clone, Debug)]
pub struct SimPod {
    pub pod: Pod,
    /// How long its containers work after TERM.
    pub stops_in: Duration,
    /// When its budget lets it go; `None`: at any time.
    pub budget_opens: Option<Moment>,
    pub appears: Moment,
    /// The API server's admission does not know it for so long, and answers 404.
    pub unknown_for: Duration,
    /// Until then a DELETE is answered 503, with a Retry-After of an hour.
    pub undeletable_until: Moment,
    pub stopping_since: Option<(Moment, Duration)>,
    pub gone: bool,
    /// Asks by EVICT or DELETE that were accepted, with the grace they carried.
    pub asks: Vec<(Moment, &'static str, Option<Duration>)>,
}

/// When the API server does not answer at all.
pub type Outage = (Moment, Moment);

#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Request(Moment, Request, bool),
    Hook(Moment, HookOrder),
    StopHook(Moment, u64),
    Webhook(Moment, Stage, Moment),
}

pub struct World {
    pub guard: Guard,
    pub now: Moment,
    pub settings: Settings,
    pub pods: BTreeMap<String, SimPod>,
    pub node: Node,
    pub hooks: Vec<Hook>,
    /// How long each hook takes; 100 ms if not named.
    pub hook_takes: BTreeMap<String, Duration>,
    pub hook_exits: BTreeMap<String, Vec<i32>>,
    pub outages: Vec<Outage>,
    pub round_trip: Duration,
    /// So many evictions are taken in 10 ms; the others are told to come back after so long.
    pub takes: Option<(usize, Duration)>,
    taken: Vec<Moment>,
    /// What is asked of pods waits for so long in a queue of the API server.
    pub queue: Duration,
    /// Statuses that a PATCH of the node is answered with before it is accepted.
    pub patch_refusals: Vec<u16>,
    /// These credentials may not list pods.
    pub pods_are_refused: bool,
    /// What the webhook answers, in turn; then it takes everything.
    pub webhook_answers: Vec<Answer>,
    /// Nothing is heard of what it is told.
    pub webhook_is_deaf: bool,
    pub webhook_numbers: Vec<u64>,
    pub disk_works: bool,
    /// The folders of hooks can be looked into.
    pub hooks_are_found: bool,
    pub told: Vec<Told>,
    pub said: Vec<String>,
    pub exited: Option<Moment>,
    /// Records of responses that are over.
    pub closed: Vec<Record>,
    /// All records that were written, in their order.
    pub written: Vec<Record>,
    /// All revisions that were given out, of records of either kind.
    pub revisions: Vec<u64>,
    due: BTreeMap<(Moment, u64), Due>,
    counter: Cell<u64>,
    watches: BTreeSet<u64>,
    lives: u64,
}

#[derive(Clone, Debug)]
enum Due {
    Tell(u64, Event),
    Answer(u64, u64, Request),
    PodGone(String),
    PodAppears(String),
}

impl World {
    pub fn new() -> World {
        let settings = config::built_in();
        World {
            guard: Guard::new(&settings),
            now: at(0.0),
            settings,
            pods: BTreeMap::new(),
            node: Node::default(),
            hooks: Vec::new(),
            hook_takes: BTreeMap::new(),
            hook_exits: BTreeMap::new(),
            outages: Vec::new(),
            round_trip: ms(4),
            takes: None,
            taken: Vec::new(),
            queue: Duration::ZERO,
            patch_refusals: Vec::new(),
            pods_are_refused: false,
            webhook_answers: Vec::new(),
            webhook_is_deaf: false,
            webhook_numbers: Vec::new(),
            disk_works: true,
            hooks_are_found: true,
            told: Vec::new(),
            said: Vec::new(),
            exited: None,
            closed: Vec::new(),
            written: Vec::new(),
            revisions: Vec::new(),
            due: BTreeMap::new(),
            counter: Cell::new(0),
            watches: BTreeSet::new(),
            lives: 0,
        }
    }

    pub fn with_settings(change: impl FnOnce(&mut Settings)) -> World {
        let mut world = World::new();
        change(&mut world.settings);
        world.guard = Guard::new(&world.settings);
        world
    }

    /// As a reload would.
    pub fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let settings = std::sync::Arc::new(self.settings.clone());
        self.feed(Event::Reloaded(settings));
    }

    pub fn pod(&mut self, name: &str, grace: u64, stops_in: u64) -> &mut SimPod {
        let id = PodId { namespace: "web".into(), name: name.into(), uid: format!("uid-{name}") };
        let pod = Pod {
            id,
            priority: 0,
            grace: s(grace),
            labels: BTreeMap::new(),
            mirror: false,
            daemon_set: false,
            finished: false,
            stopping: false,
            cut: false,
            claims: Vec::new(),
            bare: false,
            local_data: false,
        };
        let pod = SimPod {
            pod,
            stops_in: s(stops_in),
            budget_opens: None,
            appears: at(0.0),
            unknown_for: Duration::ZERO,
            undeletable_until: at(0.0),
            stopping_since: None,
            gone: false,
            asks: Vec::new(),
        };
        self.pods.entry(format!("uid-{name}")).or_insert(pod)
    }

    pub fn hook(&mut self, phase: Phase, name: &str, takes: Duration) {
        self.hooks.push(Hook { phase, name: name.into(), path: PathBuf::from("/hook") });
        self.hook_takes.insert(name.into(), takes);
    }

    /// A cluster that is ready, and a notice that says `left` seconds.
    pub fn interrupt(&mut self, left: u64) {
        self.interrupt_with(InstanceAction::Terminate, left as f64);
    }

    pub fn interrupt_with(&mut self, action: InstanceAction, left: f64) {
        self.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
        self.notice(action, left);
    }

    pub fn notice(&mut self, action: InstanceAction, left: f64) {
        let clock = self.clock();
        let date = clock.timestamp(self.now);
        // The past is as good as any other time that cannot be waited for.
        let time = if left > 0.0 {
            clock.timestamp(self.now + Duration::from_secs_f64(left))
        } else {
            clock.timestamp(self.now - s(60))
        };
        self.feed(Event::Noticed(Sighting {
            kind: Kind::SpotInterruption,
            action,
            event_id: None,
            time: Some(time),
            date,
            seen: self.now,
            doubt: None,
        }));
    }

    pub fn clock(&self) -> Clock {
        Clock {
            boot_id: "boot".into(),
            boottime: at(0.0),
            wall: Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap(),
        }
    }

    pub fn feed(&mut self, event: Event) {
        let clock = self.clock();
        let actions = self.guard.on(event, self.now, &|| clock.clone());
        self.perform(actions);
    }

    /// The daemon dies and starts again at once, with nothing but its record.
    pub fn restart(&mut self) {
        self.lives += 1;
        self.watches.clear();
        let record = self.guard.record().or_else(|| self.written.last().cloned());
        self.guard = Guard::new(&self.settings);
        if let Some(record) = record {
            let text = serde_json::to_vec(&record).unwrap();
            let (actions, closed) = self.guard.take_up(serde_json::from_slice(&text).unwrap(), "boot", self.now);
            assert_eq!(closed, None);
            self.perform(actions);
        }
        self.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
    }

    /// Lets time pass until `until` seconds after the start.
    pub fn run(&mut self, until: f64) {
        self.run_with(until, &mut |_| ());
    }

    /// The same, looked at after every step.
    pub fn run_with(&mut self, until: f64, look: &mut dyn FnMut(&mut World)) {
        for uid in self.pods.keys().cloned().collect::<Vec<_>>() {
            let appears = self.pods[&uid].appears;
            if appears > self.now {
                self.later(appears, Due::PodAppears(uid));
            }
        }
        while self.now < at(until) && self.exited.is_none() {
            self.step(at(until));
            look(self);
        }
    }

    fn step(&mut self, until: Moment) {
        let due = self.due.keys().next().copied();
        let wake =
            self.guard.next_wake().map_or(self.now + s(1), |wake| wake.max(self.now + ms(1)).min(self.now + s(1)));
        match due {
            Some(key) if key.0 <= wake.min(until) => {
                self.now = self.now.max(key.0);
                let due = self.due.remove(&key).unwrap();
                self.happen(due);
            }
            _ => {
                self.now = wake.min(until);
                self.feed(Event::Tick);
            }
        }
    }

    fn later(&mut self, moment: Moment, due: Due) {
        self.counter.set(self.counter.get() + 1);
        self.due.insert((moment, self.counter.get()), due);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Tell(life, event) if life == self.lives => self.feed(event),
            Due::Tell(..) => {}
            Due::Answer(life, number, request) => self.serve(life, number, request),
            Due::PodGone(uid) => self.pod_gone(&uid),
            Due::PodAppears(uid) => {
                let pod = self.pods[&uid].pod.clone();
                self.news(PodNews::Seen(pod));
            }
        }
    }

    pub fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::FindHooks if self.hooks_are_found => self.feed(Event::HooksFound(self.hooks.clone())),
                Action::Request { number, request, afresh } => {
                    self.told.push(Told::Request(self.now, request.clone(), afresh));
                    if afresh && self.answers() {
                        self.later(self.now + self.round_trip / 2, Due::Tell(self.lives, Event::Reached));
                    }
                    let waits = match request {
                        Request::Evict { .. } | Request::Delete { .. } | Request::WatchPods => self.queue,
                        _ => Duration::ZERO,
                    };
                    let arrives = self.now + self.round_trip / 2 + waits;
                    self.later(arrives, Due::Answer(self.lives, number, request));
                }
                Action::EndWatch { number } => drop(self.watches.remove(&number)),
                Action::RunHook(order) => self.run_hook(*order),
                Action::StopHook { number } => self.stop_hook(number),
                Action::Record { revision } if self.disk_works => {
                    self.revisions.push(revision);
                    self.written.extend(self.guard.record());
                    self.later(self.now + ms(5), Due::Tell(self.lives, Event::Recorded { revision }));
                }
                Action::SendWebhook { number, stage, until } => self.tell_webhook(number, stage, until),
                Action::Say(_, text) => self.said.push(text),
                Action::Exit => self.exited = Some(self.now),
                Action::WriteClosed { revision, record } => {
                    self.revisions.push(revision);
                    self.written.push((*record).clone());
                    self.closed.push(*record);
                }
                Action::KillLeftOver { .. } | Action::GoOnAfresh | Action::Record { .. } | Action::FindHooks => {}
            }
        }
    }

    fn tell_webhook(&mut self, number: u64, stage: Stage, until: Moment) {
        self.told.push(Told::Webhook(self.now, stage, until));
        self.webhook_numbers.push(number);
        let has_answer = !self.webhook_answers.is_empty();
        let answer = if has_answer { self.webhook_answers.remove(0) } else { Answer::Accepted };
        if !self.webhook_is_deaf {
            self.later(self.now + ms(50), Due::Tell(self.lives, Event::Delivered { number, answer }));
        }
    }

    fn run_hook(&mut self, order: HookOrder) {
        self.told.push(Told::Hook(self.now, order.clone()));
        let takes = self.hook_takes.get(&order.hook.name).copied().unwrap_or(ms(100));
        let ends = self.now + takes;
        let exits = self.hook_exits.entry(order.hook.name.clone()).or_default();
        let code = if exits.is_empty() { 0 } else { exits.remove(0) };
        let (moment, exit, cut) = if ends <= order.ends {
            (ends, Exit::Code(code), None)
        } else {
            (order.ends, Exit::Signal(15), Some(Cut::Time))
        };
        let ended = Ended { exit, cut, dropped: 0, tail: String::new() };
        self.later(moment, Due::Tell(self.lives, Event::HookEnded { number: order.number, ended }));
    }

    fn stop_hook(&mut self, number: u64) {
        self.told.push(Told::StopHook(self.now, number));
        let ended = Ended { exit: Exit::Signal(15), cut: Some(Cut::Stopped), dropped: 0, tail: String::new() };
        self.later(self.now + ms(10), Due::Tell(self.lives, Event::HookEnded { number, ended }));
    }

    fn answers(&self) -> bool {
        !self.outages.iter().any(|(from, to)| (*from..*to).contains(&self.now))
    }

    fn serve(&mut self, life: u64, number: u64, request: Request) {
        let uid = match &request {
            Request::Evict { pod, .. } | Request::Delete { pod, .. } => Some(pod.uid.clone()),
            _ => None,
        };
        let is_watch = matches!(request, Request::WatchPods | Request::WatchNode);
        if !self.answers() {
            let nothing = Answer::Nothing("no answer".into());
            let event = match is_watch {
                true => Event::WatchEnded { number, answer: Some(nothing) },
                false => Event::Answered { number, uid, answered: Answered::Other(nothing) },
            };
            return self.later(self.now + s(15), Due::Tell(life, event));
        }
        let back = self.now + self.round_trip / 2;
        let answered = match request {
            Request::WatchPods if self.pods_are_refused => {
                let answer = Some(refused(403));
                return self.later(back, Due::Tell(life, Event::WatchEnded { number, answer }));
            }
            Request::WatchPods => return self.begin_watch(life, number, back),
            Request::WatchNode => {
                return self.later(back, Due::Tell(life, Event::NodeSeen { number, node: self.node.clone() }));
            }
            Request::ReadNode => Answered::Node(self.node.clone()),
            Request::PatchNode(change) => self.patch_node(&change),
            Request::RestoreNode(what) => self.restore_node(what),
            Request::RemoveTaints { taints, .. } => {
                self.node.taints.retain(|taint| !taints.contains(taint));
                Answered::Other(Answer::Accepted)
            }
            Request::AddTaints { taints, .. } => {
                let missing = taints.into_iter().filter(|taint| !self.node.taints.contains(taint));
                let missing: Vec<_> = missing.collect();
                self.node.taints.extend(missing);
                Answered::Other(Answer::Accepted)
            }
            Request::Evict { pod, grace } => Answered::Other(self.evict(&pod, grace)),
            Request::Delete { pod, grace } => Answered::Other(self.delete(&pod, grace)),
            _ => Answered::Other(Answer::Accepted),
        };
        self.later(back, Due::Tell(life, Event::Answered { number, uid, answered }));
    }

    fn begin_watch(&mut self, life: u64, number: u64, back: Moment) {
        self.watches.insert(number);
        let there: Vec<Pod> =
            self.pods.values().filter(|pod| !pod.gone && pod.appears <= self.now).map(|pod| pod.pod.clone()).collect();
        for pod in there {
            self.later(back, Due::Tell(life, Event::Pods { number, news: PodNews::Seen(pod) }));
        }
        self.later(back, Due::Tell(life, Event::Pods { number, news: PodNews::Synced }));
    }

    fn news(&mut self, news: PodNews) {
        for number in self.watches.clone() {
            if self.answers() {
                let news = news.clone();
                self.later(self.now + self.round_trip / 2, Due::Tell(self.lives, Event::Pods { number, news }));
            }
        }
    }

    fn patch_node(&mut self, change: &NodeChange) -> Answered {
        if !self.patch_refusals.is_empty() {
            return Answered::Other(refused(self.patch_refusals.remove(0)));
        }
        self.node.cordoned = true;
        self.node.excluded |= change.exclude;
        if let Some(annotation) = &change.annotation {
            self.node.response = Some(annotation.clone());
        }
        Answered::Node(self.node.clone())
    }

    fn restore_node(&mut self, what: Restoration) -> Answered {
        self.node.cordoned &= !what.uncordon;
        self.node.excluded &= !what.unlabel;
        self.node.response = None;
        Answered::Node(self.node.clone())
    }

    fn evict(&mut self, id: &PodId, grace: Option<Duration>) -> Answer {
        let closed = self.pods.get(&id.uid).and_then(|pod| pod.budget_opens).is_some_and(|opens| self.now < opens);
        let unknown = self.pods.get(&id.uid).is_some_and(|pod| self.now < pod.appears + pod.unknown_for);
        if unknown {
            return refused(404);
        }
        if let Some((most, retry_after)) = self.takes {
            self.taken.retain(|taken| self.now < *taken + ms(10));
            if self.taken.len() >= most {
                let Answer::Refused(refusal) = refused(429) else { unreachable!() };
                return Answer::Refused(Refusal { retry_after: Some(retry_after), ..refusal });
            }
            self.taken.push(self.now);
        }
        if closed { held() } else { self.ask(id, "evict", grace) }
    }

    fn delete(&mut self, id: &PodId, grace: Duration) -> Answer {
        if self.pods.get(&id.uid).is_some_and(|pod| self.now < pod.undeletable_until) {
            let message = "answered 503".to_owned();
            return Answer::Refused(Refusal { status: 503, message, causes: Vec::new(), retry_after: Some(s(3600)) });
        }
        self.ask(id, "delete", Some(grace))
    }

    fn ask(&mut self, id: &PodId, how: &'static str, grace: Option<Duration>) -> Answer {
        let now = self.now;
        let Some(pod) = self.pods.get_mut(&id.uid).filter(|pod| !pod.gone) else { return refused(404) };
        pod.asks.push((now, how, grace));
        if pod.stopping_since.is_some() {
            return Answer::Accepted;
        }
        let grace = grace.unwrap_or(pod.pod.grace);
        pod.stopping_since = Some((now, grace));
        pod.pod.stopping = true;
        pod.pod.cut = pod.stops_in > grace;
        let gone = now + pod.stops_in.min(grace);
        let seen = pod.pod.clone();
        self.later(gone, Due::PodGone(id.uid.clone()));
        self.news(PodNews::Seen(seen));
        Answer::Accepted
    }

    fn pod_gone(&mut self, uid: &str) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.gone = true;
            let last = pod.pod.clone();
            self.news(PodNews::Gone(last));
        }
    }

    /// The reasons of the Events that were sent.
    pub fn events(&self) -> Vec<&'static str> {
        let reasons = self.requests(|request| match request {
            Request::CreateEvent(told) => Some(told.reason),
            _ => None,
        });
        reasons.into_iter().map(|(_, reason)| reason).collect()
    }

    /// The requests of that kind that were sent, with when.
    pub fn requests<T>(&self, of: impl Fn(&Request) -> Option<T>) -> Vec<(f64, T)> {
        let requests = self.told.iter().filter_map(|told| match told {
            Told::Request(moment, request, _) => of(request).map(|found| (after_start(*moment), found)),
            _ => None,
        });
        requests.collect()
    }

    /// The pods of each wave of local-drain that was run, with when.
    pub fn waves(&self) -> Vec<(f64, Vec<String>)> {
        let waves = self.told.iter().filter_map(|told| match told {
            Told::Hook(moment, order) if order.argument == Some("start") => {
                Some((after_start(*moment), order.pods.iter().map(|pod| pod.name.clone()).collect()))
            }
            _ => None,
        });
        waves.collect()
    }

    /// The number of the first request of that kind: they count from 1.
    pub fn number_of(&self, of: impl Fn(&Request) -> bool) -> u64 {
        let place = self.requests(|request| Some(of(request))).iter().position(|(_, found)| *found);
        place.map(|place| place as u64 + 1).expect("it was sent")
    }

    /// The hooks that were run, with when.
    pub fn hook_runs(&self) -> Vec<(f64, String)> {
        let runs = self.told.iter().filter_map(|told| match told {
            Told::Hook(moment, order) => Some((
                after_start(*moment),
                format!("{}{}", order.hook, order.argument.map(|a| format!(" {a}")).unwrap_or_default()),
            )),
            _ => None,
        });
        runs.collect()
    }
}

pub fn after_start(moment: Moment) -> f64 {
    moment.since(at(0.0)).as_secs_f64()
}

fn refused(status: u16) -> Answer {
    Answer::Refused(Refusal { status, message: format!("answered {status}"), causes: Vec::new(), retry_after: None })
}

fn held() -> Answer {
    let causes = vec!["DisruptionBudget".to_owned()];
    Answer::Refused(Refusal { status: 429, message: "answered 429".into(), causes, retry_after: None })
}
