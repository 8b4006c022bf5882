//! Writes records on a thread of its own, so that a slow disk holds nobody up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use super::store::{Error, Store};
use crate::moment::Moment;

/// What could not be written is written again after this long, unless there is something newer by then.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A write that takes longer is told as trouble: the disk may hang.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes the latest state of each record: one that was not begun when the next of the same record came is never
/// written, and one that could not be written is tried again until it is, or there is a newer one.
pub struct Writer(Arc<Desk>);

/// What the thread and the others share.
#[derive(Default)]
struct Desk {
    papers: Mutex<Papers>,
    arrived: Condvar,
}

#[derive(Default)]
struct Papers {
    /// One for each record.
    waiting: VecDeque<Work>,
    /// Something came since the last one was taken.
    fresh: bool,
    /// When the work began that is not over.
    busy_since: Option<Moment>,
}

enum Work {
    /// Find out whether records can be written at all, before there is one.
    TryOut,
    Write {
        revision: u64,
        id: String,
        text: Vec<u8>,
    },
}

impl Work {
    fn is_of(&self, record: &str) -> bool {
        matches!(self, Work::Write { id, .. } if id == record)
    }
}

impl Writer {
    /// `tell` is called with the revision of each record that is on disk, or with what went wrong; with 0 when it was
    /// only found out that records can be written, which is done at once.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(store: Store, tell: impl Fn(u64, Result<(), Error>) + Send + 'static) -> io::Result<Writer> {
        let desk = Arc::<Desk>::default();
        let theirs = Arc::clone(&desk);
        let work = move || work_on(&store, &theirs, tell);
        thread::Builder::new().name("record".into()).stack_size(256 * 1024).spawn(work)?;
        Ok(Writer(desk))
    }

    /// Hands over the latest state.
    pub fn write(&self, revision: u64, id: String, text: Vec<u8>) {
        let mut papers = self.0.papers();
        papers.waiting.retain(|work| !work.is_of(&id) && !matches!(work, Work::TryOut));
        papers.waiting.push_back(Work::Write { revision, id, text });
        papers.fresh = true;
        self.0.arrived.notify_one();
    }

    /// Whether the disk has not answered for 2 s.
    pub fn hangs(&self, now: Moment) -> bool {
        self.0.papers().busy_since.is_some_and(|since| now.since(since) >= PATIENCE)
    }
}

fn work_on(store: &Store, desk: &Desk, tell: impl Fn(u64, Result<(), Error>)) {
    let mut work = Work::TryOut;
    loop {
        desk.papers().busy_since = Some(Moment::now());
        let (revision, result) = match &work {
            Work::TryOut => (0, store.try_out()),
            Work::Write { revision, id, text } => (*revision, store.write(id, text)),
        };
        desk.papers().busy_since = None;
        let again = result.is_err();
        tell(revision, result);
        if again {
            desk.put_back(work);
            desk.rest();
        }
        work = desk.next();
    }
}

impl Desk {
    /// A poisoned lock still guards whole values.
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Work {
        loop {
            let waited = self.arrived.wait_while(self.papers(), |papers| papers.waiting.is_empty());
            let mut papers = waited.unwrap_or_else(PoisonError::into_inner);
            papers.fresh = false;
            if let Some(work) = papers.waiting.pop_front() {
                return work;
            }
        }
    }

    /// What could not be written is next again, unless there is something newer of that record.
    fn put_back(&self, work: Work) {
        let mut papers = self.papers();
        let overtaken = match &work {
            Work::TryOut => !papers.waiting.is_empty(),
            Work::Write { id, .. } => papers.waiting.iter().any(|other| other.is_of(id)),
        };
        if !overtaken {
            papers.waiting.push_front(work);
        }
    }

    /// Until it is time to try again, or something comes.
    fn rest(&self) {
        drop(self.arrived.wait_timeout_while(self.papers(), AGAIN_AFTER, |papers| !papers.fresh));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A state folder of a test's own, in which a file stands where the folder of records is to be.
    fn state_in_the_way(test: &str) -> (PathBuf, PathBuf) {
        let state = std::env::temp_dir().join(format!("spot-guard-writer-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&state);
        fs::create_dir_all(&state).unwrap();
        let in_the_way = state.join("responses");
        fs::write(&in_the_way, "").unwrap();
        (state, in_the_way)
    }

    fn next(told: &Receiver<(u64, bool)>) -> (u64, bool) {
        told.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn what_cannot_be_written_is_told_before_there_is_a_record_and_written_once_it_can_be() {
        let (state, in_the_way) = state_in_the_way("again");
        let (tell, told) = channel();
        let tell = move |revision, result: Result<(), Error>| tell.send((revision, result.is_ok())).unwrap();
        let writer = Writer::start(Store::new(&state), tell).unwrap();
        assert_eq!(next(&told), (0, false));
        writer.write(1, "a".into(), b"old".to_vec());
        assert_eq!(next(&told), (1, false));
        assert_eq!(next(&told), (1, false), "tried again");
        writer.write(2, "a".into(), b"new".to_vec());
        assert_eq!(next(&told), (2, false), "the newer one instead");
        writer.write(3, "b".into(), b"another".to_vec());
        fs::remove_file(&in_the_way).unwrap();
        let mut written: Vec<u64> =
            (0..10).map(|_| next(&told)).filter(|(_, ok)| *ok).map(|told| told.0).take(2).collect();
        written.sort_unstable();
        assert_eq!(written, [2, 3], "the latest of each record");
        assert_eq!(fs::read(in_the_way.join("a.json")).unwrap(), b"new");
        assert_eq!(fs::read(in_the_way.join("b.json")).unwrap(), b"another");
        assert!(!writer.hangs(Moment::now() + Duration::from_secs(60)));
        fs::remove_dir_all(state).unwrap();
    }

    /// The revision of the work that comes next; 0 for a mere trial.
    fn taken(writer: &Writer) -> u64 {
        match writer.0.next() {
            Work::TryOut => 0,
            Work::Write { revision, .. } => revision,
        }
    }

    #[test]
    fn of_each_record_only_the_latest_waits_and_a_trial_waits_for_nothing() {
        let writer = Writer(Arc::default());
        writer.0.put_back(Work::TryOut);
        for (revision, id) in [(1, "a"), (2, "b"), (3, "a")] {
            writer.write(revision, id.into(), Vec::new());
        }
        assert_eq!([taken(&writer), taken(&writer)], [2, 3]);
        assert!(writer.0.papers().waiting.is_empty());
    }

    #[test]
    fn a_disk_that_has_not_answered_for_two_seconds_hangs() {
        let writer = Writer(Arc::default());
        let since = Moment::after_boot(Duration::from_secs(1000));
        assert!(!writer.hangs(since));
        writer.0.papers().busy_since = Some(since);
        assert_eq!([1999, 2000].map(|ms| writer.hangs(since + Duration::from_millis(ms))), [false, true]);
    }
}
