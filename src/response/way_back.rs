//! The way back: what spot-guard did to the node is undone, and the hooks of `uncordon.d` run.

use std::time::Duration;

use log::Level;

use super::action::Action;
use super::event::{Answered, Event};
use super::hook_runs::{HookRuns, Limits};
use super::line::{Line, Purpose};
use super::node_undo::{NodeUndo, Undone};
use super::revisions::Revisions;
use super::running::Numbers;
use super::tell::Tell;
use super::turn::Turn;
use super::webhook::Webhook;
use super::written;
use crate::hooks::{Hook, Phase};
use crate::moment::{Clock, Moment};
use crate::objects::{Answer, Standing};
use crate::record::{HookWritten, PhaseName, PhaseWritten, Record};

/// Hooks do not wait longer than this for the node.
const NODE_PATIENCE: Duration = Duration::from_secs(10);

/// Nor does the way back end later than this for the webhook, which may still be told of the response's end.
const WEBHOOK_PATIENCE: Duration = Duration::from_secs(30);

/// How long its end is shown where no record tells of it: who asked for it looks every quarter of a second.
const SHOWN_FOR: Duration = Duration::from_secs(5);

/// A node that could not be brought back after this long is told of, and tried again.
const GIVES_UP_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub struct WayBack {
    /// Of the response that is undone.
    base: Record,
    /// There is such a response. Where there is none nothing is run or written down unless the node says that something
    /// on it is ours.
    is_known: bool,
    clock: Clock,
    began: Moment,
    ended: Option<Moment>,
    why: String,
    node: NodeUndo,
    line: Line,
    tell: Tell,
    hooks: HookRuns,
    found_hooks: Option<Vec<Hook>>,
    /// The `end` hooks of a local drain that was left in the middle were lined up.
    thaws: bool,
    /// The hooks of `uncordon.d` were lined up.
    hooks_begun: bool,
    told: bool,
    /// What it was not told yet of a response that was ended in the middle.
    webhook: Webhook,
    errors: Vec<String>,
    revisions: Revisions,
}

impl WayBack {
    /// The id of the response that is undone.
    pub fn id(&self) -> &str {
        &self.base.id
    }

    pub fn begin(
        turn: &mut Turn,
        record: Record,
        is_known: bool,
        clock: Clock,
        why: String,
        numbers: Numbers,
    ) -> WayBack {
        turn.say(Level::Info, format!("the node is brought back: {why}"));
        turn.act(Action::FindHooks);
        let earlier = record.hooks.iter().filter(|hook| hook.phase == Phase::Uncordon);
        let hooks = HookRuns::taken_up(earlier.map(|hook| written::read_hook_at(hook, &clock)).collect());
        let same_boot = record.clock.boot_id == clock.boot_id;
        let untold = if same_boot { written::read_webhook(&record.webhook, &clock) } else { Webhook::default() };
        let mut revisions = Revisions::after(numbers.revision);
        revisions.changed_urgently();
        WayBack {
            base: record,
            is_known,
            clock,
            began: turn.now,
            ended: None,
            why,
            node: NodeUndo::default(),
            line: Line::after(numbers.request),
            tell: Tell::default(),
            hooks: hooks.after(numbers.hook),
            found_hooks: None,
            thaws: false,
            hooks_begun: false,
            told: false,
            webhook: untold.after(numbers.webhook),
            errors: Vec::new(),
            revisions,
        }
    }

    /// The cluster is there again, as others have found.
    pub fn hurry(&mut self) {
        self.line.hurry();
    }

    pub fn absorb(&mut self, turn: &mut Turn, event: Event) {
        match event {
            Event::HooksFound(hooks) => self.found_hooks = Some(hooks),
            Event::Answered { number, answered, .. } => self.answered(turn, number, answered),
            Event::HookStarted { number, started } => {
                self.hooks.started(number, started);
                self.revisions.changed_urgently();
            }
            Event::HookEnded { number, ended } => {
                self.errors.extend(self.hooks.has_come_back(turn, number, ended));
                self.revisions.changed_urgently();
            }
            Event::Delivered { number, answer } => {
                self.errors.extend(self.webhook.heard(turn, number, &answer));
                self.revisions.changed_urgently();
            }
            Event::Recorded { revision } => self.revisions.recorded(revision),
            _ => {}
        }
    }

    fn answered(&mut self, turn: &mut Turn, number: u64, answered: Answered) {
        let flight = match answered {
            Answered::Other(Answer::Nothing(_)) => self.line.failed(number),
            _ => self.line.heard(turn, number),
        };
        let trouble = match (flight.map(|flight| flight.purpose), answered) {
            (Some(Purpose::ReadNode), answered) => {
                self.node.read(turn, answered);
                None
            }
            (Some(Purpose::RemoveTaints), Answered::Other(answer)) => self.node.taints_removed(turn, &answer),
            (Some(Purpose::PatchNode), answered) => self.node.restored(turn, answered),
            (Some(Purpose::Tell), Answered::Other(answer)) => {
                self.tell.answered(turn, &answer);
                None
            }
            _ => None,
        };
        if let Some(trouble) = trouble {
            turn.say(Level::Error, trouble.clone());
            self.errors.push(trouble);
        }
    }

    /// Does all that is due.
    pub fn advance(&mut self, turn: &mut Turn, standing: &Standing) {
        self.line.listen(turn);
        // The kubeconfig may come later in the boot than this.
        let cluster = self.base.node.name.is_some() || !matches!(standing, Standing::None(_));
        if let Standing::Ready { node_name, .. } = standing {
            self.base.node.name.get_or_insert_with(|| node_name.clone());
        }
        if cluster {
            self.node.advance(turn, &mut self.line);
        } else {
            self.node.undone.get_or_insert(Undone::Nothing);
        }
        self.tell_what_was_undone(turn, cluster);
        self.tell.advance(turn, &mut self.line);
        self.begin_hooks(turn);
        self.advance_hooks(turn);
        self.advance_webhook(turn);
        self.end(turn);
        if self.has_work() {
            self.revisions.give_out(turn);
        }
    }

    /// Whether there is something to undo, as far as is known.
    fn has_work(&self) -> bool {
        self.is_known || matches!(self.node.undone, Some(Undone::Restored(_) | Undone::Refused))
    }

    fn tell_what_was_undone(&mut self, turn: &mut Turn, cluster: bool) {
        let Some(undone) = self.node.undone else { return };
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let words = match undone {
            Undone::Restored(what) if what.uncordon && what.unlabel => "node uncordoned, back in load balancers",
            Undone::Restored(what) if what.uncordon => "node uncordoned",
            Undone::Restored(what) if what.unlabel => "node back in load balancers; its cordon is not ours",
            Undone::Restored(_) | Undone::Nothing => "nothing on the node is ours to undo",
            Undone::Refused => "the node stays as it is",
        };
        turn.say(Level::Info, words);
        if cluster && self.base.terms.conditions {
            self.tell.no_notice("NoticeOver", self.why.clone());
        }
        if cluster && self.base.terms.events && matches!(undone, Undone::Restored(_)) {
            self.tell.event("Uncordon", format!("{words} by spot-guard: {}", self.why), false);
        }
    }

    /// A kubelet that a local drain has frozen goes on at once, the others once the node is back.
    fn begin_hooks(&mut self, turn: &mut Turn) {
        let Some(hooks) = self.found_hooks.clone() else { return };
        if self.base.local_drain.active && !std::mem::replace(&mut self.thaws, true) {
            self.hooks.begin(&hooks, Phase::LocalDrain, Some("end"), self.base.local_drain.wave, Vec::new());
        }
        let due = self.node.undone.is_some() || turn.has_come(self.began + NODE_PATIENCE);
        if due && self.has_work() && !std::mem::replace(&mut self.hooks_begun, true) {
            self.hooks.begin(&hooks, Phase::Uncordon, None, 0, Vec::new());
        }
    }

    fn advance_hooks(&mut self, turn: &mut Turn) {
        let gives_up_at = self.gives_up_at();
        let limits = Limits {
            settings: &self.base.terms.hooks,
            ends: &|_| gives_up_at,
            next_revision: self.revisions.given_out + 1,
            recorded: self.revisions.recorded,
        };
        let advanced = self.hooks.advance(turn, &limits);
        if advanced.to_record {
            self.revisions.changed_urgently();
        }
        self.errors.extend(advanced.troubles);
    }

    fn advance_webhook(&mut self, turn: &mut Turn) {
        let deadline = written::deadline(&self.base);
        let troubles = self.webhook.advance(turn, &|_| deadline);
        if !troubles.is_empty() {
            self.revisions.changed_urgently();
        }
        self.errors.extend(troubles);
    }

    fn gives_up_at(&self) -> Moment {
        self.began + GIVES_UP_AFTER
    }

    fn end(&mut self, turn: &mut Turn) {
        if self.ended.is_some() {
            return;
        }
        let hooked = (self.hooks_begun || !self.has_work()) && self.hooks.all_ended();
        let done = self.node.undone.is_some() && hooked && self.tell.is_empty();
        let all_told = self.webhook.is_done() || turn.has_come(self.began + WEBHOOK_PATIENCE);
        if (done && all_told) || turn.has_come(self.gives_up_at()) {
            self.ended = Some(turn.now);
            if self.node.undone.is_none() {
                let trouble = "the node could not be brought back: the API server did not answer".to_owned();
                turn.say(Level::Error, trouble.clone());
                self.errors.push(trouble);
            }
            self.revisions.changed_urgently();
        }
    }

    /// Whether it has ended, and that is on disk, could not be put there, or need not be.
    pub fn is_over(&self, turn: &mut Turn) -> bool {
        let Some(ended) = self.ended else { return false };
        if !self.has_work() {
            return turn.has_come(ended + SHOWN_FOR);
        }
        self.revisions.recorded >= self.revisions.given_out || turn.has_come(ended + Duration::from_secs(2))
    }

    /// Whether the node is as it is to be, or nobody may make it so.
    pub fn came_to_an_end(&self) -> bool {
        self.node.undone.is_some()
    }

    /// Gives way to a new response.
    pub fn abandon(&mut self, turn: &mut Turn) {
        self.hooks.stop_all(turn);
    }

    pub fn numbers(&self) -> Numbers {
        Numbers {
            request: self.line.last_number(),
            hook: self.hooks.last_number(),
            revision: self.revisions.given_out,
            webhook: self.webhook.last_number(),
        }
    }

    /// The record of the response that is undone, with how that goes.
    pub fn record(&self) -> Record {
        let mut record = self.base.clone();
        let restored = matches!(self.node.undone, Some(Undone::Nothing | Undone::Restored(_)));
        record.node.restored_at = self.ended.filter(|_| restored).map(|moment| self.clock.timestamp(moment));
        let is_of_a_node = !self.is_known || self.base.node.name.is_some();
        record.node.nothing_to_undo = is_of_a_node && self.node.undone == Some(Undone::Nothing);
        record.phases.retain(|phase| phase.name != PhaseName::Uncordon);
        record.phases.push(PhaseWritten {
            name: PhaseName::Uncordon,
            started_at: self.clock.timestamp(self.began),
            ended_at: self.ended.map(|moment| self.clock.timestamp(moment)),
        });
        record.hooks.retain(|hook| hook.phase != Phase::Uncordon);
        let runs: Vec<HookWritten> =
            self.hooks.runs.iter().map(|run| written::write_hook_at(run, &self.clock)).collect();
        record.hooks.extend(runs);
        if record.clock.boot_id == self.clock.boot_id {
            record.webhook = written::write_webhook(&self.webhook, &self.clock);
        }
        record.local_drain.active &= !(self.thaws && self.hooks.ended(Phase::LocalDrain));
        record.errors.extend(self.errors.iter().cloned());
        record
    }
}
