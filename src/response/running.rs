//! A running response: its parts, and how an event reaches them.

mod local_drain;
mod notices;
mod phases;
mod troubles;
mod webhook;

use std::collections::BTreeSet;
use std::time::Duration;

use log::Level;

use super::action::{Action, Request};
use super::event::{Answered, Event};
use super::hook_runs::{HookRuns, Limits};
use super::line::{Flight, Line, Purpose};
use super::node_work::NodeWork;
use super::plan;
use super::pod_work::Pods;
use super::revisions::Revisions;
use super::tell::Tell;
use super::turn::Turn;
use super::volumes::Volumes;
use super::webhook::Webhook;
use crate::config::Terms;
use crate::hooks::{Hook, Phase};
use crate::instance::Instance;
use crate::moment::{Clock, Moment};
use crate::notice::{self, Deadline, InstanceAction, Sighting};
use crate::objects::{Answer, Standing};
use crate::record::StayingWritten;
pub use local_drain::LocalDrain;
pub use notices::Notice;
pub use phases::Phases;
pub use troubles::Trouble;

/// Errors that are kept in the record; what comes after is only logged.
const ERRORS_KEPT: usize = 50;

/// Of failed hooks this many are told of on the Node; the record has all.
const FAILURES_TOLD: usize = 3;

/// What the end of a response brings about may take so long before a daemon that was told to end does, or the node comes
/// back: the last events on the Node, the webhook, the ends of hooks, which have 2 s from TERM to KILL.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The last numbers that a response gave out: those of the next go on after them, as answers may still come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub request: u64,
    pub hook: u64,
    pub revision: u64,
    pub webhook: u64,
}

#[derive(Debug)]
pub struct Running {
    pub id: String,
    pub clock: Clock,
    pub notice: Notice,
    /// Those that it went by before, the same notice in other words among them.
    pub earlier_notices: Vec<Notice>,
    /// Others that stand, and ask for less or come later.
    pub notices_beside: Vec<Notice>,
    pub deadline: Deadline,
    pub terms: Terms,
    pub instance: Instance,
    pub node_name: Option<String>,
    pub node: NodeWork,
    pub pods: Pods,
    /// Pods that stay, as counted when the drain began.
    pub staying: Option<StayingWritten>,
    pub hooks: HookRuns,
    pub phases: Phases,
    /// When others did not answer.
    pub troubles: Vec<Trouble>,
    pub errors: Vec<String>,
    line: Line,
    tell: Tell,
    /// `None`: asked for, not told yet.
    found_hooks: Option<Vec<Hook>>,
    pub local_drain: LocalDrain,
    pub webhook: Webhook,
    volumes: Volumes,
    revisions: Revisions,
    /// The notice was taken back.
    pub withdrawn: bool,
}

impl Running {
    /// Begins a response to a notice. `last_id`: of the response before it, so that no two have the same.
    pub fn begin(
        turn: &mut Turn,
        sighting: &Sighting,
        deadline: Deadline,
        clock: Clock,
        terms: Terms,
        instance: Instance,
        last_id: &str,
    ) -> Running {
        let id = id(&clock, sighting.seen, last_id);
        let mut running = Running::new(id, clock, Notice::of(sighting), deadline, terms, instance);
        turn.say(Level::Warn, running.announcement(turn));
        for doubt in sighting.doubt.iter().cloned().chain(notice::doubt_about_time(sighting, deadline)) {
            turn.say(Level::Warn, format!("the notice is odd: {doubt}"));
            running.note_error(format!("the notice is odd: {doubt}"));
        }
        running.tell_of_the_notice(turn);
        running.changed_urgently();
        turn.act(Action::FindHooks);
        running
    }

    /// A response of which nothing has happened yet.
    pub fn new(
        id: String,
        clock: Clock,
        notice: Notice,
        deadline: Deadline,
        terms: Terms,
        instance: Instance,
    ) -> Running {
        Running {
            id,
            clock,
            notice,
            earlier_notices: Vec::new(),
            notices_beside: Vec::new(),
            deadline,
            terms,
            instance,
            node_name: None,
            node: NodeWork::default(),
            pods: Pods::default(),
            staying: None,
            hooks: HookRuns::default(),
            phases: Phases::default(),
            troubles: Vec::new(),
            errors: Vec::new(),
            line: Line::default(),
            tell: Tell::default(),
            found_hooks: None,
            local_drain: LocalDrain::default(),
            webhook: Webhook::default(),
            volumes: Volumes::default(),
            revisions: Revisions::default(),
            withdrawn: false,
        }
    }

    /// Goes on counting where the response before it ended.
    pub fn after(mut self, numbers: Numbers) -> Running {
        self.line = Line::after(numbers.request);
        self.hooks = self.hooks.after(numbers.hook);
        self.revisions.count_on_from(numbers.revision);
        self.webhook = self.webhook.after(numbers.webhook);
        self
    }

    /// With an API server that is so far away, as far as is known.
    pub fn at_a_distance(mut self, distance: Option<Duration>) -> Running {
        self.line.distance = distance;
        self
    }

    pub fn numbers(&self) -> Numbers {
        Numbers {
            request: self.line.last_number(),
            hook: self.hooks.last_number(),
            revision: self.revisions.given_out,
            webhook: self.webhook.last_number(),
        }
    }

    fn tell_event(&mut self, reason: &'static str, message: impl Into<String>, warning: bool) {
        if self.terms.events {
            self.tell.event(reason, message, warning);
        }
    }

    /// Takes in what happened.
    pub fn absorb(&mut self, turn: &mut Turn, event: Event) {
        match event {
            Event::Reached => self.line.was_reached(),
            Event::HooksFound(hooks) => self.found_hooks = Some(hooks),
            Event::Answered { number, uid, answered } => self.answered(turn, number, uid, answered),
            // What became of a pod is what it was at the deadline.
            Event::Pods { .. } if turn.now >= self.deadline.at => {}
            Event::Pods { number, news } => {
                self.line.heard(turn, number);
                self.pods.news(turn, &self.line, number, &news, &self.terms);
                self.changed();
            }
            Event::NodeSeen { number, node } => {
                self.line.heard(turn, number);
                self.node.seen(&node);
                self.volumes.seen(turn, number, node.volumes);
            }
            Event::WatchEnded { number, answer } => self.watch_ended(turn, number, answer),
            Event::HookStarted { number, started } => {
                self.hooks.started(number, started);
                self.changed_urgently();
            }
            Event::HookEnded { number, ended } => {
                if let Some(trouble) = self.hooks.has_come_back(turn, number, ended) {
                    self.hook_failed(trouble);
                }
                self.changed_urgently();
            }
            Event::Delivered { number, answer } => {
                if let Some(trouble) = self.webhook.heard(turn, number, &answer) {
                    self.note_error(trouble);
                }
                self.changed_urgently();
            }
            Event::Recorded { revision } => self.revisions.recorded(revision),
            Event::MetadataService { trouble } => self.note_metadata_service(turn, trouble),
            Event::Instance(instance) => {
                self.instance = instance;
                self.changed();
            }
            _ => {}
        }
    }

    fn answered(&mut self, turn: &mut Turn, number: u64, uid: Option<String>, answered: Answered) {
        let flight = match answered {
            Answered::Other(Answer::Nothing(_)) => self.line.failed(number),
            _ => self.line.heard(turn, number),
        };
        // Whatever became of the request's number, what it says about a pod holds.
        match (uid, flight, answered) {
            (_, Some(Flight { purpose: Purpose::Mark(uid), .. }), _) => self.pods.marked(&uid),
            (Some(uid), flight, Answered::Other(answer)) => {
                if let Some(flight) = flight {
                    self.line.ask_was_answered(turn, &flight, &answer);
                }
                let drain_end = self.drain_end();
                self.pods.answered(turn, &uid, &answer, drain_end);
                self.changed();
            }
            (_, Some(flight), answered) => self.node_answered(turn, &flight.purpose, answered),
            _ => {}
        }
    }

    fn node_answered(&mut self, turn: &mut Turn, purpose: &Purpose, answered: Answered) {
        match (purpose, answered) {
            (Purpose::ReadNode, answered) => self.node.read(turn, answered),
            (Purpose::PatchNode, answered) => {
                let was_cordoned = self.node.cordoned();
                if let Some(trouble) = self.node.patched(turn, answered, &self.terms) {
                    turn.say(Level::Error, trouble.clone());
                    self.note_error(trouble);
                }
                if !was_cordoned && self.node.cordoned() {
                    let message = format!("cordoned by spot-guard: {}", self.notice.words());
                    self.tell_event("Cordon", message, false);
                }
                self.changed_urgently();
            }
            (Purpose::AddTaints, Answered::Other(Answer::Refused(refusal))) => {
                let trouble = format!(
                    "cannot set the taints of kubernetes.taints: {}; use credentials that may",
                    refusal.message
                );
                turn.say(Level::Warn, trouble.clone());
                self.note_error(trouble);
            }
            (Purpose::Tell, Answered::Other(answer)) => self.tell.answered(turn, &answer),
            _ => {}
        }
    }

    fn watch_ended(&mut self, turn: &mut Turn, number: u64, answer: Option<Answer>) {
        match &answer {
            Some(Answer::Nothing(_)) => self.line.failed(number),
            _ => self.line.heard(turn, number),
        };
        self.volumes.watch_ended(turn, number);
        if let Some(Answer::Refused(refusal)) = &answer {
            self.note_error(format!(
                "cannot watch the node's pods: the API server answered {}: {}",
                refusal.status, refusal.message
            ));
        }
        self.pods.watch_ended(turn, number, answer.as_ref());
    }

    /// Does all that is due.
    pub fn advance(&mut self, turn: &mut Turn, standing: &Standing) {
        if self.withdrawn {
            return self.revisions.give_out(turn);
        }
        self.line.listen(turn);
        self.note_silence(turn);
        if self.node_name.is_none()
            && let Standing::Ready { node_name, .. } = standing
        {
            self.node_name = Some(node_name.clone());
            self.changed();
        }
        let cluster = !matches!(standing, Standing::None(_));
        if self.in_time(turn) {
            self.advance_cluster(turn, cluster);
        }
        self.advance_phases(turn, cluster);
        self.advance_hooks(turn);
        // The cordon goes before any word about it.
        let node_done = !self.terms.cordons() || self.node.settled();
        if cluster && node_done {
            self.tell.advance(turn, &mut self.line);
        }
        self.advance_webhook(turn);
        self.revisions.give_out(turn);
    }

    /// Whether nothing that the response's end brought about is under way any more, or it has had its time.
    pub fn has_said_all(&self, turn: &mut Turn) -> bool {
        let Some(ended) = self.phases.ended else { return false };
        (self.tell.is_empty() && self.hooks.all_ended() && self.webhook.is_done()) || turn.has_come(ended + LAST_WORDS)
    }

    pub(super) fn in_time(&self, turn: &mut Turn) -> bool {
        !turn.has_come(self.deadline.at)
    }

    fn advance_cluster(&mut self, turn: &mut Turn, cluster: bool) {
        if !cluster {
            return;
        }
        self.node.advance(turn, &mut self.line, &self.terms, &self.id);
        if !self.terms.drains() {
            return;
        }
        // Without the list nobody can be asked; with it, to ask comes first.
        let listed = self.pods.listed();
        if !listed {
            self.pods.watch(turn, &mut self.line);
        }
        let rules = self.rules(turn, cluster);
        self.pods.ask(turn, &mut self.line, &rules);
        if listed {
            self.pods.watch(turn, &mut self.line);
        }
        self.probe(turn);
        self.watch_the_node(turn);
        if self.line.lacks_an_attempt(turn) {
            self.line.send(turn, Purpose::Probe, Request::ReadNode);
        }
    }

    fn advance_hooks(&mut self, turn: &mut Turn) {
        let ends = self.hook_ends();
        let limits = Limits {
            settings: &self.terms.hooks,
            ends: &|phase| ends.of(phase),
            next_revision: self.revisions.given_out + 1,
            recorded: self.revisions.recorded,
        };
        let advanced = self.hooks.advance(turn, &limits);
        if advanced.to_record {
            self.changed_urgently();
        }
        advanced.troubles.into_iter().for_each(|trouble| self.hook_failed(trouble));
    }

    fn hook_failed(&mut self, trouble: String) {
        if self.hooks.failed() <= FAILURES_TOLD {
            self.tell_event("HookFailed", trouble.clone(), true);
        }
        self.note_error(trouble);
    }

    pub(super) fn changed(&mut self) {
        self.revisions.changed();
    }

    pub(super) fn changed_urgently(&mut self) {
        self.revisions.changed_urgently();
    }

    fn note_error(&mut self, error: String) {
        if self.errors.len() < ERRORS_KEPT && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Hooks of a phase that were found.
    fn has_hooks(&self, phase: Phase) -> bool {
        self.found_hooks.iter().flatten().any(|hook| hook.phase == phase)
    }

    /// The cluster is there again, as others have found.
    pub fn hurry(&mut self) {
        self.line.hurry();
    }

    /// What is going on, in one line for a person.
    pub fn words(&self, now: Moment) -> String {
        let left = now.until(self.deadline.at).as_secs();
        let action = match self.notice.action {
            InstanceAction::None => self.notice.kind.to_string(),
            action => action.name().to_owned(),
        };
        if self.phases.ended.is_some() {
            return format!("{action} in {left} s; all done");
        }
        if self.phases.drain_started.is_none() {
            return format!("{action} in {left} s; preparing");
        }
        format!("{action} in {left} s; draining, {} of {} pods left", self.pods.left(), self.pods.stop.len())
    }

    /// How many pods stay, by why.
    fn count_staying(&self) -> StayingWritten {
        StayingWritten {
            daemon_set: self.pods.staying(plan::Role::DaemonSet),
            static_pods: self.pods.staying(plan::Role::Static),
            skipped: self.pods.staying(plan::Role::Skipped),
        }
    }

    /// Namespaces and names of the pods that are left.
    fn pods_left(&self) -> BTreeSet<String> {
        let left = self.pods.stop.iter().filter(|pod| pod.gone_at.is_none());
        left.map(|pod| format!("{}/{}", pod.id.namespace, pod.id.name)).collect()
    }
}

/// A few of these names, and how many more there are.
fn a_few(names: &BTreeSet<String>) -> String {
    let mut few: Vec<String> = names.iter().take(5).cloned().collect();
    if names.len() > few.len() {
        few.push(format!("{} more", names.len() - few.len()));
    }
    few.join(", ")
}

/// `20261122T203343Z`: the time of first sight, or the next second that no other response has.
pub fn id(clock: &Clock, first_seen: Moment, last_id: &str) -> String {
    let of = |moment| -> String {
        let time = clock.timestamp(moment).to_string();
        time.chars().take(19).filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect()
    };
    let id = of(first_seen);
    if id == last_id { of(first_seen + Duration::from_secs(1)) } else { id }
}
