//! The machine in a world that does what it likes: pods that come and go, answers of any kind, clocks that jump.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use spot_guard::config;
use spot_guard::hooks::{Hook, Phase};
use spot_guard::moment::{Clock, Moment, Timestamp};
use spot_guard::notice::{InstanceAction, Kind, Sighting};
use spot_guard::objects::{Answer, Node, Pod, PodId, Refusal, Standing};
use spot_guard::process::{Ended, Exit, Started};
use spot_guard::record;
use spot_guard::response::{Action, Answered, Event, Guard, PodNews, Request, plan};

const BOOT: &str = "boot";

/// Two bytes are one thing that happens: what, and to whom or how.
pub fn response(data: &[u8]) {
    let mut world = World::new();
    for step in data.chunks_exact(2).take(500) {
        world.step(step[0], step[1]);
    }
}

struct World {
    guard: Guard,
    now: Moment,
    /// Requests that are not answered yet, the oldest first.
    asked: Vec<(u64, Request)>,
    hooks: Vec<u64>,
    watch: Option<u64>,
    /// By UID, those of which an ask was accepted in this life of the daemon.
    accepted: BTreeSet<String>,
    pods: BTreeMap<String, Pod>,
    revision: u64,
}

impl World {
    fn new() -> World {
        let mut settings = config::built_in();
        settings.drain.delay = Duration::from_secs(3);
        let guard = Guard::new(&settings);
        let now = Moment::after_boot(Duration::from_secs(1000));
        let pods = (0..8).map(pod).map(|pod| (pod.id.uid.clone(), pod)).collect();
        let (asked, hooks, accepted) = (Vec::new(), Vec::new(), BTreeSet::new());
        World { guard, now, asked, hooks, watch: None, accepted, pods, revision: 0 }
    }

    fn step(&mut self, what: u8, how: u8) {
        match what % 16 {
            0 => self.passes(Duration::from_millis(u64::from(how) * 10)),
            1 => self.passes(Duration::from_secs(u64::from(how))),
            2..=5 => self.news(what % 16, how),
            6..=8 => self.answer(usize::from(what / 16), how),
            9 => self.watch_ends(how),
            10 => self.hook_ends(usize::from(what / 16), how),
            11 => self.feed(Event::Recorded { revision: self.revision }),
            12 => self.noticed(how),
            13 => self.feed(Event::Standing(standing(how))),
            14 => self.restart(),
            _ => self.feed(Event::Polled(Kind::SpotInterruption)),
        }
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now + time;
        self.feed(Event::Tick);
    }

    fn noticed(&mut self, how: u8) {
        let date = clock().timestamp(self.now);
        let left = Duration::from_secs(u64::from(how / 2));
        let time = if how == 0 { None } else { Some(clock().timestamp(self.now + left)) };
        let action = [InstanceAction::Terminate, InstanceAction::Hibernate][usize::from(how == 2)];
        let kind = Kind::SpotInterruption;
        self.feed(Event::Noticed(Sighting { kind, action, event_id: None, time, date, seen: self.now, doubt: None }));
    }

    fn news(&mut self, what: u8, how: u8) {
        let Some(number) = self.watch else { return };
        let uid = format!("uid-{}", how % 8);
        let mut pod = self.pods[&uid].clone();
        (pod.stopping, pod.cut, pod.finished) = (how & 16 != 0, how & 32 != 0, pod.finished || how & 64 != 0);
        let news = match what {
            2 | 3 => PodNews::Seen(pod),
            4 => PodNews::Gone(pod),
            _ => PodNews::Synced,
        };
        self.feed(Event::Pods { number, news });
    }

    fn watch_ends(&mut self, how: u8) {
        let Some(number) = self.watch.take() else { return };
        let answer =
            [None, Some(Answer::Nothing("broken".into())), Some(refused(403, 0))][usize::from(how % 3)].clone();
        self.feed(Event::WatchEnded { number, answer });
    }

    fn answer(&mut self, which: usize, how: u8) {
        if self.asked.is_empty() {
            return;
        }
        let (number, request) = self.asked.remove(which % self.asked.len());
        let answer = match how % 8 {
            0..=2 => Answer::Accepted,
            3 => Answer::Nothing("no answer".into()),
            4 => refused(404, 0),
            5 => refused(429, u64::from(how / 8)),
            6 => refused(503, u64::MAX),
            _ => refused(403, 0),
        };
        let (uid, answered) = match request {
            Request::WatchPods => {
                self.watch = Some(number);
                return;
            }
            Request::WatchNode => return self.feed(Event::NodeSeen { number, node: node(how) }),
            Request::ReadNode | Request::PatchNode(_) if answer == Answer::Accepted => {
                (None, Answered::Node(node(how)))
            }
            Request::Evict { pod, .. } | Request::Delete { pod, .. } => {
                if answer == Answer::Accepted {
                    self.accepted.insert(pod.uid.clone());
                }
                (Some(pod.uid), Answered::Other(answer))
            }
            Request::MarkDisrupted(pod) => (Some(pod.uid), Answered::Other(answer)),
            _ => (None, Answered::Other(answer)),
        };
        self.feed(Event::Answered { number, uid, answered });
    }

    fn hook_ends(&mut self, which: usize, how: u8) {
        if self.hooks.is_empty() {
            return;
        }
        let which = which % self.hooks.len();
        if how.is_multiple_of(4) {
            let started = Started { pid: 1, start_time: 1 };
            return self.feed(Event::HookStarted { number: self.hooks[which], started });
        }
        let number = self.hooks.remove(which);
        let exit = [Exit::Code(0), Exit::Code(75), Exit::Signal(9)][usize::from(how % 3)].clone();
        self.feed(Event::HookEnded { number, ended: Ended { exit, cut: None, dropped: 0, tail: String::new() } });
    }

    /// The daemon dies and starts again, with nothing but its record.
    fn restart(&mut self) {
        let Some(record) = self.guard.record() else { return };
        let text = serde_json::to_vec(&record).unwrap();
        self.guard = Guard::new(&config::built_in());
        (self.asked, self.hooks, self.watch) = (Vec::new(), Vec::new(), None);
        self.accepted.clear();
        let (actions, _) = self.guard.take_up(record::read(&text).unwrap(), BOOT, self.now);
        if let Some(again) = self.guard.record() {
            assert_eq!((again.pods, again.deadline), (record.pods, record.deadline));
        }
        self.perform(actions);
        self.feed(Event::Standing(standing(0)));
    }

    fn feed(&mut self, event: Event) {
        let before = self.guard.running().map(|running| running.deadline.at);
        let actions = self.guard.on(event, self.now, &clock);
        let after = self.guard.running().map(|running| running.deadline.at);
        assert!(!matches!((before, after), (Some(before), Some(after)) if after > before), "the deadline went away");
        // To be called again at once and for ever would take all the processor's time.
        assert!(self.guard.next_wake().is_none_or(|wake| wake > self.now), "{actions:?}");
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        assert!(actions.len() < 200, "{actions:?}");
        for action in actions {
            match action {
                Action::FindHooks => self.feed(Event::HooksFound(hooks())),
                Action::Request { number, request, .. } => {
                    self.assert_request(&request);
                    self.asked.push((number, request));
                }
                Action::EndWatch { number } if self.watch == Some(number) => self.watch = None,
                Action::RunHook(order) => self.hooks.push(order.number),
                Action::Record { revision } => {
                    assert!(revision > 0);
                    self.revision = revision;
                }
                _ => {}
            }
        }
        let asks =
            self.asked.iter().filter(|(_, request)| matches!(request, Request::Evict { .. } | Request::Delete { .. }));
        assert!(asks.count() <= 300);
    }

    fn assert_request(&self, request: &Request) {
        let (pod, grace, forced) = match request {
            Request::Evict { pod, grace } => (&self.pods[&pod.uid], *grace, false),
            Request::Delete { pod, grace } => (&self.pods[&pod.uid], Some(*grace), true),
            _ => return,
        };
        let running = self.guard.running().expect("somebody asked");
        let (drain_end, second) = (plan::drain_end(running.deadline.at), Duration::from_secs(1));
        assert!(self.now < running.deadline.at, "asked after the deadline");
        assert!(!pod.mirror && !pod.daemon_set, "{pod:?} is not to stop");
        assert!(!self.accepted.contains(&pod.id.uid), "{pod:?} was asked before");
        let grace = grace.unwrap_or(pod.grace);
        assert!(grace >= second && (grace == second || self.now + grace <= drain_end), "{pod:?} with {grace:?}");
        assert!(grace <= pod.grace.max(second), "{pod:?} with {grace:?}");
        let hurries = running.deadline.overdue || running.notice.action == InstanceAction::Hibernate;
        assert!(!forced || hurries || self.now >= plan::force_time(pod.grace, drain_end), "{pod:?} was forced early");
    }
}

/// Of each sort one, with graces from none to more than any clock has.
fn pod(number: u64) -> Pod {
    let graces = [0, 1, 30, 60, 300, i64::MAX as u64, 30, 10];
    let id = PodId { namespace: "web".into(), name: format!("pod-{number}"), uid: format!("uid-{number}") };
    Pod {
        id,
        priority: if number == 7 { 2_000_001_000 } else { 0 },
        grace: Duration::from_secs(graces[number as usize]),
        labels: BTreeMap::new(),
        mirror: false,
        daemon_set: number == 6,
        finished: false,
        stopping: false,
        cut: false,
        claims: if number == 4 { vec!["web/data".to_owned()] } else { Vec::new() },
        bare: false,
        local_data: false,
    }
}

fn hooks() -> Vec<Hook> {
    let phases = [Phase::Notice, Phase::During, Phase::PreDrain, Phase::LocalDrain, Phase::PostDrain];
    phases.into_iter().map(|phase| Hook { phase, name: "10-a".into(), path: "/hook".into() }).collect()
}

fn node(how: u8) -> Node {
    let volumes = (0..how % 3).map(|number| format!("volume-{number}")).collect();
    let response = (how & 64 != 0).then(|| r#"{"id":"a","cordoned":true}"#.to_owned());
    Node { cordoned: how & 16 != 0, excluded: how & 32 != 0, response, taints: Vec::new(), volumes }
}

fn standing(how: u8) -> Standing {
    match how % 4 {
        0 | 1 => Standing::Ready { node_name: "n".into(), doubt: None },
        2 => Standing::Unready("no answer".into()),
        _ => Standing::None("no kubeconfig".into()),
    }
}

fn refused(status: u16, retry_after: u64) -> Answer {
    let retry_after = (retry_after > 0).then(|| Duration::from_secs(retry_after));
    Answer::Refused(Refusal { status, message: "no".into(), causes: Vec::new(), retry_after })
}

fn clock() -> Clock {
    let wall = Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap();
    Clock { boot_id: BOOT.into(), boottime: Moment::after_boot(Duration::from_secs(1000)), wall }
}
