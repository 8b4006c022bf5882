//! What happened in a world, for the oracle and for whoever reads why a seed failed.

use std::collections::BTreeMap;
use std::fmt;

use spot_guard::hooks::Phase;
use spot_guard::notice::Sighting;
use spot_guard::objects::Answer;
use spot_guard::record::Record;
use spot_guard::response::{Answered, Event, Guard, HookOrder, PodNews, Request};

use crate::scenario::{Link, Ms};
use crate::world::milliseconds;

/// One thing worth telling.
#[derive(Clone, Debug)]
pub enum Told {
    Said(String),
    /// The machine sent a request; `true`: over a new connection.
    Sent(u64, Request, bool),
    Answered(u64, Answered),
    /// The pod of that UID was asked to stop, by that kind of request, with that grace in milliseconds.
    Asked(String, &'static str, Ms),
    Appears(String),
    StoppedLocally(String),
    StartedAgain(String),
    Thawed,
    WatchEnds(u64),
    LinkIs(Link),
    Dies,
    Rises,
    Hook(String),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Said(text) => write!(f, "says: {text}"),
            Told::Sent(number, request, afresh) => {
                write!(f, "sends {number}{}: {request:?}", if *afresh { " over a new connection" } else { "" })
            }
            Told::Answered(number, answered) => write!(f, "is answered {number}: {answered:?}"),
            Told::Asked(uid, how, grace) => write!(f, "{uid} is asked to stop by {how}, grace {grace} ms"),
            Told::Appears(uid) => write!(f, "{uid} is there"),
            Told::StoppedLocally(uid) => write!(f, "{uid} is stopped on the machine itself"),
            Told::StartedAgain(uid) => write!(f, "{uid} is started again by the kubelet"),
            Told::Thawed => f.write_str("the kubelet is thawed"),
            Told::WatchEnds(number) => write!(f, "ends watch {number}"),
            Told::LinkIs(link) => write!(f, "the link: {link:?}"),
            Told::Dies => f.write_str("the daemon dies"),
            Told::Rises => f.write_str("the daemon starts again"),
            Told::Hook(hook) => write!(f, "runs hook {hook}"),
        }
    }
}

/// A hook that was run.
#[derive(Clone, Debug)]
pub struct HookStart {
    pub at: Ms,
    pub phase: Phase,
    pub name: String,
    /// It was to end by then.
    pub ends: Ms,
}

#[derive(Default)]
pub struct History {
    pub notes: Vec<(Ms, Told)>,
    pub sightings: Vec<(Ms, Sighting)>,
    /// When the daemon was not there.
    pub down: Vec<(Ms, Ms)>,
    pub hook_starts: Vec<HookStart>,
    /// The daemon died before the notice as it knew it was on disk.
    pub forgot: bool,
    /// Since when each life of the daemon knew that the pod of that UID is stopping.
    pub knew_stopping: BTreeMap<(u64, String), Ms>,
    /// When the kubelet was frozen.
    pub frozen: Vec<(Ms, Ms)>,
    /// When the machine learned that the node is cordoned.
    pub cordoned: Option<Ms>,
    pub pre_drain_over: Option<Ms>,
    /// When the response ended.
    pub ended: Option<Ms>,
}

impl History {
    pub fn note(&mut self, now: Ms, told: Told) {
        self.notes.push((now, told));
    }

    /// The machine is about to be told that.
    pub fn told(&mut self, now: Ms, life: u64, event: &Event) {
        match event {
            Event::Answered { number, uid, answered } => {
                if let (Some(uid), Answered::Other(Answer::Accepted)) = (uid, answered)
                    && self.was_an_ask(*number)
                {
                    self.knows_stopping(now, life, uid);
                }
                if let Answered::Node(node) = answered
                    && node.cordoned
                {
                    self.cordoned.get_or_insert(now);
                }
                self.note(now, Told::Answered(*number, answered.clone()));
            }
            Event::Pods { news: PodNews::Seen(pod), .. } if pod.stopping => self.knows_stopping(now, life, &pod.id.uid),
            _ => {}
        }
    }

    fn was_an_ask(&self, number: u64) -> bool {
        let sent = self.notes.iter().rev().find_map(|(_, told)| match told {
            Told::Sent(its, request, _) if *its == number => Some(request),
            _ => None,
        });
        matches!(sent, Some(Request::Evict { .. } | Request::Delete { .. }))
    }

    fn knows_stopping(&mut self, now: Ms, life: u64, uid: &str) {
        self.knew_stopping.entry((life, uid.to_owned())).or_insert(now);
    }

    /// What the machine has come to, after a turn.
    pub fn learn(&mut self, now: Ms, guard: &Guard) {
        let Some(running) = guard.running() else { return };
        if running.phases.pre_drain_ended.is_some() {
            self.pre_drain_over.get_or_insert(now);
        }
        if running.phases.ended.is_some() && self.ended.is_none() {
            self.ended = Some(now);
        }
    }

    /// A new life of the daemon has read that record.
    pub fn taken_up(&mut self, now: Ms, life: u64, record: &Record) {
        for pod in record.pods.iter().filter(|pod| pod.asked_at.is_some()) {
            self.knows_stopping(now, life, &pod.uid);
        }
    }

    pub fn hook_starts(&mut self, now: Ms, order: &HookOrder) {
        let argument = order.argument.map(|argument| format!(" {argument}")).unwrap_or_default();
        self.note(now, Told::Hook(format!("{}{argument} {}", order.hook, order.pods.len())));
        let (phase, name) = (order.hook.phase, order.hook.name.clone());
        self.hook_starts.push(HookStart { at: now, phase, name, ends: milliseconds(order.ends) });
    }
}
