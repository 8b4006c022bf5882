//! The other kinds of notice: where each is told, and which is asked for next.
//!
//! Knows nothing of what a notice means, only whether a body makes sense.

use std::time::Duration;

use super::health::Health;
use super::poll::backoff;
use super::{Client, Error, Item, News};
use crate::moment::{Moment, Timestamp};
use crate::notice::{self, Kind};

/// A kind of notice that is asked for beside Spot's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SidePath {
    pub kind: Kind,
    /// Under `/latest/`.
    pub path: &'static str,
    /// How often it is asked for while all is well.
    pub interval: Duration,
}

/// EC2 and Auto Scaling document no pace of their own for the first two; AWS recommends every 5 s for a Spot interruption
/// (EC2 User Guide, "Spot Instance interruption notices"). Events are scheduled days ahead ("Scheduled events for your
/// instances").
pub const SIDE_PATHS: [SidePath; 3] = [
    SidePath {
        kind: Kind::AutoscalingTermination,
        path: "meta-data/autoscaling/target-lifecycle-state",
        interval: Duration::from_secs(5),
    },
    SidePath {
        kind: Kind::RebalanceRecommendation,
        path: "meta-data/events/recommendations/rebalance",
        interval: Duration::from_secs(5),
    },
    SidePath {
        kind: Kind::Maintenance,
        path: "meta-data/events/maintenance/scheduled",
        interval: Duration::from_secs(60),
    },
];

/// How long after the first failure a path is asked again; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What failed quickly is asked again after this time at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So is what took a whole timeout, which Spot's next poll had to wait for, or what asks to be asked less.
const LONGEST_COSTLY_PAUSE: Duration = Duration::from_secs(60);

/// With so many failures in a row a path is told to be in trouble. With one it may be the whole service that has just
/// gone away: then Spot's next poll says so, and nothing else is asked.
const FAILURES_THAT_COUNT: u32 = 2;

/// How a question ended, as far as that decides when it is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Well,
    /// Refused, or answered with something else.
    Wrong,
    /// It took a whole timeout, or the service is throttled.
    Costly,
}

impl End {
    fn of(error: &Error) -> End {
        if error.is_throttling() || matches!(error, Error::NoAnswer { .. }) { End::Costly } else { End::Wrong }
    }
}

/// A path, and when it is asked next.
struct Question {
    what: SidePath,
    due: Moment,
    /// In a row, until now.
    failures: u32,
}

impl Question {
    /// It was asked at this beat.
    fn ended(&mut self, beat: Moment, end: End) {
        let pause = match end {
            End::Well => self.what.interval,
            End::Wrong => backoff(FIRST_PAUSE, self.failures, LONGEST_PAUSE),
            End::Costly => backoff(FIRST_PAUSE, self.failures, LONGEST_COSTLY_PAUSE),
        };
        self.failures = if end == End::Well { 0 } else { self.failures.saturating_add(1) };
        self.due = beat + pause;
    }
}

/// All questions. What is due is asked in the order in which it became so: however slow the beat, none is left out.
struct Schedule([Question; SIDE_PATHS.len()]);

impl Default for Schedule {
    /// All are due at once.
    fn default() -> Schedule {
        Schedule(SIDE_PATHS.map(|what| Question { what, due: Moment::default(), failures: 0 }))
    }
}

impl Schedule {
    /// The one question of this beat, if any is due.
    fn at(&mut self, beat: Moment) -> Option<&mut Question> {
        self.0.iter_mut().filter(|question| question.due <= beat).min_by_key(|question| question.due)
    }
}

#[derive(Default)]
pub struct Side {
    schedule: Schedule,
    at_risk: bool,
}

impl Side {
    /// Whether a rebalance recommendation stands: whether the last answer about it that made sense was an item.
    pub fn is_at_risk(&self) -> bool {
        self.at_risk
    }

    /// Asks the one question of this beat, if any is due.
    pub fn ask_one(&mut self, client: &mut Client, beat: Moment, health: &mut Health, tell: &dyn Fn(News)) {
        let Some(question) = self.schedule.at(beat) else { return };
        let SidePath { kind, path, .. } = question.what;
        let asked = Moment::now();
        match client.get(path) {
            Ok(item) => {
                let is_sense = makes_sense(kind, item.as_ref(), asked);
                question.ended(beat, if is_sense { End::Well } else { End::Wrong });
                if is_sense && kind == Kind::RebalanceRecommendation {
                    self.at_risk = item.is_some();
                }
                health.side_answered(kind, asked, tell);
                tell(News::Notice(kind, item, asked));
            }
            Err(error) => {
                question.ended(beat, End::of(&error));
                if question.failures >= FAILURES_THAT_COUNT {
                    health.side_failed(kind, &error, asked, tell);
                } else {
                    log::debug!("{error}");
                }
            }
        }
    }
}

/// What makes none is told all the same, and asked again soon.
fn makes_sense(kind: Kind, item: Option<&Item>, asked: Moment) -> bool {
    let reading = notice::read(kind, item.map(|item| item.body.as_str()), Timestamp::now(), asked);
    reading.is_ok_and(|reading| reading.doubt.is_none())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use stand_ins::imds::{Fault, Imds, REBALANCE};

    use super::*;
    use crate::config;
    use Kind::{AutoscalingTermination as Autoscaling, Maintenance, RebalanceRecommendation as Rebalance};

    fn at(ms: u64) -> Moment {
        Moment::after_boot(Duration::from_millis(1_000_000 + ms))
    }

    fn client(imds: &Imds) -> Client {
        let (second, patience) = (Duration::from_secs(1), Duration::from_secs(20));
        Client::new(&config::Imds {
            endpoint: imds.endpoint(),
            disabled: false,
            poll_interval: second,
            poll_interval_at_risk: second,
            timeout: patience,
        })
    }

    /// What is asked at which millisecond, at beats `interval` ms apart, where each question ends as `end` says.
    fn asked(beats: u64, interval: u64, end: impl Fn(Kind) -> End) -> Vec<(u64, Kind)> {
        let mut schedule = Schedule::default();
        let one = |beat| {
            let question = schedule.at(at(beat))?;
            let kind = question.what.kind;
            question.ended(at(beat), end(kind));
            Some((beat, kind))
        };
        (0..beats).map(|beat| beat * interval).filter_map(one).collect()
    }

    fn moments_of(kind: Kind, asked: &[(u64, Kind)]) -> Vec<u64> {
        asked.iter().filter(|(_, of)| *of == kind).map(|(ms, _)| *ms).collect()
    }

    #[test]
    fn all_are_asked_within_three_beats_and_then_each_at_its_pace() {
        let asked = asked(70, 1000, |_| End::Well);
        assert_eq!(asked[..3], [(0, Autoscaling), (1000, Rebalance), (2000, Maintenance)]);
        assert_eq!(moments_of(Autoscaling, &asked)[..4], [0, 5000, 10_000, 15_000]);
        assert_eq!(moments_of(Rebalance, &asked)[..4], [1000, 6000, 11_000, 16_000]);
        assert_eq!(moments_of(Maintenance, &asked), [2000, 62_000]);
    }

    #[test]
    fn a_slow_beat_leaves_none_out() {
        let asked = asked(20, 30_000, |_| End::Well);
        assert_eq!(asked.len(), 20, "one a beat");
        for kind in [Autoscaling, Rebalance, Maintenance] {
            let moments = moments_of(kind, &asked);
            assert!(moments.len() >= 5 && moments.windows(2).all(|pair| pair[1] - pair[0] <= 120_000), "{moments:?}");
        }
    }

    #[test]
    fn a_quick_beat_asks_no_more_than_a_slow_one() {
        assert_eq!(asked(300, 200, |_| End::Well).len(), 12 + 12 + 1);
    }

    #[test]
    fn what_fails_quickly_is_asked_again_within_five_seconds() {
        let end = |kind| if kind == Maintenance { End::Wrong } else { End::Well };
        let asked = asked(200, 200, end);
        assert_eq!(moments_of(Maintenance, &asked)[..6], [400, 1400, 3400, 7400, 12_400, 17_400]);
        assert_eq!(moments_of(Autoscaling, &asked)[..3], [0, 5000, 10_000], "the others keep their pace");
    }

    #[test]
    fn what_holds_up_spots_poll_is_asked_more_and_more_rarely_up_to_a_minute() {
        let end = |kind| if kind == Autoscaling { End::Costly } else { End::Well };
        let moments = moments_of(Autoscaling, &asked(1500, 200, end));
        assert_eq!(moments[..8], [0, 1000, 3000, 7000, 15_000, 31_000, 63_000, 123_000]);
        assert_eq!(moments[9] - moments[8], 60_000);
    }

    #[test]
    fn after_a_good_answer_a_path_is_asked_at_its_pace_again() {
        let mut question = Question { what: SIDE_PATHS[0], due: at(0), failures: 7 };
        question.ended(at(0), End::Well);
        assert_eq!((question.due, question.failures), (at(5000), 0));
    }

    #[test]
    fn a_failure_is_costly_where_it_took_long_or_the_service_asks_to_be_asked_less() {
        let url = String::new;
        let refused = |status| Error::Refused { url: url(), status, body: String::new() };
        assert_eq!(End::of(&Error::NoAnswer { url: url(), reason: String::new() }), End::Costly);
        assert_eq!(
            [503, 429, 500, 403].map(|s| End::of(&refused(s))),
            [End::Costly, End::Costly, End::Wrong, End::Wrong]
        );
        assert_eq!(End::of(&Error::TooLarge { url: url() }), End::Wrong);
    }

    #[test]
    fn the_first_failure_is_not_told_and_the_second_is() {
        let imds = Imds::on_loopback();
        imds.fault_at("meta-data", Fault::Status(500));
        let told = RefCell::new(0);
        let (mut client, mut side, mut health) = (client(&imds), Side::default(), Health::default());
        let counts = [0, 1000, 2000, 3000].map(|ms| {
            side.ask_one(&mut client, at(ms), &mut health, &|_| *told.borrow_mut() += 1);
            *told.borrow()
        });
        assert_eq!(counts, [0, 0, 0, 1], "each path once, and the first once more");
    }

    #[test]
    fn a_web_page_is_no_recommendation_and_takes_none_back_and_is_asked_for_again_soon() {
        let imds = Imds::on_loopback();
        let (mut client, mut side, mut health) = (client(&imds), Side::default(), Health::default());
        let mut ask = |ms| {
            side.schedule.0.iter_mut().filter(|q| q.what.kind != Rebalance).for_each(|q| q.due = at(ms + 1));
            side.ask_one(&mut client, at(ms), &mut health, &drop);
            let question = side.schedule.0.iter().find(|q| q.what.kind == Rebalance).unwrap();
            (side.at_risk, question.due)
        };
        imds.set(REBALANCE, "<html>");
        assert_eq!(ask(0), (false, at(1000)));
        imds.recommend_rebalance();
        assert_eq!(ask(1000), (true, at(6000)));
        imds.set(REBALANCE, "<html>");
        assert_eq!(ask(6000), (true, at(7000)));
        imds.withdraw_rebalance();
        assert_eq!(ask(7000), (false, at(12_000)));
    }
}
