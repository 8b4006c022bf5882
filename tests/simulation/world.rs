//! A world in motion: the machine under test in the middle, everything around it, and a clock that jumps from event to
//! event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use spot_guard::hooks::{Hook, Phase};
use spot_guard::moment::{Clock, Moment, Timestamp};
use spot_guard::notice::{InstanceAction, Kind, Sighting};
use spot_guard::objects::{Node, Standing};
use spot_guard::process::{Cut, Ended, Exit};
use spot_guard::record::Record;
use spot_guard::response::{Action, Event, Guard, HookOrder, Request};

use crate::containers::Pod;
use crate::history::{History, Told};
use crate::scenario::{Link, Ms, Poll, Scenario};

/// How long after boot the interruption is announced.
const ANNOUNCED: Duration = Duration::from_secs(1000);

/// A world ends this long after its notice could first be seen. A daemon that was stalled then sees it later.
const WHOLE: Ms = 150_000;

/// How long a written record takes to be on disk.
const DISK_TAKES: Ms = 5;

/// Events that one world may have: more, and something goes round in circles.
const MOST_STEPS: usize = 200_000;

/// What is to happen.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    Poll(usize),
    /// Of the other notice.
    OtherPoll(Kind),
    Tell(u64, Box<Event>),
    Arrives {
        life: u64,
        number: u64,
        request: Request,
        connected: Ms,
        afresh: bool,
    },
    LinkChanges,
    Appears(usize),
    KubeletHears(usize),
    KubeletReads(usize),
    PreStopOver(usize),
    ContainersEnd(usize),
    Gone(usize),
    VolumesChange,
    Written {
        life: u64,
        revision: u64,
        record: Box<Record>,
    },
    Dies(Ms),
    Rises,
    Ready(u64),
    LocalStop {
        run: (u64, u64),
        pods: Vec<usize>,
    },
    LocalLook {
        run: (u64, u64),
        seen: BTreeSet<usize>,
    },
    LocalEnd {
        life: u64,
    },
}

pub struct World {
    pub scenario: Scenario,
    pub now: Ms,
    pub pods: Vec<Pod>,
    pub node: Node,
    pub history: History,
    pub guard: Option<Guard>,
    pub(crate) life: u64,
    pub(crate) ready: bool,
    pub(crate) ready_awaited: bool,
    /// When the connections in use were made.
    pub(crate) connected: Ms,
    /// When the latest of those that a silence asks for were.
    pub(crate) connected_afresh: Ms,
    /// The watches that are open, and when their connections were made.
    pub(crate) pod_watches: Vec<(u64, Ms)>,
    pub(crate) node_watches: Vec<(u64, Ms)>,
    /// What watches could not be told in a silence.
    pub(crate) held_back: Vec<(u64, Ms, Event)>,
    pub(crate) patch_refusals: Vec<u16>,
    pub(crate) asks_accepted: usize,
    pub(crate) kubelet_frozen: bool,
    /// What the kubelet could not do yet: frozen, or cut off.
    pub(crate) kubelet_backlog: Vec<Due>,
    /// Local-drain runs that are at work.
    pub(crate) local_runs: BTreeMap<(u64, u64), HookOrder>,
    hook_tries: BTreeMap<String, u32>,
    disk: Option<Record>,
    queue: BTreeMap<(Ms, u64), Due>,
    count: u64,
    exited: bool,
}

/// A moment of the world as the machine has it.
pub fn moment(ms: Ms) -> Moment {
    Moment::after_boot(ANNOUNCED) + Duration::from_millis(ms)
}

pub(crate) fn milliseconds(moment: Moment) -> Ms {
    u64::try_from(moment.since(Moment::after_boot(ANNOUNCED)).as_millis()).unwrap_or(0)
}

impl World {
    pub fn new(scenario: Scenario) -> World {
        let pods: Vec<Pod> = scenario.pods.iter().cloned().map(Pod::new).collect();
        let guard = Guard::new(&scenario.settings);
        World {
            now: 0,
            node: Node::default(),
            history: History::default(),
            guard: Some(guard),
            life: 0,
            ready: true,
            ready_awaited: false,
            connected: 0,
            connected_afresh: 0,
            pod_watches: Vec::new(),
            node_watches: Vec::new(),
            held_back: Vec::new(),
            patch_refusals: scenario.patch_refusals.clone(),
            asks_accepted: 0,
            kubelet_frozen: false,
            kubelet_backlog: Vec::new(),
            local_runs: BTreeMap::new(),
            hook_tries: BTreeMap::new(),
            disk: None,
            queue: BTreeMap::new(),
            count: 0,
            exited: false,
            pods,
            scenario,
        }
    }

    /// Lets everything happen. Gives what went wrong on the way, if anything.
    pub fn run(&mut self) -> Result<(), String> {
        self.node.volumes = self.volumes();
        self.plan();
        self.feed(Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
        let end = self.scenario.seen + WHOLE;
        for _ in 0..MOST_STEPS {
            if self.now >= end || self.exited {
                return Ok(());
            }
            self.step(end)?;
        }
        Err(format!("{MOST_STEPS} steps and no end"))
    }

    fn plan(&mut self) {
        for index in 0..self.scenario.polls.len() {
            self.at(self.scenario.seen + 1000 * index as Ms, Due::Poll(index));
        }
        if let Some((kind, from)) = self.scenario.other {
            // By hand it is said once; the others are seen again and again.
            let times = if kind == Kind::ByHand { 1 } else { 40 };
            (0..times).for_each(|time| self.at(from + 5000 * time, Due::OtherPoll(kind)));
        }
        for index in 0..self.scenario.links.len() {
            self.at(self.scenario.links[index].from, Due::LinkChanges);
        }
        for index in 0..self.pods.len() {
            self.at(self.pods[index].plan.appears, Due::Appears(index));
        }
        for (from, takes) in self.scenario.crashes.clone() {
            self.at(from, Due::Dies(takes));
        }
    }

    pub(crate) fn at(&mut self, when: Ms, due: Due) {
        self.count += 1;
        self.queue.insert((when.max(self.now), self.count), due);
    }

    fn step(&mut self, end: Ms) -> Result<(), String> {
        let wake = self.wake().min(end);
        match self.queue.keys().next().copied() {
            Some(key) if key.0 <= wake => {
                self.now = key.0;
                if let Some(due) = self.queue.remove(&key) {
                    self.happen(due);
                }
            }
            _ => {
                self.now = wake;
                self.feed(Event::Tick);
            }
        }
        if self.scenario.seed.is_multiple_of(16) { self.check_the_record() } else { Ok(()) }
    }

    /// When the daemon looks again by itself: never later than in a second, as the driver does.
    fn wake(&self) -> Ms {
        let Some(guard) = &self.guard else { return Ms::MAX };
        let wake =
            guard.next_wake().map_or(self.now + 1000, |wake| milliseconds(wake).clamp(self.now + 1, self.now + 1000));
        self.stalled_until().map_or(wake, |until| wake.max(until))
    }

    fn stalled_until(&self) -> Option<Ms> {
        let now = self.now;
        self.scenario
            .stalls
            .iter()
            .map(|(from, takes)| (*from, from + takes))
            .find(|(a, b)| (*a..*b).contains(&now))
            .map(|s| s.1)
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Poll(index) => self.poll(index),
            Due::OtherPoll(kind) => self.poll_other(kind),
            Due::Tell(life, event) => self.tell(life, *event),
            Due::Arrives { life, number, request, connected, afresh } => {
                self.serve(life, number, request, connected, afresh)
            }
            Due::LinkChanges => self.link_changed(),
            Due::Appears(index) => self.appears(index),
            Due::KubeletHears(_) | Due::KubeletReads(_) | Due::PreStopOver(_) | Due::Gone(_) => self.kubelet_does(due),
            Due::ContainersEnd(index) => self.containers_end(index),
            Due::VolumesChange => self.volumes_change(),
            Due::Written { life, revision, record } => self.written(life, revision, *record),
            Due::Dies(takes) => self.die(takes),
            Due::Rises => self.rise(),
            Due::Ready(life) => self.become_ready(life),
            Due::LocalStop { run, pods } => self.local_stop(run, &pods),
            Due::LocalLook { run, seen } => self.local_look(run, seen),
            Due::LocalEnd { life } => self.local_end(life),
        }
    }

    fn tell(&mut self, life: u64, event: Event) {
        if life != self.life || self.guard.is_none() {
            return;
        }
        match self.stalled_until() {
            Some(until) => self.at(until, Due::Tell(life, Box::new(event))),
            None => self.feed(event),
        }
    }

    fn feed(&mut self, event: Event) {
        let Some(mut guard) = self.guard.take() else { return };
        self.history.told(self.now, self.life, &event);
        let clock = clock();
        let actions = guard.on(event, moment(self.now), &|| clock.clone());
        self.history.learn(self.now, &guard);
        self.guard = Some(guard);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::FindHooks => self.feed(Event::HooksFound(self.hooks_there())),
                Action::Request { number, request, afresh } => self.send(number, request, afresh),
                Action::GoOnAfresh => self.connected = self.connected_afresh,
                Action::EndWatch { number } => {
                    self.history.note(self.now, Told::WatchEnds(number));
                    self.end_watch(number);
                }
                Action::RunHook(order) => self.run_hook(*order),
                Action::StopHook { number } => self.stop_hook(number),
                // The webhook is beside everything, and worlds have none.
                Action::KillLeftOver { .. } | Action::SendWebhook { .. } => {}
                Action::Record { revision } => self.write(revision),
                Action::WriteClosed { revision, record } => self.write_record(revision, *record),
                Action::Say(_, text) => self.history.note(self.now, Told::Said(text)),
                Action::Exit => self.exited = true,
            }
        }
    }

    // --- the metadata service

    fn poll(&mut self, index: usize) {
        if self.guard.is_none() || self.stalled_until().is_some() {
            return;
        }
        self.try_to_get_ready();
        let (action, moved) = match self.scenario.polls[index] {
            _ if index == 0 => (self.scenario.action, 0),
            Poll::Notice => (self.scenario.action, 0),
            Poll::Moved(by) => (self.scenario.action, by),
            Poll::Changed(action) => (action, 0),
            Poll::Nothing => return self.feed(Event::Polled(Kind::SpotInterruption)),
            Poll::Trouble => return,
        };
        let sighting = self.sighting(action, moved);
        self.history.sightings.push((self.now, sighting.clone()));
        self.feed(Event::Noticed(sighting));
    }

    fn poll_other(&mut self, kind: Kind) {
        if self.guard.is_none() || self.stalled_until().is_some() {
            return;
        }
        let from = self.scenario.other.map_or(self.now, |(_, from)| from);
        let (action, ends) = match kind {
            Kind::ByHand => (InstanceAction::None, Some(from + 400_000)),
            Kind::Maintenance => (InstanceAction::Reboot, Some(from + 500_000)),
            Kind::AutoscalingTermination => (InstanceAction::Terminate, None),
            _ => (InstanceAction::None, Some(from)),
        };
        let (clock, seen) = (clock(), moment(self.now));
        let time = ends.map(|ends| clock.timestamp(moment(ends)));
        let event_id = (kind == Kind::Maintenance).then(|| "instance-event-1".to_owned());
        let date = clock.timestamp(seen);
        self.feed(Event::Noticed(Sighting { kind, action, event_id, time, date, seen, doubt: None }));
        self.feed(Event::Polled(kind));
    }

    fn sighting(&self, action: InstanceAction, moved: i64) -> Sighting {
        let clock = clock();
        let wall = clock.timestamp(moment(self.now));
        // An HTTP date has whole seconds.
        let date = if self.scenario.date_header { whole_second(wall) } else { wall };
        let time = match self.scenario.announced {
            Some(left) => clock.timestamp(moment(left.saturating_add_signed(moved))),
            None => clock.timestamp(Moment::after_boot(ANNOUNCED - Duration::from_secs(60))),
        };
        Sighting {
            kind: Kind::SpotInterruption,
            action,
            event_id: None,
            time: Some(time),
            date,
            seen: moment(self.now),
            doubt: None,
        }
    }

    // --- the daemon's life and its disk

    fn die(&mut self, takes: Ms) {
        let Some(guard) = self.guard.take() else { return };
        let deadline = |record: &Record| (record.deadline, record.overdue, record.notice.action);
        let known = guard.record().as_ref().map(deadline);
        self.history.forgot |= known.is_some() && known != self.disk.as_ref().map(deadline);
        self.history.note(self.now, Told::Dies);
        self.history.down.push((self.now, Ms::MAX));
        self.life += 1;
        self.pod_watches.clear();
        self.node_watches.clear();
        (self.ready, self.ready_awaited) = (false, false);
        self.local_runs.clear();
        self.at(self.now + takes, Due::Rises);
    }

    fn rise(&mut self) {
        self.history.note(self.now, Told::Rises);
        if let Some(down) = self.history.down.last_mut() {
            down.1 = self.now;
        }
        let mut guard = Guard::new(&self.scenario.settings);
        let mut actions = Vec::new();
        if let Some(record) = &self.disk {
            self.history.taken_up(self.now, self.life, record);
            // What it sees from then on is another notice, and another world.
            self.exited |= spot_guard::response::deadline(record) <= moment(self.now);
            actions = guard.take_up(read_back(record), "boot", moment(self.now)).0;
        }
        self.guard = Some(guard);
        self.perform(actions);
        self.try_to_get_ready();
    }

    /// The keeper tries at once whenever something is asked.
    pub(crate) fn try_to_get_ready(&mut self) {
        if let (false, false, Link::Answers { round_trip }) = (self.ready, self.ready_awaited, self.link()) {
            self.ready_awaited = true;
            self.at(self.now + 2 * round_trip + 20, Due::Ready(self.life));
        }
    }

    fn become_ready(&mut self, life: u64) {
        if life != self.life || self.guard.is_none() {
            return;
        }
        self.ready_awaited = false;
        if matches!(self.link(), Link::Answers { .. }) {
            self.ready = true;
            self.connected = self.now;
            self.tell(life, Event::Standing(Standing::Ready { node_name: "n1".into(), doubt: None }));
        }
    }

    fn write(&mut self, revision: u64) {
        if let Some(record) = self.guard.as_ref().and_then(Guard::record) {
            self.write_record(revision, record);
        }
    }

    fn write_record(&mut self, revision: u64, record: Record) {
        let when = match self.scenario.disk_hangs {
            Some((from, until)) if (from..until).contains(&self.now) => until,
            _ => self.now,
        };
        self.at(when + DISK_TAKES, Due::Written { life: self.life, revision, record: Box::new(record) });
    }

    fn written(&mut self, life: u64, revision: u64, record: Record) {
        if life == self.life && self.guard.is_some() {
            self.disk = Some(record);
            self.tell(life, Event::Recorded { revision });
        }
    }

    /// What is written down and read back is the same response.
    fn check_the_record(&self) -> Result<(), String> {
        let Some(record) = self.guard.as_ref().and_then(Guard::record) else { return Ok(()) };
        let mut again = Guard::new(&self.scenario.settings);
        again.take_up(read_back(&record), "boot", moment(self.now));
        match again.record() {
            Some(again) if again != record => {
                Err(format!("the record changes when it is read back: {record:?} {again:?}"))
            }
            _ => Ok(()),
        }
    }

    // --- hooks

    fn hooks_there(&self) -> Vec<Hook> {
        let planned = self.scenario.hooks.iter().map(|hook| (hook.phase, hook.name.clone()));
        let local = self.scenario.local_drain.map(|_| (Phase::LocalDrain, "50-containers".to_owned()));
        planned.chain(local).map(|(phase, name)| Hook { phase, name, path: "/hook".into() }).collect()
    }

    fn run_hook(&mut self, order: HookOrder) {
        self.history.hook_starts(self.now, &order);
        if order.hook.phase == Phase::LocalDrain {
            return self.run_local_drain(order);
        }
        let plan =
            self.scenario.hooks.iter().find(|hook| hook.phase == order.hook.phase && hook.name == order.hook.name);
        let (takes, mut exit) = plan.map_or((0, 0), |plan| (plan.takes, plan.exit));
        let tries = self.hook_tries.entry(order.hook.to_string()).or_default();
        *tries += 1;
        if exit == 75 && *tries > 1 {
            exit = 0;
        }
        let (when, exit, cut) = match self.now + takes {
            done if done <= milliseconds(order.ends) => (done, Exit::Code(exit), None),
            _ => (milliseconds(order.ends).max(self.now) + 10, Exit::Signal(15), Some(Cut::Time)),
        };
        self.hook_ends(when, order.number, exit, cut);
    }

    pub(crate) fn hook_ends(&mut self, when: Ms, number: u64, exit: Exit, cut: Option<Cut>) {
        let ended = Ended { exit, cut, dropped: 0, tail: String::new() };
        self.at(when, Due::Tell(self.life, Box::new(Event::HookEnded { number, ended })));
    }

    fn stop_hook(&mut self, number: u64) {
        self.local_runs.remove(&(self.life, number));
        self.hook_ends(self.now + 20, number, Exit::Signal(15), Some(Cut::Stopped));
    }
}

/// The clocks at the announcement. Not on a whole second, as HTTP dates are.
fn clock() -> Clock {
    let wall = Timestamp::from_rfc3339("2026-11-22T20:33:43.370Z").unwrap_or_else(|| unreachable!("it is a time"));
    Clock { boot_id: "boot".into(), boottime: Moment::after_boot(ANNOUNCED), wall }
}

fn whole_second(time: Timestamp) -> Timestamp {
    let text: String = time.to_string().chars().take(19).chain("Z".chars()).collect();
    Timestamp::from_rfc3339(&text).unwrap_or(time)
}

fn read_back(record: &Record) -> Record {
    let text = serde_json::to_vec(record).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_else(|error| unreachable!("a record that cannot be read back: {error}"))
}
