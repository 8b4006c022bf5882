//! How many pods are asked at the same time.
//!
//! Few at first, one more with each answer as long as answers do not take longer for it, fewer where they wait, and half
//! as many once the API server refuses for having too much to do: a node alone is as quick as the API server, and a
//! fleet that is told in the same second neither fills its queues nor opens more connections to it than it takes.

use std::time::Duration;

use crate::moment::Moment;

/// So many keep a quick API server busy.
const ENOUGH: usize = 16;

/// The most at once, where an answer takes 100 ms or more: each takes some 75 KiB.
const MOST: usize = 40;

/// The fewest to begin with.
const FIRST: usize = 4;

/// The same where even the quickest answers take long: each round does.
const FIRST_WHERE_SLOW: usize = 8;

/// Where it is farther away than this, more are asked to begin with.
const FAR: Duration = Duration::from_millis(400);

/// An answer that takes this much more than twice what the quickest took has waited for others. The API server itself
/// lets an eviction wait up to 100 ms until its cache of budgets has caught up with etcd (kubernetes/kubernetes
/// `staging/src/k8s.io/apiserver/pkg/storage/cacher/progress/watch_progress.go`).
const LATE: Duration = Duration::from_millis(150);

/// One that takes this much more has waited in a queue of the API server, beside those of other nodes.
const QUEUED: Duration = Duration::from_secs(1);

/// As few are left where answers wait, unless more are needed.
const FEWEST: usize = 2;

/// However slow the API server is, all that wait are to be asked within this time.
const ALL_WITHIN: Duration = Duration::from_secs(30);

/// How far away the API server is.
#[derive(Clone, Copy, Debug)]
pub struct Away {
    /// How long a small request took before all this began.
    pub before: Duration,
    /// How long the quickest of the latest answers took. The API server may be busy.
    pub now: Duration,
}

/// How many asks may be under way at once.
#[derive(Debug, Default)]
pub struct Slots {
    /// `None` until the first is asked.
    open: Option<usize>,
    /// How many were answered since there was one more.
    answered: usize,
    quickest: Option<Duration>,
    latest: Duration,
    /// The most that were ever needed.
    needed: usize,
    /// When the API server was last found to have too much to do.
    narrowed_at: Option<Moment>,
}

impl Slots {
    /// So many may be under way where so many wait.
    pub fn open(&mut self, away: Away, waiting: usize) -> usize {
        // Not fewer again as fewer wait: else the last would wait for long.
        self.needed = self.needed.max(self.needed_for(waiting));
        self.narrow(away).max(self.needed)
    }

    /// As many as the API server seems to take.
    fn narrow(&mut self, away: Away) -> usize {
        let first = if away.now > FAR { FIRST_WHERE_SLOW } else { FIRST };
        let far = as_many_a_second(away.before.saturating_sub(FAR) / 5);
        *self.open.get_or_insert(far.clamp(first, MOST))
    }

    /// As many as it takes until all have been asked in time, if answers go on to take so long.
    fn needed_for(&self, waiting: usize) -> usize {
        let takes = self.latest.as_millis() * waiting as u128;
        usize::try_from(takes.div_ceil(ALL_WITHIN.as_millis())).unwrap_or(MOST).min(MOST)
    }

    /// An ask was answered after so long, and not for having too much to do.
    pub fn answered(&mut self, took: Duration, away: Away) {
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        (self.quickest, self.latest) = (Some(quickest), took);
        self.answered += 1;
        let open = self.narrow(away);
        let refused = self.narrowed_at.is_some();
        let most = if refused { ENOUGH } else { as_many_a_second(took).clamp(ENOUGH, MOST) };
        // Once it has refused, it is tried more carefully whether it takes more.
        let is_time = !refused || self.answered >= open;
        if took > quickest * 2 + QUEUED {
            self.open = Some(open.saturating_sub(1).max(FEWEST));
        } else if open < most && is_time && took <= quickest * 2 + LATE {
            (self.open, self.answered) = (Some(open + 1), 0);
        }
    }

    /// The API server refused an ask that went out then for having too much to do: half as many, once for all that
    /// were under way together.
    pub fn refused(&mut self, sent: Moment, now: Moment) {
        if self.narrowed_at.is_none_or(|narrowed_at| narrowed_at <= sent) {
            self.open = self.open.map(|open| (open / 2).max(1));
            (self.answered, self.narrowed_at) = (0, Some(now));
        }
    }
}

/// As many as are needed for 400 pods to be asked in a second.
fn as_many_a_second(an_answer_takes: Duration) -> usize {
    usize::try_from(an_answer_takes.as_millis() * 400 / 1000).unwrap_or(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after_boot(ms_of(1_000_000 + ms))
    }

    fn ms_of(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const NEAR: Away = Away { before: Duration::from_millis(1), now: Duration::from_millis(1) };

    /// After so many answers, each of which took so long.
    fn answered(slots: &mut Slots, times: usize, took: u64) -> usize {
        (0..times).for_each(|_| slots.answered(ms_of(took), NEAR));
        slots.open(NEAR, 0)
    }

    #[test]
    fn it_begins_with_few_where_the_api_server_is_near_and_with_all_where_it_is_far() {
        let first = |away| Slots::default().open(Away { before: ms_of(away), now: ms_of(away) }, 500);
        assert_eq!([0, 400, 450, 500, 1000, 15_000].map(first), [4, 4, 8, 8, 40, 40]);
        assert_eq!(Slots::default().open(Away { now: ms_of(1000), ..NEAR }, 500), 8, "it is slow");
    }

    #[test]
    fn each_answer_opens_one_more_up_to_what_keeps_the_api_server_busy() {
        let mut near = Slots::default();
        assert_eq!([1, 11, 50].map(|times| answered(&mut near, times, 5)), [5, 16, 16]);
        assert_eq!([1, 23, 50].map(|times| answered(&mut near, times, 100)), [17, 40, 40], "its cache lags behind");
    }

    #[test]
    fn answers_that_wait_for_each_other_open_no_more_and_a_queue_takes_some_back() {
        let mut slots = Slots::default();
        assert_eq!(answered(&mut slots, 2, 5), 6);
        assert_eq!([160, 161, 1010, 1011].map(|took| answered(&mut slots, 1, took)), [7, 7, 7, 6]);
        assert_eq!(answered(&mut slots, 50, 3000), 2);
        assert_eq!(answered(&mut slots, 3, 100), 5, "the queue is gone");
    }

    #[test]
    fn however_long_answers_take_there_are_as_many_as_all_that_wait_need() {
        let mut slots = Slots::default();
        answered(&mut slots, 1, 5);
        assert_eq!(answered(&mut slots, 50, 5000), 2);
        assert_eq!([0, 12, 30, 110, 500, 10].map(|waiting| slots.open(NEAR, waiting)), [2, 2, 5, 19, 40, 40]);
    }

    #[test]
    fn a_refusal_halves_them_once_for_all_that_were_under_way() {
        let mut slots = Slots::default();
        assert_eq!(answered(&mut slots, 12, 5), 16);
        (0..13).for_each(|_| slots.refused(at(0), at(10)));
        assert_eq!(answered(&mut slots, 0, 5), 8);
        slots.refused(at(10), at(20));
        assert_eq!(answered(&mut slots, 0, 5), 4);
        (2..6).for_each(|time| slots.refused(at(time * 10), at(time * 10 + 10)));
        assert_eq!(answered(&mut slots, 0, 5), 1, "never none");
    }

    #[test]
    fn after_a_refusal_as_many_answers_as_are_open_open_one_more_and_never_more_than_16() {
        let mut slots = Slots::default();
        slots.open(NEAR, 0);
        slots.refused(at(0), at(10));
        assert_eq!([1, 1, 2, 1].map(|times| answered(&mut slots, times, 5)), [2, 3, 3, 4]);
        assert_eq!(answered(&mut slots, 1000, 5), 16);
    }
}
