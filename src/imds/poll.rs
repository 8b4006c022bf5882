//! Asks for a Spot interruption on a steady beat, whatever happens, and beside that for what else there is to know.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use super::health::Health;
use super::instance::INSTANCE_ITEMS;
use super::side::Side;
use super::{Client, Counts, Error, INSTANCE_ACTION, Item};
use crate::config;
use crate::instance::Instance;
use crate::moment::Moment;
use crate::notice::Kind;

/// While the service is throttled the poll is never slower than this many intervals, nor than this time (or than its
/// interval, where that is longer).
const LONGEST_BACKOFF: (u32, Duration) = (5, Duration::from_secs(5));

/// How long to wait at most between two questions what this machine is.
const LONGEST_INSTANCE_BACKOFF: Duration = Duration::from_secs(60);

/// What the poll saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A good answer about notices of that kind, `None` if the item is absent, and when it was asked for.
    Notice(Kind, Option<Item>, Moment),
    /// What this machine is; told once, when it is known.
    Instance(Instance),
    /// Answers are missing or wrong: all that is wrong now, told anew whenever that changes.
    Trouble(String),
    /// All answers are good again; told once.
    Well,
}

/// The poll's own thread, which ends with the process.
pub struct Poll {
    counts: Arc<Mutex<Counts>>,
}

impl Poll {
    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Begins to poll, for as long as the process lives; `tell` is called on the poll's thread and must not wait.
///
/// Where the service is disabled it is told so once, and nothing is polled.
///
/// # Errors
/// When no thread can be started.
pub fn poll(settings: &config::Imds, tell: impl Fn(News) + Send + 'static) -> io::Result<Poll> {
    let client = Client::new(settings);
    let counts = client.shared_counts();
    if settings.disabled {
        log::warn!("{}", Error::Disabled);
        tell(News::Trouble(Error::Disabled.to_string()));
        return Ok(Poll { counts });
    }
    let intervals = Intervals { usual: settings.poll_interval, at_risk: settings.poll_interval_at_risk };
    thread::Builder::new().name("imds".into()).stack_size(256 * 1024).spawn(move || watch(client, intervals, &tell))?;
    Ok(Poll { counts })
}

/// How long from one poll to the next.
#[derive(Clone, Copy)]
struct Intervals {
    usual: Duration,
    /// While a rebalance recommendation stands, where that is shorter.
    at_risk: Duration,
}

impl Intervals {
    fn now(self, at_risk: bool) -> Duration {
        if at_risk { self.at_risk.min(self.usual) } else { self.usual }
    }
}

/// At each beat Spot's path is asked, and then, if that was answered, either what this machine is or one other kind of
/// notice: so whatever those do, the next poll is late by one request at the most.
fn watch(mut client: Client, intervals: Intervals, tell: &dyn Fn(News)) {
    let (mut health, mut search, mut side) = (Health::default(), Some(Search::default()), Side::default());
    let mut beat = Moment::now();
    loop {
        let asked = Moment::now();
        match client.get(INSTANCE_ACTION) {
            Ok(item) => {
                health.spot_answered(asked, tell);
                tell(News::Notice(Kind::SpotInterruption, item, asked));
                match search.take_if(|search| search.due <= Moment::now()) {
                    Some(due) => search = due.go_on(&mut client, tell),
                    None => side.ask_one(&mut client, beat, &mut health, tell),
                }
            }
            Err(error) => health.spot_failed(&error, asked, tell),
        }
        beat = next_beat(beat, pause(intervals.now(side.is_at_risk()), health.refusals()), Moment::now());
        wait_until(beat);
    }
}

/// How long from one poll to the next, after so many in a row that the service refused because it is throttled.
///
/// Nothing else makes the poll slower: what is late by a few seconds is late for a notice too.
fn pause(interval: Duration, refusals: u32) -> Duration {
    let (intervals, longest) = LONGEST_BACKOFF;
    backoff(interval, refusals.saturating_sub(1), (interval * intervals).min(longest).max(interval))
}

/// `first`, doubled after each failure, at most `longest`.
pub fn backoff(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(failures)).min(longest)
}

/// The first beat after `now`, of those that are `interval` apart and one of which was at `last`: what took long does
/// not shift the beat, and what was missed is not made up for.
fn next_beat(last: Moment, interval: Duration, now: Moment) -> Moment {
    let interval = interval.max(Duration::from_millis(1));
    let beats = now.since(last).as_millis() / interval.as_millis() + 1;
    last + interval.saturating_mul(u32::try_from(beats).unwrap_or(u32::MAX))
}

fn wait_until(due: Moment) {
    loop {
        let left = Moment::now().until(due);
        if left.is_zero() {
            return;
        }
        // A machine that slept in between does not wake a long wait.
        thread::sleep(left.min(Duration::from_secs(1)));
    }
}

/// The search for what this machine is, an item at a time.
#[derive(Default)]
struct Search {
    instance: Instance,
    found: usize,
    failures: u32,
    due: Moment,
}

impl Search {
    /// Asks for what is missing; gone when all is told.
    fn go_on(mut self, client: &mut Client, tell: &dyn Fn(News)) -> Option<Search> {
        let began = Moment::now();
        if let Err(error) = self.ask(client) {
            log::debug!("not all is known of this instance: {error}");
            self.due = began + backoff(Duration::from_secs(1), self.failures, LONGEST_INSTANCE_BACKOFF);
            self.failures = self.failures.saturating_add(1);
            return Some(self);
        }
        tell(News::Instance(self.instance));
        None
    }

    /// Stops at the first error, so that the next poll for a notice is not held up by more than one request.
    fn ask(&mut self, client: &mut Client) -> Result<(), String> {
        for (path, read) in INSTANCE_ITEMS.iter().skip(self.found) {
            if let Some(item) = client.get(path).map_err(|error| error.to_string())? {
                read(&mut self.instance, &item.body);
            }
            if self.instance.id.is_none() {
                return Err(format!("{path} tells no instance id"));
            }
            self.found += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after_boot(Duration::from_millis(ms))
    }

    #[test]
    fn a_slow_poll_does_not_shift_the_beat_and_missed_beats_are_not_made_up_for() {
        let second = Duration::from_secs(1);
        for (now, next) in
            [(5000, 6000), (5001, 6000), (5999, 6000), (6000, 7000), (9500, 10_000), (86_405_000, 86_406_000)]
        {
            assert_eq!(next_beat(at(5000), second, at(now)), at(next), "{now}");
        }
    }

    #[test]
    fn the_pause_grows_while_the_service_is_throttled_and_stays_bounded() {
        let milliseconds = |interval, refusals| pause(Duration::from_millis(interval), refusals).as_millis();
        assert_eq!(
            [0, 1, 2, 3, 4, 40, u32::MAX].map(|n| milliseconds(1000, n)),
            [1000, 1000, 2000, 4000, 5000, 5000, 5000]
        );
        assert_eq!([0, 1, 2, 3, 4].map(|n| milliseconds(200, n)), [200, 200, 400, 800, 1000]);
        assert_eq!(milliseconds(30_000, 9), 30_000);
    }

    #[test]
    fn at_risk_the_poll_is_quicker_and_never_slower() {
        let (fast, slow) = (Duration::from_millis(500), Duration::from_secs(1));
        let intervals = Intervals { usual: slow, at_risk: fast };
        assert_eq!([intervals.now(false), intervals.now(true)], [slow, fast]);
        assert_eq!(Intervals { usual: fast, at_risk: slow }.now(true), fast);
    }
}
