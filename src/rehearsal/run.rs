//! The loop of a rehearsal: the machine in the middle, real dry runs on one side, what is assumed on the other.
//!
//! The response's time is the machine's own while something is under way, and jumps to what comes next when nothing is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::connect::Connected;
use super::plan::{Plan, Seen};
use super::world::World;
use crate::config::Settings;
use crate::control::{Drain, Wrong};
use crate::hooks::{self, Found, Phase};
use crate::moment::{Clock, Moment, Timestamp};
use crate::objects::Answer;
use crate::record::Record;
use crate::response::driver::{HookRunner, Requests, Told};
use crate::response::{Action, Event, Guard, HookOrder, Request};

/// How long all answers together may be waited for; then the API server counts as one that does not answer.
const ANSWERS_PATIENCE: Duration = Duration::from_secs(15);

/// The longest wait for an answer before the machine is told that time has passed, as the daemon does.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// More turns than this, and something goes round in circles.
const MOST_TURNS: usize = 500_000;

/// How long hooks are waited for that were told to end; they get KILL after 2 s.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no plan.
#[derive(Debug)]
pub enum Error {
    /// The times of the notice make no sense.
    Wrong(Wrong),
    /// Somebody wanted it to end before its time. Hooks that ran have been stopped.
    Interrupted,
}

impl From<Wrong> for Error {
    fn from(wrong: Wrong) -> Error {
        Error::Wrong(wrong)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Wrong(wrong) => wrong.fmt(f),
            Error::Interrupted => f.write_str("the rehearsal was interrupted; the hooks that ran were told to end"),
        }
    }
}

impl std::error::Error for Error {}

/// Rehearses the response to `notice`: what it would do now, with nothing changed. With `run_hooks` the hooks are run,
/// told that it is a rehearsal. Takes 30 s at most, and what the hooks take; ends early once `stop` is set.
///
/// # Errors
/// When the times of `notice` make no sense, or it was stopped.
pub fn rehearse(settings: &Settings, notice: &Drain, run_hooks: bool, stop: &AtomicBool) -> Result<Plan, Error> {
    let settings = Settings { dry_run: true, ..settings.clone() };
    let usual = settings.responses.of(notice.notice).window;
    // What is wrong is said before anything is asked.
    notice.sighting(usual, Timestamp::now(), Moment::now())?;
    let Connected { instance, standing, budgets, keeper, tell, receiver } = Connected::to(&settings);
    let mut run = Run {
        guard: Guard::new(&settings),
        world: World::new(budgets),
        requests: Requests::new(keeper, Arc::clone(&tell)),
        hooks: HookRunner::new(tell, false),
        run_hooks,
        found: hooks::find(&settings.folders.hooks),
        receiver,
        ahead: Duration::ZERO,
        patience: ANSWERS_PATIENCE,
        awaited: Vec::new(),
        beside: Vec::new(),
        cordoned: false,
        closed: None,
    };
    run.feed(Event::Instance(instance));
    run.feed(Event::Standing(standing.clone()));
    let sighting = notice.sighting(usual, Timestamp::now(), run.now())?;
    run.feed(Event::Noticed(sighting));
    let record = run.go(stop)?;
    let seen = Seen {
        standing: &standing,
        found: &run.found,
        world: &run.world,
        cordoned: run.cordoned,
        record: record.as_ref(),
        run_hooks,
    };
    Ok(Plan::of(&settings, notice.notice, &seen))
}

struct Run {
    guard: Guard,
    world: World,
    requests: Requests,
    hooks: HookRunner,
    run_hooks: bool,
    found: Found,
    receiver: Receiver<Event>,
    /// How far the response's time is ahead of the machine's.
    ahead: Duration,
    /// How long answers may still be waited for.
    patience: Duration,
    /// Hooks that run and that the response's time waits for.
    awaited: Vec<u64>,
    /// Hooks that live beside the response until it is over.
    beside: Vec<u64>,
    /// The dry run of the cordon was accepted.
    cordoned: bool,
    closed: Option<Record>,
}

impl Run {
    fn now(&self) -> Moment {
        Moment::now() + self.ahead
    }

    /// Goes on until the response is closed. Its last record; `None` where there was no response.
    fn go(&mut self, stop: &AtomicBool) -> Result<Option<Record>, Error> {
        for _ in 0..MOST_TURNS {
            if self.closed.is_some() {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                self.stop_hooks();
                return Err(Error::Interrupted);
            }
            if let Some(event) = self.world.happens(self.now()) {
                self.feed(event);
            } else if self.world.awaits() || !self.awaited.is_empty() {
                self.wait();
            } else if !self.jump() {
                break;
            }
        }
        Ok(self.closed.take().or_else(|| self.guard.record()))
    }

    /// Tells all hooks to end, and waits for that.
    fn stop_hooks(&mut self) {
        self.awaited.append(&mut self.beside);
        self.awaited.iter().for_each(|number| self.hooks.stop(*number));
        let by = Moment::now() + STOP_PATIENCE;
        while !self.awaited.is_empty() {
            match self.receiver.recv_timeout(Moment::now().until(by)) {
                Ok(Event::HookEnded { number, .. }) => self.awaited.retain(|awaited| *awaited != number),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    /// When something is due, whatever is under way.
    fn next(&self) -> Option<Moment> {
        [self.world.next(), self.guard.next_wake()].into_iter().flatten().min()
    }

    /// Waits for what is under way, or for what is due before.
    fn wait(&mut self) {
        let began = Moment::now();
        let now = self.now();
        let wait = self.next().map_or(LONGEST_WAIT, |next| now.until(next).min(LONGEST_WAIT));
        let for_answers = self.awaited.is_empty();
        match self.receiver.recv_timeout(wait.max(Duration::from_millis(1))) {
            Ok(event) => self.take(event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.feed(Event::Tick),
        }
        if for_answers {
            self.patience = self.patience.saturating_sub(Moment::now().since(began));
            if self.patience.is_zero() && !self.world.gave_up() {
                log::warn!("the API server takes too long; rehearsed as one that does not answer any more");
                self.world.gives_up(self.now());
            }
        }
    }

    /// Nothing is under way: time jumps to what is due next. Whether there is anything.
    fn jump(&mut self) -> bool {
        let Some(next) = self.next() else { return false };
        let now = self.now();
        let next = next.max(now + Duration::from_millis(1));
        self.ahead += now.until(next);
        if self.world.next().is_none_or(|due| due > next) {
            self.feed(Event::Tick);
        }
        true
    }

    /// Something has really come back.
    fn take(&mut self, event: Event) {
        if let Event::HookEnded { number, .. } = &event {
            self.hooks.has_ended(*number);
            self.awaited.retain(|awaited| awaited != number);
            self.beside.retain(|beside| beside != number);
        }
        if let Event::Pods { number, news: crate::response::PodNews::Synced } = &event {
            self.requests.end_watch(*number);
        }
        let now = self.now();
        if let Some(event) = self.world.hears(event, now) {
            self.feed(event);
        }
    }

    fn feed(&mut self, event: Event) {
        let now = self.now();
        let wall = Timestamp::now() + self.ahead;
        let actions = self.guard.on(event, now, &|| Clock { boottime: now, wall, ..Clock::read() });
        self.cordoned |= self.guard.running().is_some_and(|running| running.node.cordoned());
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        let now = self.now();
        for action in actions {
            match action {
                Action::FindHooks => self.world.tells(Event::HooksFound(self.found.hooks.clone()), now),
                Action::Request { number, request, afresh } => self.ask(number, request, afresh),
                Action::GoOnAfresh => self.requests.go_on_afresh(),
                Action::EndWatch { number } => {
                    self.world.forgets(number);
                    self.requests.end_watch(number);
                }
                Action::RunHook(order) => self.run_hook(*order),
                Action::StopHook { number } => self.stop_hook(number),
                Action::Record { revision } => self.world.tells(Event::Recorded { revision }, now),
                Action::WriteClosed { record, .. } => self.closed = Some(*record),
                // A rehearsal tells nobody, and takes no time for it.
                Action::SendWebhook { number, .. } => {
                    self.world.tells(Event::Delivered { number, answer: Answer::Accepted }, now);
                }
                Action::Say(_, text) => log::debug!("{text}"),
                Action::KillLeftOver { .. } | Action::Exit => {}
            }
        }
    }

    fn ask(&mut self, number: u64, request: Request, afresh: bool) {
        if self.world.takes(number, &request, self.now()) {
            self.requests.send(number, request, afresh);
        }
    }

    fn run_hook(&mut self, order: HookOrder) {
        if !self.run_hooks {
            return self.world.hook_begins(&order);
        }
        let running = self.guard.running();
        let mut told = self.guard.record().map(|record| Told::rehearsed(record, running, self.ahead));
        let of = if order.hook.phase == Phase::During { &mut self.beside } else { &mut self.awaited };
        of.push(order.number);
        self.hooks.run(order, told.as_mut());
    }

    fn stop_hook(&mut self, number: u64) {
        if self.beside.contains(&number) {
            self.beside.retain(|beside| *beside != number);
            self.awaited.push(number);
        }
        if self.run_hooks {
            self.hooks.stop(number);
        } else {
            self.world.hook_stops(number, self.now());
        }
    }
}
