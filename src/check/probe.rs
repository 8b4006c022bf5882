//! Probes that are given up when their time is over.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::moment::Moment;

/// Something that is looked at in a thread of its own. What hangs is left behind with the thread.
pub struct Probe<T> {
    seen: Arc<Seen<T>>,
    by: Moment,
}

struct Seen<T> {
    answer: Mutex<Option<T>>,
    is_there: Condvar,
}

/// Begins to look; `limit` counts from now.
pub fn begin<T: Send + 'static>(limit: Duration, look: impl FnOnce() -> T + Send + 'static) -> Probe<T> {
    let seen = Arc::new(Seen { answer: Mutex::new(None), is_there: Condvar::new() });
    let tell = Arc::clone(&seen);
    start(Box::new(move || {
        let answer = look();
        *tell.answer() = Some(answer);
        tell.is_there.notify_all();
    }));
    Probe { seen, by: Moment::now() + limit }
}

/// Where no thread can be started, nothing comes back. Boxed: the program has this once, and not for each probe.
fn start(look: Box<dyn FnOnce() + Send>) {
    let _ = thread::Builder::new().name("probe".to_owned()).spawn(look);
}

impl<T> Seen<T> {
    fn answer(&self) -> MutexGuard<'_, Option<T>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Probe<T> {
    /// What came back; `None` if that took too long.
    pub fn end(self) -> Option<T> {
        let mut answer = self.seen.answer();
        while answer.is_none() {
            let left = Moment::now().until(self.by);
            if left.is_zero() {
                break;
            }
            let waited = self.seen.is_there.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        answer.take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_probe_that_hangs_is_left_behind() {
        let (_hold, wait) = channel::<()>();
        assert_eq!(begin(Duration::from_millis(20), move || wait.recv().is_ok()).end(), None);
        assert_eq!(begin(Duration::from_secs(20), || 7).end(), Some(7));
    }
}
