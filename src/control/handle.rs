//! The way of a request to whoever serves it, and of the answer back.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use super::{Answer, Request};
use crate::moment::Moment;

/// How long a request may wait to be taken.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// How much longer its answer is waited for: who takes one at the last moment is not told that nobody has.
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);

/// A request that waits for its answer.
pub struct Command {
    pub request: Request,
    reply: SyncSender<Answer>,
    expires: Moment,
}

impl Command {
    /// Whether nobody waits for it any more: it must not be done then.
    pub fn is_stale(&self, now: Moment) -> bool {
        now > self.expires
    }

    pub fn answer(self, answer: Answer) {
        // Who asked may be gone.
        let _ = self.reply.try_send(answer);
    }
}

/// Hands requests to whoever serves them.
#[derive(Clone)]
pub struct Handle {
    give: Arc<dyn Fn(Command) -> bool + Send + Sync>,
}

impl Handle {
    /// `give` takes a request along, at once; false where nobody serves any more.
    pub fn new(give: impl Fn(Command) -> bool + Send + Sync + 'static) -> Handle {
        Handle { give: Arc::new(give) }
    }

    /// Asks, and waits for the answer for 6 s at most.
    ///
    /// # Errors
    /// When nobody has answered. A request that is not answered is not done later either.
    pub fn ask(&self, request: Request) -> Result<Answer, Unanswered> {
        let (reply, answer) = mpsc::sync_channel(1);
        let command = Command { request, reply, expires: Moment::now() + TAKEN_WITHIN };
        if !(self.give)(command) {
            return Err(Unanswered);
        }
        answer.recv_timeout(ANSWERED_WITHIN).map_err(|_| Unanswered)
    }
}

/// Who serves is busy, or on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the daemon is busy or ends, and nothing was done; ask again, its log says more")
    }
}

impl std::error::Error for Unanswered {}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_is_taken_is_answered_and_where_nobody_serves_that_is_told_at_once() {
        let here = Handle::new(|command: Command| {
            command.answer(Answer::Refused { why: "not now".into() });
            true
        });
        assert!(matches!(here.ask(Request::Uncordon), Ok(Answer::Refused { .. })));
        assert!(matches!(Handle::new(|_| false).ask(Request::Uncordon), Err(Unanswered)));
    }

    #[test]
    fn a_request_whose_asker_was_told_that_it_is_not_done_is_stale() {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let busy = Handle::new(move |command| {
            *keep.lock().unwrap() = Some(command);
            true
        });
        let asked = Moment::now();
        assert!(matches!(busy.ask(Request::Uncordon), Err(Unanswered)));
        let command = kept.lock().unwrap().take().unwrap();
        assert!(!command.is_stale(asked + Duration::from_secs(4)) && command.is_stale(Moment::now()));
    }
}
