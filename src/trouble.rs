//! A trouble that lasts: when it is worth a line in the log, so that it is seen soon and floods nothing.
//!
//! Knows moments. Knows nothing of what the trouble is, and writes nothing itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::moment::Moment;

/// What lasts is said again this often. What comes within this time of the last line has to show first that it lasts.
const SUMMARY: Duration = Duration::from_secs(600);

/// How long that takes; also how soon another kind may be said.
const REST: Duration = Duration::from_secs(60);

/// Something that goes wrong again and again, and then is well.
#[derive(Debug, Default)]
pub struct Trouble {
    spell: Option<Spell>,
    /// When there was a line last.
    said_at: Option<Moment>,
}

/// From the first failure until all is well.
#[derive(Debug)]
struct Spell {
    since: Moment,
    times: u64,
    /// What kind it was when it was said last.
    said: Option<String>,
}

/// Several things that go wrong, each by itself or all from one cause, which is then told in one line.
#[derive(Debug)]
pub struct Troubles<K> {
    trouble: Trouble,
    standing: BTreeMap<K, Standing>,
}

#[derive(Debug)]
struct Standing {
    kind: String,
    words: String,
}

/// How much of it there has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub times: u64,
    pub time: Duration,
}

impl Trouble {
    /// It came, and is of this kind. `Some`: that is to be said now.
    ///
    /// At once where nothing was said for ten minutes, after a minute where something was; then every ten minutes, and
    /// another kind after a minute.
    pub fn came(&mut self, kind: &str, now: Moment) -> Option<Extent> {
        let spell = self.spell.get_or_insert(Spell { since: now, times: 0, said: None });
        spell.times += 1;
        let extent = Extent { times: spell.times, time: now.since(spell.since) };
        let quiet = self.said_at.is_none_or(|at| now.since(at) >= SUMMARY);
        let rested = self.said_at.is_none_or(|at| now.since(at) >= REST);
        let is_due = match &spell.said {
            Some(said) => said != kind && rested,
            None => extent.time >= REST,
        };
        if !(quiet || is_due) {
            return None;
        }
        spell.said = Some(kind.to_owned());
        self.said_at = Some(now);
        Some(extent)
    }

    /// All is well. `Some`: its beginning was said, and so is its end.
    pub fn over(&mut self, now: Moment) -> Option<Extent> {
        let spell = self.spell.take()?;
        spell.said.as_ref()?;
        self.said_at = Some(now);
        Some(Extent { times: spell.times, time: now.since(spell.since) })
    }
}

impl<K> Default for Troubles<K> {
    fn default() -> Troubles<K> {
        Troubles { trouble: Trouble::default(), standing: BTreeMap::new() }
    }
}

impl<K: Copy + Ord + fmt::Debug> Troubles<K> {
    /// `whose` has this trouble. `Some`: that is to be said now, in the words of all that stand.
    ///
    /// When is as with one trouble whose kind is that of all together.
    pub fn came(&mut self, whose: K, kind: &str, words: String, now: Moment) -> Option<Extent> {
        self.standing.insert(whose, Standing { kind: kind.to_owned(), words });
        let kinds: Vec<_> =
            self.standing.iter().map(|(whose, standing)| format!("{whose:?} {}", standing.kind)).collect();
        self.trouble.came(&kinds.join(", "), now)
    }

    /// `whose` is over. `Some`: with it all are, and that is to be said.
    pub fn over(&mut self, whose: K, now: Moment) -> Option<Extent> {
        self.standing.remove(&whose)?;
        if self.standing.is_empty() { self.trouble.over(now) } else { None }
    }

    /// What kind of trouble `whose` is.
    pub fn kind(&self, whose: K) -> Option<&str> {
        self.standing.get(&whose).map(|standing| standing.kind.as_str())
    }

    /// The words of all that stand, in the order of whose they are; `None` if there are none.
    pub fn words(&self) -> Option<String> {
        let words: Vec<&str> = self.standing.values().map(|standing| standing.words.as_str()).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

impl Extent {
    /// ` (600 times in 10 min)`; nothing where it came once.
    pub fn in_brackets(self) -> String {
        if self.times > 1 { format!(" ({self})") } else { String::new() }
    }
}

/// `600 times in 10 min`
impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.times == 1 { "once".to_owned() } else { format!("{} times", self.times) };
        match self.time.as_secs() {
            seconds @ 0..120 => write!(f, "{times} in {seconds} s"),
            seconds @ 120..7200 => write!(f, "{times} in {} min", seconds / 60),
            seconds => write!(f, "{times} in {} h", seconds / 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(1000 + second))
    }

    /// The seconds of those failures that were said.
    fn said(trouble: &mut Trouble, failures: impl IntoIterator<Item = (u64, &'static str)>) -> Vec<u64> {
        failures
            .into_iter()
            .filter(|(second, words)| trouble.came(words, at(*second)).is_some())
            .map(|(s, _)| s)
            .collect()
    }

    #[test]
    fn what_lasts_is_said_at_once_and_then_every_ten_minutes() {
        let mut trouble = Trouble::default();
        assert_eq!(said(&mut trouble, (0..3600).map(|second| (second, "503"))), [0, 600, 1200, 1800, 2400, 3000]);
        assert_eq!(trouble.over(at(3600)), Some(Extent { times: 3600, time: Duration::from_secs(3600) }));
        assert_eq!(trouble.over(at(3601)), None);
    }

    #[test]
    fn another_kind_is_said_after_a_minute() {
        let mut trouble = Trouble::default();
        let kind = |second| if second < 5 { "no answer" } else { "expired" };
        assert_eq!(said(&mut trouble, (0..100).map(|second| (second, kind(second)))), [0, 60]);
    }

    #[test]
    fn what_comes_and_goes_is_said_once_and_again_when_it_lasts() {
        let mut trouble = Trouble::default();
        let mut lines = Vec::new();
        for second in 0..590 {
            if second % 2 == 0 {
                lines.extend(trouble.came("503", at(second)).map(|_| second));
            } else {
                lines.extend(trouble.over(at(second)).map(|_| second));
            }
        }
        assert_eq!(lines, [0, 1]);
        assert_eq!(said(&mut trouble, (590..700).map(|second| (second, "503"))), [601]);
    }

    #[test]
    fn what_all_have_at_once_is_said_once_and_another_that_joins_after_a_minute() {
        let mut troubles = Troubles::default();
        let mut said = Vec::new();
        for second in 0..200 {
            for whose in ["b", "a"] {
                if whose == "b" || second >= 2 {
                    said.extend(troubles.came(whose, "500", format!("{whose} fails"), at(second)).map(|_| second));
                }
            }
        }
        assert_eq!(said, [0, 60]);
        assert_eq!(troubles.words().as_deref(), Some("a fails; b fails"));
        assert_eq!(troubles.kind("a"), Some("500"));
        assert_eq!(troubles.over("b", at(200)), None);
        assert_eq!(troubles.over("b", at(201)), None, "it was over");
        assert_eq!(troubles.over("a", at(202)), Some(Extent { times: 398, time: Duration::from_secs(202) }));
        assert_eq!(troubles.words(), None);
    }

    #[test]
    fn its_extent_is_told_as_people_say_it() {
        let rows = [
            (1, 0, "once in 0 s"),
            (7, 119, "7 times in 119 s"),
            (600, 600, "600 times in 10 min"),
            (9000, 9000, "9000 times in 2 h"),
        ];
        for (times, seconds, told) in rows {
            assert_eq!(Extent { times, time: Duration::from_secs(seconds) }.to_string(), told);
        }
    }

    proptest! {
        /// A line a minute and its answer, whatever comes: what began is told within a minute, what was told is ended.
        #[test]
        fn no_history_floods_the_log_and_none_hides_what_lasts(
            history in prop::collection::vec((prop::bool::weighted(0.8), 0..3_usize, 1..30_u64), 1..300),
        ) {
            let (mut trouble, mut now, mut lines, mut told) = (Trouble::default(), 0, 0_u64, None);
            let mut since = None;
            for (failed, kind, seconds) in history {
                now += seconds;
                if failed {
                    let since = *since.get_or_insert(now);
                    if trouble.came(["a", "b", "c"][kind], at(now)).is_some() {
                        lines += 1;
                        told = Some(since);
                    }
                    prop_assert!(told == Some(since) || now - since < 60, "{now}: not told since {since}");
                } else {
                    lines += u64::from(trouble.over(at(now)).is_some());
                    (since, told) = (None, None);
                }
            }
            prop_assert!(lines <= 2 + 2 * now / 60, "{lines} lines in {now} s");
        }
    }
}
