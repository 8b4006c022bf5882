//! What is asked with a drain, and the notice that this is to the machine.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::duration_text;
use crate::moment::{self, Moment, Timestamp};
use crate::notice::{InstanceAction, Kind, Sighting};

/// How long a window may be; the same holds for the windows in settings.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

/// How much of a reason goes to the journal, in characters.
const LONGEST_REASON: usize = 200;

/// A drain that somebody asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Whose settings decide.
    #[serde(default = "by_hand")]
    pub notice: Kind,
    /// How long it may take; `None`: as long as the settings of that kind say.
    #[serde(default, rename = "window_seconds", with = "moment::optional_seconds")]
    pub window: Option<Duration>,
    /// By when all must be done, in place of a window.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// From when the window counts; `None`: from now.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Why, for a person.
    #[serde(default)]
    pub reason: Option<String>,
}

fn by_hand() -> Kind {
    Kind::ByHand
}

impl Drain {
    /// The notice that this is, at the time of day `date`; `usual` is the window that its kind's settings give.
    ///
    /// A window that is over is wrong for a drain by hand, as nothing could be waited for. A notice of another kind
    /// whose time has passed is what it is: its pods are asked at once.
    ///
    /// # Errors
    /// When the times that were given make no sense.
    pub fn sighting(&self, usual: Duration, date: Timestamp, seen: Moment) -> Result<Sighting, Wrong> {
        let kind = self.notice;
        let time = match kind {
            Kind::RebalanceRecommendation if self.tells_time() => return Err(Wrong::NoTimeToTell),
            Kind::RebalanceRecommendation => date,
            _ => self.end(usual, date)?,
        };
        if kind == Kind::ByHand && time.later_than(date).is_none() {
            return Err(Wrong::Over(time));
        }
        let action = match kind {
            Kind::SpotInterruption | Kind::AutoscalingTermination => InstanceAction::Terminate,
            Kind::Maintenance | Kind::RebalanceRecommendation | Kind::ByHand => InstanceAction::None,
        };
        Ok(Sighting { kind, action, event_id: None, time: Some(time), date, seen, doubt: None })
    }

    fn tells_time(&self) -> bool {
        self.window.is_some() || self.until.is_some() || self.since.is_some()
    }

    fn end(&self, usual: Duration, date: Timestamp) -> Result<Timestamp, Wrong> {
        match (self.until, self.window, self.since) {
            (Some(_), Some(_), _) => Err(Wrong::TwoEnds("window")),
            (Some(_), None, Some(_)) => Err(Wrong::TwoEnds("since")),
            (Some(until), None, None) if until.later_than(date).is_some_and(|left| left > LONGEST_WINDOW) => {
                Err(Wrong::FarAhead(until))
            }
            (Some(until), None, None) => Ok(until),
            (None, Some(window), _) if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) => {
                Err(Wrong::Window(window))
            }
            // Who tells of a notice may have a clock that is ahead of this one.
            (None, window, since) => Ok(since.map_or(date, |since| since.min(date)) + window.unwrap_or(usual)),
        }
    }

    /// What the journal is told.
    pub fn told(&self) -> String {
        let what = match self.notice {
            Kind::ByHand => Kind::ByHand.to_string(),
            kind => format!("{}, as for a {kind}", Kind::ByHand),
        };
        match self.reason.as_deref().map(one_line).filter(|reason| !reason.is_empty()) {
            Some(reason) => format!("{what}: {reason}"),
            None => what,
        }
    }
}

/// What fits on a line of the journal and steers no terminal.
fn one_line(reason: &str) -> String {
    let spaced = reason.chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c });
    spaced.filter(|c| !c.is_control()).take(LONGEST_REASON).collect::<String>().trim().to_owned()
}

/// Why the times of a drain make no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Both until and this option say when it ends.
    TwoEnds(&'static str),
    Window(Duration),
    FarAhead(Timestamp),
    /// The window of a drain by hand is over.
    Over(Timestamp),
    /// A rebalance recommendation says nothing of an end.
    NoTimeToTell,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = duration_text(LONGEST_WINDOW);
        match self {
            Wrong::TwoEnds(other) => write!(f, "--until and --{other} both say when the window ends; give one of them"),
            Wrong::Window(window) => {
                let shortest = duration_text(SHORTEST_WINDOW);
                write!(f, "the window is {}; it must be from {shortest} to {longest}", duration_text(*window))
            }
            Wrong::FarAhead(until) => write!(f, "--until is {until}; it may be {longest} ahead at most"),
            Wrong::Over(end) => write!(
                f,
                "the window was over at {end}; give a longer --window, a later --until, or with --notice the kind of \
                 notice whose time has passed"
            ),
            Wrong::NoTimeToTell => write!(
                f,
                "a rebalance recommendation names no end: responses.rebalance-recommendation.window says how long the \
                 response may take; leave --window, --until and --since away"
            ),
        }
    }
}

impl std::error::Error for Wrong {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notice;

    const USUAL: Duration = Duration::from_secs(120);

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(&format!("2026-11-22T{text}Z")).unwrap()
    }

    fn drain(notice: Kind, window: Option<u64>, until: Option<&str>, since: Option<&str>) -> Drain {
        Drain {
            notice,
            window: window.map(Duration::from_secs),
            until: until.map(at),
            since: since.map(at),
            reason: None,
        }
    }

    fn sighting(drain: &Drain) -> Result<Sighting, Wrong> {
        drain.sighting(USUAL, at("12:00:00"), Moment::after_boot(Duration::from_secs(1000)))
    }

    /// The kind, `--window` in seconds, `--until`, `--since`, and how many seconds are left and whether it is overdue.
    type Row = (Kind, Option<u64>, Option<&'static str>, Option<&'static str>, Result<(u64, bool), Wrong>);

    #[test]
    fn the_window_is_that_of_the_settings_or_what_was_given_and_counts_from_its_beginning() {
        let table: [Row; 21] = [
            (Kind::ByHand, None, None, None, Ok((120, false))),
            (Kind::ByHand, Some(600), None, None, Ok((600, false))),
            (Kind::ByHand, Some(600), None, Some("11:55:00"), Ok((300, false))),
            (Kind::ByHand, None, None, Some("11:59:00"), Ok((60, false))),
            (Kind::ByHand, None, None, Some("12:00:09"), Ok((120, false))),
            (Kind::ByHand, None, Some("12:30:00"), None, Ok((1800, false))),
            (Kind::ByHand, None, None, Some("11:58:00"), Err(Wrong::Over(at("12:00:00")))),
            (Kind::ByHand, Some(60), None, Some("11:00:00"), Err(Wrong::Over(at("11:01:00")))),
            (Kind::ByHand, None, Some("11:30:00"), None, Err(Wrong::Over(at("11:30:00")))),
            (Kind::ByHand, Some(60), Some("12:30:00"), None, Err(Wrong::TwoEnds("window"))),
            (Kind::ByHand, None, Some("12:30:00"), Some("11:59:00"), Err(Wrong::TwoEnds("since"))),
            (Kind::ByHand, Some(0), None, None, Err(Wrong::Window(Duration::ZERO))),
            (Kind::ByHand, Some(90_000), None, None, Err(Wrong::Window(Duration::from_secs(90_000)))),
            (Kind::SpotInterruption, Some(60), None, None, Ok((60, false))),
            (Kind::SpotInterruption, Some(60), None, Some("11:00:00"), Ok((120, true))),
            (Kind::AutoscalingTermination, Some(600), None, Some("11:58:00"), Ok((480, false))),
            (Kind::Maintenance, None, Some("11:58:00"), None, Ok((120, true))),
            (Kind::RebalanceRecommendation, None, None, None, Ok((120, false))),
            (Kind::RebalanceRecommendation, Some(60), None, None, Err(Wrong::NoTimeToTell)),
            (Kind::RebalanceRecommendation, None, Some("12:30:00"), None, Err(Wrong::NoTimeToTell)),
            (Kind::RebalanceRecommendation, None, None, Some("11:59:00"), Err(Wrong::NoTimeToTell)),
        ];
        for (kind, window, until, since, expected) in table {
            let given = sighting(&drain(kind, window, until, since)).map(|sighting| {
                let deadline = notice::deadline(&sighting, USUAL);
                (sighting.seen.until(deadline.at).as_secs(), deadline.overdue)
            });
            assert_eq!(given, expected, "{kind} --window {window:?} --until {until:?} --since {since:?}");
        }
    }

    #[test]
    fn an_end_that_is_days_ahead_is_a_slip() {
        let until = |text| Drain { until: Timestamp::from_rfc3339(text), ..drain(Kind::ByHand, None, None, None) };
        let year = until("2027-11-22T12:30:00Z");
        assert_eq!(sighting(&year), Err(Wrong::FarAhead(year.until.unwrap())));
        assert!(sighting(&until("2026-11-23T12:00:00Z")).is_ok(), "a day ahead");
    }

    #[test]
    fn a_recommendation_by_hand_was_given_when_it_is_asked_for() {
        let given = sighting(&drain(Kind::RebalanceRecommendation, None, None, None)).unwrap();
        assert_eq!(given.time, Some(at("12:00:00")));
    }

    #[test]
    fn who_asks_for_a_drain_is_told_what_is_wrong_with_its_times() {
        let words = Wrong::TwoEnds("since").to_string();
        assert_eq!(words, "--until and --since both say when the window ends; give one of them");
    }

    #[test]
    fn the_journal_is_told_the_reason_on_one_line() {
        let told =
            |notice, reason: &str| Drain { reason: Some(reason.to_owned()), ..drain(notice, None, None, None) }.told();
        assert_eq!(told(Kind::ByHand, "new\nkernel\u{1b}[2J\u{7}"), "drain by hand: new kernel[2J");
        assert_eq!(told(Kind::ByHand, " \n"), "drain by hand");
        assert_eq!(told(Kind::Maintenance, "reboot"), "drain by hand, as for a maintenance event: reboot");
        assert_eq!(told(Kind::ByHand, &"é".repeat(1000)).chars().count(), "drain by hand: ".len() + 200);
    }

    proptest! {
        #[test]
        fn whatever_was_given_the_response_may_take_a_day_at_most(
            kind in prop::sample::select(Kind::ALL.to_vec()),
            window in prop::option::of(0_u64..200_000),
            until in prop::option::of("20[0-9]{2}-1[0-2]-[0-2][1-9]T12:00:00Z"),
            since in prop::option::of("20[0-9]{2}-1[0-2]-[0-2][1-9]T12:00:00Z"),
        ) {
            let time = |text: Option<String>| text.and_then(|text| Timestamp::from_rfc3339(&text));
            let window = window.map(Duration::from_secs);
            let drain = Drain { notice: kind, window, until: time(until), since: time(since), reason: None };
            if let Ok(sighting) = sighting(&drain) {
                let deadline = notice::deadline(&sighting, USUAL);
                prop_assert!(deadline.at > sighting.seen && deadline.at <= sighting.seen + LONGEST_WINDOW);
                prop_assert!(kind != Kind::ByHand || !deadline.overdue);
            }
        }
    }
}
