//! Runs the machine's hooks, each on a thread of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Stops, Tell, spawn};
use crate::hooks::{self, Context, Phase};
use crate::moment::{Clock, Moment, Timestamp};
use crate::objects::PodId;
use crate::process::{self, Ended, Exit, Started, Stop};
use crate::record::Record;
use crate::response::{Event, HookOrder, Running};

/// Further from the record's own a deadline is told by the present clock, which was set since. What is nearer is drift,
/// and the milliseconds that are cut: all hooks are told the same.
const CLOCK_DRIFT: Duration = Duration::from_secs(1);

/// The hooks that run.
pub struct HookRunner {
    tell: Tell,
    /// They are named and not run.
    dry_run: bool,
    running: Stops,
}

impl HookRunner {
    /// What becomes of hooks is told as events.
    pub fn new(tell: Tell, dry_run: bool) -> HookRunner {
        HookRunner { tell, dry_run, running: Stops::new() }
    }

    /// Looks for hooks, on a thread of its own, as the disk may hang.
    pub fn find(&self, folders: &[PathBuf]) {
        let (theirs, tell) = (folders.to_vec(), Arc::clone(&self.tell));
        if spawn("hooks", move || find(&theirs, &tell)).is_err() {
            find(folders, &self.tell);
        }
    }

    /// Runs a hook; its end arrives as an event, whatever happens. `told` is `None` when the response is over.
    pub fn run(&mut self, order: HookOrder, told: Option<&mut Told>) {
        let number = order.number;
        let Some(told) = told else { return self.not_started(number, "the response is over".to_owned()) };
        if self.dry_run {
            log::info!("dry run: hook {} is not run, and counts as done", order.hook);
            return self.ended(number, Ended { exit: Exit::Code(0), cut: None, dropped: 0, tail: String::new() });
        }
        let stop = Stop::new();
        self.running.insert(number, stop.clone());
        let tell = Arc::clone(&self.tell);
        let (environment, input) = (told.environment(&order), told.input(&order));
        let ends = order.ends - told.ahead();
        let work = move || {
            let mut on_start = |started: &Started| {
                tell(Event::HookStarted { number, started: started.clone() });
            };
            let ended = hooks::run(&order.hook, order.argument, environment, input, ends, &stop, &mut on_start);
            tell(Event::HookEnded { number, ended });
        };
        if let Err(error) = spawn("hook", work) {
            self.not_started(number, format!("cannot start a thread: {error}"));
        }
    }

    /// A hook has ended by itself.
    pub fn has_ended(&mut self, number: u64) {
        self.running.remove(&number);
    }

    /// Tells it to end.
    pub fn stop(&mut self, number: u64) {
        if let Some(stop) = self.running.remove(&number) {
            stop.now();
        }
    }

    fn not_started(&self, number: u64, why: String) {
        self.ended(number, Ended::not_started(why));
    }

    fn ended(&self, number: u64, ended: Ended) {
        (self.tell)(Event::HookEnded { number, ended });
    }
}

/// Tells which hooks may run; those that may not are named in the log.
fn find(folders: &[PathBuf], tell: &Tell) {
    let found = hooks::find(folders);
    for refused in &found.refused {
        log::warn!("hook {}/{} does not run: {}", refused.phase, refused.name, refused.reason);
    }
    tell(Event::HooksFound(found.hooks));
}

/// Kills the hooks of that response that an earlier life of the daemon left running. Takes 2 s at most.
pub fn kill_left_over(response: &str, started: &[Started]) {
    let killed = process::kill_left_over(started, &hooks::mark(response));
    if killed > 0 {
        log::warn!("{killed} hooks that were cut still ran and were killed");
    }
}

/// What hooks that start together are told of the response. It is written once for all of them: with many pods it is
/// large.
pub struct Told {
    record: Record,
    /// When local-drain stops all pods at the latest.
    all_from: Option<Moment>,
    /// Without a cluster nobody knows them, nor before they were listed.
    pods_known: bool,
    /// It is rehearsed, and its time is so far ahead of the machine's.
    rehearsed: Option<Duration>,
    written: Option<Written>,
}

/// The response as it stands on standard input, for local-drain with the pods of a wave.
struct Written {
    wave: Option<Vec<PodId>>,
    text: Arc<[u8]>,
}

impl Told {
    /// A response that is real.
    pub fn new(record: Record, running: Option<&Running>) -> Told {
        let all_from = running.and_then(Running::all_from);
        let pods_known = record.node.name.is_some() && running.is_none_or(Running::knows_the_pods);
        Told { record, all_from, pods_known, rehearsed: None, written: None }
    }

    /// A response that is rehearsed: its time is so far `ahead` of the machine's.
    pub fn rehearsed(record: Record, running: Option<&Running>, ahead: Duration) -> Told {
        Told { rehearsed: Some(ahead), ..Told::new(record, running) }
    }

    fn ahead(&self) -> Duration {
        self.rehearsed.unwrap_or_default()
    }

    fn input(&mut self, order: &HookOrder) -> Arc<[u8]> {
        let wave = (order.hook.phase == Phase::LocalDrain).then_some(&order.pods);
        if let Some(written) = self.written.as_ref().filter(|written| written.wave.as_ref() == wave) {
            return Arc::clone(&written.text);
        }
        let text = match wave {
            None => text(&self.record),
            Some(pods) => {
                let wanted: BTreeSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
                let mut record = self.record.clone();
                record.pods.retain(|pod| wanted.contains(pod.uid.as_str()));
                text(&record)
            }
        };
        self.written = Some(Written { wave: wave.cloned(), text: Arc::clone(&text) });
        text
    }

    pub fn environment(&self, order: &HookOrder) -> Vec<(String, String)> {
        let record = &self.record;
        let now = Moment::now() + self.ahead();
        let clock = Clock { boot_id: String::new(), boottime: now, wall: Timestamp::now() + self.ahead() };
        let deadline = crate::response::deadline(record);
        let by_this_clock = clock.timestamp(deadline);
        let was_set = by_this_clock > record.deadline + CLOCK_DRIFT || record.deadline > by_this_clock + CLOCK_DRIFT;
        let context = Context {
            phase: order.hook.phase,
            notice: record.notice.kind.name().to_owned(),
            response: record.terms.reaction.name().to_owned(),
            action: Some(record.notice.action.name().to_owned()),
            response_id: record.id.clone(),
            deadline: if was_set { by_this_clock } else { record.deadline },
            left: now.until(deadline),
            timeout: now.until(order.ends),
            node_name: record.node.name.clone(),
            instance: record.instance.clone(),
            pods_left: self.pods_known.then(|| record.pods.iter().filter(|pod| pod.gone_at.is_none()).count()),
            local_after: self.all_from.map(|moment| now.until(moment)),
            pod_uids: order.pods.iter().map(|pod| pod.uid.clone()).collect(),
            rehearsal: self.rehearsed.is_some(),
        };
        context.environment()
    }
}

fn text(record: &Record) -> Arc<[u8]> {
    serde_json::to_vec(record).unwrap_or_default().into()
}
