//! The hooks of a response: which runs next, until when, and what came of each.
//!
//! A hook's start is recorded before it is run, so that one that was cut by a crash is known after it.

use std::time::Duration;

use log::Level;

use super::action::{Action, HookOrder};
use super::turn::{Turn, tenths};
use crate::config;
use crate::hooks::{self, Hook, Phase, TRY_AGAIN};
use crate::moment::Moment;
use crate::objects::PodId;
use crate::process::{Ended, Exit, Started};

/// How long the record may take before a hook is run all the same.
const RECORD_PATIENCE: Duration = Duration::from_millis(200);

/// One hook in a response.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub hook: Hook,
    /// `start` or `end`, for local-drain.
    pub argument: Option<&'static str>,
    /// Which wave of local-drain, from 1; 0 elsewhere.
    pub wave: u32,
    pub started_at: Option<Moment>,
    pub process: Option<Started>,
    pub tries: u32,
    pub result: Option<RunResult>,
    state: State,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    pub at: Moment,
    pub exit: Exit,
    pub timed_out: bool,
    /// Told to end, as `during.d` hooks are at the end of the response, and waves when the API server is back.
    pub stopped: bool,
    pub tail: String,
}

impl RunResult {
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Code(0) || self.stopped
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waits,
    /// Its start is being recorded.
    Announced {
        since: Moment,
        revision: u64,
    },
    Runs {
        number: u64,
        told_to_stop: bool,
        /// Told so because what it does is done by others now.
        released: bool,
    },
    Ended,
}

/// The hooks of one phase, or of one wave of local-drain.
#[derive(Debug)]
struct Sequence {
    phase: Phase,
    pods: Vec<PodId>,
    /// Steps one after the other; the runs of a step (by their place in `runs`) beside each other.
    steps: Vec<Vec<usize>>,
}

/// The step of a sequence that is at work.
struct Step {
    runs: Vec<usize>,
    pods: Vec<PodId>,
    /// When its phase ends.
    ends: Moment,
}

/// All hooks of a response.
#[derive(Debug, Default)]
pub struct HookRuns {
    pub runs: Vec<Run>,
    sequences: Vec<Sequence>,
    last_number: u64,
}

/// What came of a turn of the hooks.
#[derive(Debug, Default)]
pub struct Advanced {
    /// A record must be written before anything goes on.
    pub to_record: bool,
    /// What went wrong.
    pub troubles: Vec<String>,
}

/// What the hooks must know of the response around them.
pub struct Limits<'a> {
    pub settings: &'a config::Hooks,
    pub ends: &'a dyn Fn(Phase) -> Moment,
    /// The record that is written at the end of this turn.
    pub next_revision: u64,
    pub recorded: u64,
}

impl HookRuns {
    /// As an earlier life of the daemon left them: what had ended does not run again.
    pub fn taken_up(runs: Vec<Run>) -> HookRuns {
        HookRuns { runs, ..HookRuns::default() }
    }

    /// Numbers its runs after those of another response, whose ends may still come.
    pub fn after(self, last_number: u64) -> HookRuns {
        HookRuns { last_number, ..self }
    }

    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Tells all that run to end.
    pub fn stop_all(&mut self, turn: &mut Turn) {
        self.runs.iter_mut().for_each(|run| run.release(turn));
    }

    /// Hooks that an earlier life of the daemon left in the middle: their processes, as far as they are known.
    pub fn left_over(&self) -> Vec<Started> {
        self.runs.iter().filter_map(|run| run.process.clone()).collect()
    }

    /// Lines up the hooks of a phase, or of a wave of local-drain for those pods.
    pub fn begin(&mut self, hooks: &[Hook], phase: Phase, argument: Option<&'static str>, wave: u32, pods: Vec<PodId>) {
        let of_phase: Vec<Hook> = hooks.iter().filter(|hook| hook.phase == phase).cloned().collect();
        // What lives beside the whole response has nothing to wait for.
        let steps = if phase == Phase::During { vec![of_phase] } else { hooks::steps(&of_phase) };
        let steps =
            steps.into_iter().map(|step| step.into_iter().map(|hook| self.line_up(hook, argument, wave)).collect());
        let steps = steps.collect();
        self.sequences.push(Sequence { phase, pods, steps });
    }

    fn line_up(&mut self, hook: Hook, argument: Option<&'static str>, wave: u32) -> usize {
        let known = self.runs.iter().position(|run| {
            run.hook.phase == hook.phase && run.hook.name == hook.name && run.argument == argument && run.wave == wave
        });
        match known.and_then(|place| self.runs.get_mut(place).map(|run| (place, run))) {
            Some((place, run)) => {
                run.hook = hook;
                place
            }
            None => {
                self.runs.push(Run::waiting(hook, argument, wave));
                self.runs.len() - 1
            }
        }
    }

    /// Waves of local-drain that an earlier life of the daemon left unfinished: their arguments and numbers.
    pub fn unfinished_waves(&self) -> Vec<(Option<&'static str>, u32)> {
        let cut = self.runs.iter().filter(|run| run.hook.phase == Phase::LocalDrain && run.state != State::Ended);
        let mut waves: Vec<_> = cut.map(|run| (run.argument, run.wave)).collect();
        waves.dedup();
        waves
    }

    /// Whether all hooks of a phase that was begun have ended.
    pub fn ended(&self, phase: Phase) -> bool {
        self.sequences.iter().filter(|sequence| sequence.phase == phase).all(|sequence| self.is_over(sequence))
    }

    /// How many have failed.
    pub fn failed(&self) -> usize {
        self.runs.iter().filter(|run| run.result.as_ref().is_some_and(|result| !result.succeeded())).count()
    }

    /// Whether no hook runs or is to run.
    pub fn all_ended(&self) -> bool {
        self.sequences.iter().all(|sequence| self.is_over(sequence))
    }

    fn is_over(&self, sequence: &Sequence) -> bool {
        sequence.steps.iter().flatten().all(|run| self.has_ended(*run))
    }

    fn has_ended(&self, run: usize) -> bool {
        self.runs.get(run).is_none_or(|run| run.state == State::Ended)
    }

    /// Starts what is due and stops what is over its time.
    pub fn advance(&mut self, turn: &mut Turn, limits: &Limits) -> Advanced {
        let mut advanced = Advanced::default();
        for place in 0..self.sequences.len() {
            let Some(step) = self.present_step(place, limits) else { continue };
            for index in &step.runs {
                self.advance_run(turn, limits, &step, *index, &mut advanced);
            }
        }
        advanced
    }

    /// The first step of that sequence that has not ended.
    fn present_step(&self, place: usize, limits: &Limits) -> Option<Step> {
        let sequence = self.sequences.get(place)?;
        let runs = sequence.steps.iter().find(|step| step.iter().any(|run| !self.has_ended(*run)))?.clone();
        Some(Step { runs, pods: sequence.pods.clone(), ends: (limits.ends)(sequence.phase) })
    }

    fn advance_run(&mut self, turn: &mut Turn, limits: &Limits, step: &Step, index: usize, advanced: &mut Advanced) {
        let number = self.last_number + 1;
        let Some(run) = self.runs.get_mut(index) else { return };
        match run.state {
            State::Waits if turn.now >= step.ends => {
                advanced.to_record = true;
                advanced.troubles.extend(run.end(turn, Ended::not_started("no time was left in its phase")));
            }
            State::Waits => {
                advanced.to_record = true;
                run.announce(turn, limits.next_revision);
            }
            State::Announced { since, revision } => {
                if limits.recorded >= revision || turn.has_come(since + RECORD_PATIENCE) {
                    self.last_number = number;
                    run.state = State::Runs { number, told_to_stop: false, released: false };
                    turn.act(Action::RunHook(Box::new(run.order(number, step, limits.settings, turn.now))));
                }
            }
            State::Runs { number, told_to_stop: false, released } if turn.has_come(step.ends) => {
                run.state = State::Runs { number, told_to_stop: true, released };
                turn.act(Action::StopHook { number });
            }
            State::Runs { .. } | State::Ended => {}
        }
    }

    /// Ends the waves of local-drain that are at work: others do their work now.
    pub fn end_waves(&mut self, turn: &mut Turn) {
        let waves = self.sequences.iter().filter(|sequence| sequence.phase == Phase::LocalDrain);
        let places: Vec<usize> = waves.flat_map(|sequence| sequence.steps.iter().flatten()).copied().collect();
        for place in places {
            if let Some(run) = self.runs.get_mut(place).filter(|run| run.argument == Some("start")) {
                run.release(turn);
            }
        }
    }

    /// The process of a hook is there.
    pub fn started(&mut self, number: u64, process: Started) {
        if let Some(run) = self.running(number) {
            run.process = Some(process);
        }
    }

    /// A hook has ended. Gives what went wrong, if anything.
    pub fn has_come_back(&mut self, turn: &mut Turn, number: u64, ended: Ended) -> Option<String> {
        let run = self.running(number)?;
        if ended.exit == Exit::Code(TRY_AGAIN) && ended.cut.is_none() && run.tries < 2 {
            turn.say(Level::Info, format!("hook {} asks for one more try", run.hook));
            run.state = State::Waits;
            run.process = None;
            return None;
        }
        run.end(turn, ended)
    }

    fn running(&mut self, number: u64) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| matches!(run.state, State::Runs { number: its, .. } if its == number))
    }
}

impl Run {
    fn waiting(hook: Hook, argument: Option<&'static str>, wave: u32) -> Run {
        Run { hook, argument, wave, started_at: None, process: None, tries: 0, result: None, state: State::Waits }
    }

    /// As an earlier life of the daemon left it: ended, or cut and to be run again.
    pub fn taken_up(hook: Hook, argument: Option<&'static str>, wave: u32, result: Option<RunResult>) -> Run {
        let state = if result.is_some() { State::Ended } else { State::Waits };
        Run { result, state, ..Run::waiting(hook, argument, wave) }
    }

    fn announce(&mut self, turn: &mut Turn, revision: u64) {
        self.process = None;
        self.state = State::Announced { since: turn.now, revision };
        self.started_at = Some(turn.now);
        self.tries += 1;
        // Woken then, if the disk does not answer.
        turn.has_come(turn.now + RECORD_PATIENCE);
    }

    fn release(&mut self, turn: &mut Turn) {
        match self.state {
            State::Ended => {}
            State::Runs { number, .. } => {
                self.state = State::Runs { number, told_to_stop: true, released: true };
                turn.act(Action::StopHook { number });
            }
            State::Waits | State::Announced { .. } => {
                self.state = State::Ended;
                let exit = Exit::NotStarted("it is no longer needed".to_owned());
                self.result =
                    Some(RunResult { at: turn.now, exit, timed_out: false, stopped: true, tail: String::new() });
            }
        }
    }

    fn order(&self, number: u64, step: &Step, settings: &config::Hooks, now: Moment) -> HookOrder {
        let limit = match settings.timeouts.get(&self.hook.name) {
            Some(own) => Some(*own),
            // They have all the time that their phase has.
            None if matches!(self.hook.phase, Phase::During | Phase::LocalDrain) => None,
            None => Some(settings.timeout),
        };
        let ends = limit.map_or(step.ends, |limit| step.ends.min(now + limit));
        HookOrder { number, hook: self.hook.clone(), argument: self.argument, pods: step.pods.clone(), ends }
    }

    fn end(&mut self, turn: &mut Turn, ended: Ended) -> Option<String> {
        let released = matches!(self.state, State::Runs { released: true, .. }) || self.hook.phase == Phase::During;
        let (stopped, timed_out) = (ended.cut.is_some() && released, ended.cut.is_some() && !released);
        let result = RunResult { at: turn.now, exit: ended.exit, timed_out, stopped, tail: ended.tail };
        self.state = State::Ended;
        let seconds = tenths(turn.now.since(self.started_at.unwrap_or(turn.now)));
        let trouble = (!result.succeeded()).then(|| match timed_out {
            true => format!("hook {} was stopped after {seconds} s: its time was over", self.hook),
            false if matches!(result.exit, Exit::NotStarted(_)) => {
                format!("hook {} failed: {}", self.hook, result.exit)
            }
            false => format!("hook {} failed: {} after {seconds} s", self.hook, result.exit),
        });
        match &trouble {
            Some(trouble) => turn.say(Level::Warn, trouble.clone()),
            None => turn.say(Level::Info, format!("hook {} done in {seconds} s", self.hook)),
        }
        self.result = Some(result);
        trouble
    }
}
