//! Asks for a notice on a steady beat, whatever happens, and on the side what this machine is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use super::instance::INSTANCE_ITEMS;
use super::{Client, Counts, Error, INSTANCE_ACTION, Item};
use crate::config;
use crate::instance::Instance;
use crate::moment::Moment;
use crate::notice::Kind;
use crate::trouble::Trouble;

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
    /// Answers are missing or wrong; told when that begins, and when it is something else that is wrong.
    Trouble(String),
    /// Answers are good again; told once.
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
    let interval = settings.poll_interval;
    thread::Builder::new().name("imds".into()).stack_size(256 * 1024).spawn(move || watch(client, interval, &tell))?;
    Ok(Poll { counts })
}

fn watch(mut client: Client, interval: Duration, tell: &dyn Fn(News)) {
    let (mut health, mut search) = (Health::default(), Some(Search::default()));
    let mut due = Moment::now();
    loop {
        let asked = Moment::now();
        match client.get(INSTANCE_ACTION) {
            Ok(item) => {
                health.well(asked, tell);
                tell(News::Notice(Kind::SpotInterruption, item, asked));
                search = search.and_then(|search| search.go_on(&mut client, tell));
            }
            Err(error) => health.trouble(&error, asked, tell),
        }
        due = next_beat(due, pause(interval, health.refusals), Moment::now());
        wait_until(due);
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
fn backoff(first: Duration, failures: u32, longest: Duration) -> Duration {
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

/// Whether answers are good, told and logged when that changes.
#[derive(Default)]
struct Health {
    trouble: Trouble,
    /// The kind of it that was told last.
    told: Option<String>,
    /// How many of the latest polls, in a row, were refused because the service is throttled.
    refusals: u32,
}

impl Health {
    fn well(&mut self, now: Moment, tell: &dyn Fn(News)) {
        if let Some(extent) = self.trouble.over(now) {
            log::info!("the metadata service answers again; it failed {extent}");
        }
        if self.told.take().is_some() {
            tell(News::Well);
        }
        self.refusals = 0;
    }

    fn trouble(&mut self, error: &Error, now: Moment, tell: &dyn Fn(News)) {
        self.refusals = if error.is_throttling() { self.refusals.saturating_add(1) } else { 0 };
        let kind = error.kind();
        match self.trouble.came(&kind, now) {
            Some(extent) => {
                log::warn!("{error}{}; a notice would not be seen; asked again and again", extent.in_brackets());
            }
            None => log::debug!("{error}"),
        }
        if self.told.as_ref() != Some(&kind) {
            tell(News::Trouble(error.to_string()));
            self.told = Some(kind);
        }
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
        let now = Moment::now();
        if now < self.due {
            return Some(self);
        }
        if let Err(error) = self.ask(client) {
            log::debug!("not all is known of this instance: {error}");
            self.due = now + backoff(Duration::from_secs(1), self.failures, LONGEST_INSTANCE_BACKOFF);
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
    fn only_throttling_makes_the_poll_slower() {
        let refused = |status| Error::Refused { url: String::new(), status, body: String::new() };
        let mut health = Health::default();
        for (status, refusals) in [(503, 1), (429, 2), (500, 0), (503, 1), (401, 0)] {
            health.trouble(&refused(status), at(0), &drop);
            assert_eq!(health.refusals, refusals, "{status}");
        }
    }

    #[test]
    fn errors_are_told_when_they_begin_when_they_change_and_when_they_end() {
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |news| told.borrow_mut().push(news);
        let too_large = Error::TooLarge { url: "u".into() };
        let mut health = Health::default();
        health.well(at(0), &tell);
        (1..=3).for_each(|second| health.trouble(&Error::Disabled, at(second * 1000), &tell));
        health.trouble(&too_large, at(4000), &tell);
        health.well(at(5000), &tell);
        health.well(at(6000), &tell);
        let trouble = |error: Error| News::Trouble(error.to_string());
        assert_eq!(told.into_inner(), [trouble(Error::Disabled), trouble(too_large), News::Well]);
    }
}
