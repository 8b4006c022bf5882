//! Probes that are given up when their time is over.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::moment::Moment;

/// Something that is looked at in a thread of its own. What hangs is left behind with the thread.
pub struct Probe<T> {
    answer: Receiver<T>,
    by: Moment,
}

/// Begins to look; `limit` counts from now.
pub fn begin<T: Send + 'static>(limit: Duration, look: impl FnOnce() -> T + Send + 'static) -> Probe<T> {
    let (tell, answer) = channel();
    // Where no thread can be started, nothing comes back.
    let _ = thread::Builder::new().name("probe".to_owned()).spawn(move || tell.send(look()));
    Probe { answer, by: Moment::now() + limit }
}

impl<T> Probe<T> {
    /// What came back; `None` if that took too long.
    pub fn end(self) -> Option<T> {
        self.answer.recv_timeout(Moment::now().until(self.by)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_hangs_is_left_behind() {
        let (_hold, wait) = channel::<()>();
        assert_eq!(begin(Duration::from_millis(20), move || wait.recv().is_ok()).end(), None);
        assert_eq!(begin(Duration::from_secs(20), || 7).end(), Some(7));
    }
}
