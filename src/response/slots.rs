//! How many pods are asked at the same time.
//!
//! Few at first, one more with each answer, and half as many once the API server refuses for having too much to do: a
//! node alone is as quick as the API server, and a fleet that is told in the same second does not fill its queues.

use std::time::Duration;

use crate::moment::Moment;

/// So many keep a quick API server busy.
const ENOUGH: usize = 16;

/// The most at once, where answers take long: each takes 85 KiB.
const MOST: usize = 40;

/// The fewest to begin with.
const FIRST: usize = 8;

/// How many asks may be under way at once.
#[derive(Debug, Default)]
pub struct Slots {
    /// `None` until the first is asked.
    open: Option<usize>,
    /// How many were answered since there was one more.
    answered: usize,
    /// When the API server was last found to have too much to do.
    narrowed_at: Option<Moment>,
}

impl Slots {
    /// So many may be under way, where the quickest answers take so long.
    pub fn open(&mut self, an_answer_takes: Duration) -> usize {
        *self.open.get_or_insert(as_many_a_second(an_answer_takes).clamp(FIRST, MOST))
    }

    /// An ask was answered, and not for having too much to do: one more, up to what keeps the API server busy.
    pub fn answered(&mut self, an_answer_takes: Duration) {
        let refused = self.narrowed_at.is_some();
        let most = if refused { ENOUGH } else { as_many_a_second(an_answer_takes).clamp(ENOUGH, MOST) };
        let open = self.open(an_answer_takes);
        self.answered += 1;
        // Once it has refused, it is tried more carefully whether it takes more.
        if open < most && (!refused || self.answered >= open) {
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

/// As many as are needed for as many pods to be asked in a second as where an answer takes 100 ms.
fn as_many_a_second(an_answer_takes: Duration) -> usize {
    usize::try_from(an_answer_takes.as_millis() * ENOUGH as u128 / 100).unwrap_or(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after_boot(Duration::from_millis(1_000_000 + ms))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// After so many answers.
    fn answered(slots: &mut Slots, times: usize, an_answer_takes: u64) -> usize {
        (0..times).for_each(|_| slots.answered(ms(an_answer_takes)));
        slots.open(ms(an_answer_takes))
    }

    #[test]
    fn it_begins_with_few_where_the_api_server_is_near_and_with_all_where_it_is_far() {
        let first = |takes| Slots::default().open(ms(takes));
        assert_eq!([0, 25, 50, 100, 250, 15_000].map(first), [8, 8, 8, 16, 40, 40]);
    }

    #[test]
    fn each_answer_opens_one_more_up_to_what_keeps_the_api_server_busy() {
        let mut slots = Slots::default();
        slots.open(ms(5));
        assert_eq!([1, 7, 50].map(|times| answered(&mut slots, times, 5)), [9, 16, 16]);
        assert_eq!([1, 50].map(|times| answered(&mut slots, times, 200)), [17, 32], "it takes longer now");
    }

    #[test]
    fn a_refusal_halves_them_once_for_all_that_were_under_way() {
        let mut slots = Slots::default();
        assert_eq!(answered(&mut slots, 8, 5), 16);
        (0..13).for_each(|_| slots.refused(at(0), at(10)));
        assert_eq!(slots.open(ms(5)), 8);
        slots.refused(at(10), at(20));
        assert_eq!(slots.open(ms(5)), 4);
        (2..6).for_each(|time| slots.refused(at(time * 10), at(time * 10 + 10)));
        assert_eq!(slots.open(ms(5)), 1, "never none");
    }

    #[test]
    fn after_a_refusal_as_many_answers_as_are_open_open_one_more_and_never_more_than_16() {
        let mut slots = Slots::default();
        slots.open(ms(5));
        slots.refused(at(0), at(10));
        assert_eq!(slots.open(ms(5)), 4);
        assert_eq!([3, 1, 4, 1].map(|times| answered(&mut slots, times, 5)), [4, 5, 5, 6]);
        assert_eq!(answered(&mut slots, 1000, 5000), 16);
    }
}
