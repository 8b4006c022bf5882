//! Notices: what is said of this instance's end, by the metadata service or by hand, and by when all must be done.
//!
//! Knows the shape of the metadata service's answers. Knows nothing of HTTP, and of time only what it is given.

mod read;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::read::{Reading, Unreadable, read};
use crate::moment::{Moment, Timestamp};

/// EC2 announces a Spot interruption two minutes ahead, best effort
/// (EC2 User Guide, "Spot Instance interruption notices"). Nothing is ever planned further ahead than this.
pub const SPOT_WINDOW: Duration = Duration::from_secs(120);

/// What kind of notice it is; each kind has settings of its own. In this order where several are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    SpotInterruption,
    /// The Auto Scaling group has chosen the instance for termination.
    AutoscalingTermination,
    /// An event that EC2 has scheduled: a reboot, a stop, a retirement, work on the host.
    Maintenance,
    /// The risk of an interruption is higher than usual. Says nothing of whether and when.
    RebalanceRecommendation,
    /// Nobody but an administrator has said so.
    ByHand,
}

impl Kind {
    pub const ALL: [Kind; 5] = [
        Kind::SpotInterruption,
        Kind::AutoscalingTermination,
        Kind::Maintenance,
        Kind::RebalanceRecommendation,
        Kind::ByHand,
    ];

    /// The kind's name in settings, records and the hooks' environment.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SpotInterruption => "spot-interruption",
            Kind::AutoscalingTermination => "autoscaling-termination",
            Kind::Maintenance => "maintenance",
            Kind::RebalanceRecommendation => "rebalance-recommendation",
            Kind::ByHand => "by-hand",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A few words for a person.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::SpotInterruption => "spot interruption",
            Kind::AutoscalingTermination => "autoscaling termination",
            Kind::Maintenance => "maintenance event",
            Kind::RebalanceRecommendation => "rebalance recommendation",
            Kind::ByHand => "drain by hand",
        })
    }
}

impl Kind {
    /// `spot interruption (terminate)`
    pub fn with(self, action: InstanceAction) -> String {
        match action {
            InstanceAction::None => self.to_string(),
            action => format!("{self} ({})", action.name()),
        }
    }
}

/// What EC2 is going to do with the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceAction {
    Terminate,
    Stop,
    /// Begins at once: there is no two-minute window (EC2 User Guide, "Hibernate interrupted Spot Instances").
    Hibernate,
    Reboot,
    /// The instance's host is given up: it is stopped, or terminated where its root is an instance store
    /// (EC2 User Guide, "Scheduled events for your instances").
    Retire,
    /// Work on the host: the network or the power may go for a moment.
    Maintain,
    /// Nothing is said of what becomes of the instance.
    None,
}

impl InstanceAction {
    pub fn name(self) -> &'static str {
        match self {
            InstanceAction::Terminate => "terminate",
            InstanceAction::Stop => "stop",
            InstanceAction::Hibernate => "hibernate",
            InstanceAction::Reboot => "reboot",
            InstanceAction::Retire => "retire",
            InstanceAction::Maintain => "maintain",
            InstanceAction::None => "none",
        }
    }
}

/// Which notice it is: of each kind there is one at a time, but of maintenance events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub kind: Kind,
    /// Only maintenance events have one.
    pub event_id: Option<String>,
}

/// A notice as it was read in one answer of the metadata service, or given by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub kind: Kind,
    pub action: InstanceAction,
    pub event_id: Option<String>,
    /// When EC2 says it will act; of a rebalance recommendation, when it was given. `None` if it could not be read, or
    /// where a notice of this kind tells no time.
    pub time: Option<Timestamp>,
    /// The time of day at which the answer was given: its own `Date` header, else the wall clock.
    pub date: Timestamp,
    /// When the answer came.
    pub seen: Moment,
    /// What was odd about the answer, for a person.
    pub doubt: Option<String>,
}

impl Sighting {
    pub fn key(&self) -> Key {
        Key { kind: self.kind, event_id: self.event_id.clone() }
    }
}

/// By when all must be done, and whether that is a guess because the announced time had passed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub at: Moment,
    /// The announced time had passed when the notice was first seen: nothing is waited for.
    pub overdue: bool,
}

/// The deadline that a sighting gives; `window` is how long a response may take where no time is told.
///
/// What is left is the notice's time less the `Date` of the same answer, so that a wrong wall clock does not matter,
/// and of a Spot interruption never more than [`SPOT_WINDOW`]. A time that has passed means that the power may go at
/// any moment or, as a frozen or resumed machine sees it, that nothing is known: then all is asked at once as if the
/// window were whole.
pub fn deadline(sighting: &Sighting, window: Duration) -> Deadline {
    let (window, longest) = match sighting.kind {
        Kind::SpotInterruption => (SPOT_WINDOW, SPOT_WINDOW),
        // Of an autoscaling termination EC2 tells no time, only who gives it by hand does.
        Kind::Maintenance | Kind::ByHand | Kind::AutoscalingTermination => (window, Duration::MAX),
        // What it tells is when it was given.
        Kind::RebalanceRecommendation => return Deadline { at: sighting.seen + window, overdue: false },
    };
    let Some(time) = sighting.time else {
        return Deadline { at: sighting.seen + window, overdue: false };
    };
    match time.later_than(sighting.date) {
        Some(left) => Deadline { at: sighting.seen + left.min(longest), overdue: false },
        None => Deadline { at: sighting.seen + window, overdue: true },
    }
}

/// What a person should know of the time that a notice gives, if anything.
pub fn doubt_about_time(sighting: &Sighting, deadline: Deadline) -> Option<String> {
    let time = sighting.time?;
    if deadline.overdue {
        let left = sighting.seen.until(deadline.at).as_secs();
        return Some(format!("its time {time} has passed; all pods are asked at once as if {left} s were left"));
    }
    let left = time.later_than(sighting.date)?;
    (sighting.kind == Kind::SpotInterruption && left > SPOT_WINDOW + Duration::from_secs(30))
        .then(|| format!("its time {time} is {} s ahead; no more than two minutes are counted on", left.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn date() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap()
    }

    fn seen() -> Moment {
        Moment::after_boot(Duration::from_secs(1000))
    }

    fn sighting(kind: Kind, time: Option<&str>) -> Sighting {
        let time = time.and_then(Timestamp::from_rfc3339);
        let action = InstanceAction::Terminate;
        Sighting { kind, action, event_id: None, time, date: date(), seen: seen(), doubt: None }
    }

    /// The kind, its time, how many seconds are left, and whether the time had passed.
    type Row = (Kind, Option<&'static str>, u64, bool);

    #[test]
    fn the_deadline_is_counted_from_the_date_of_the_answer() {
        let rows: [Row; 16] = [
            (Kind::SpotInterruption, Some("2026-11-22T20:35:31Z"), 108, false),
            (Kind::SpotInterruption, Some("2026-11-22T20:33:44Z"), 1, false),
            (Kind::SpotInterruption, Some("2026-11-22T20:33:43Z"), 120, true),
            (Kind::SpotInterruption, Some("2017-09-18T08:22:00Z"), 120, true),
            (Kind::SpotInterruption, Some("2026-11-22T23:33:43Z"), 120, false),
            (Kind::SpotInterruption, None, 120, false),
            (Kind::Maintenance, Some("2026-11-29T20:33:43Z"), 7 * 24 * 3600, false),
            (Kind::Maintenance, Some("2026-11-22T20:34:43Z"), 60, false),
            (Kind::Maintenance, Some("2026-11-22T20:33:00Z"), 600, true),
            (Kind::ByHand, Some("2026-11-22T20:53:43Z"), 1200, false),
            (Kind::ByHand, None, 600, false),
            (Kind::AutoscalingTermination, None, 600, false),
            (Kind::AutoscalingTermination, Some("2026-11-22T20:34:43Z"), 60, false),
            (Kind::AutoscalingTermination, Some("2026-11-22T20:33:00Z"), 600, true),
            (Kind::RebalanceRecommendation, Some("2026-11-22T20:33:00Z"), 600, false),
            (Kind::RebalanceRecommendation, Some("2026-11-22T21:33:00Z"), 600, false),
        ];
        for (kind, time, left, overdue) in rows {
            let expected = Deadline { at: seen() + Duration::from_secs(left), overdue };
            assert_eq!(deadline(&sighting(kind, time), WINDOW), expected, "{kind} {time:?}");
        }
    }

    #[test]
    fn a_time_that_has_passed_or_lies_far_ahead_is_doubted() {
        let doubts = |kind, time| {
            let sighting = sighting(kind, Some(time));
            doubt_about_time(&sighting, deadline(&sighting, WINDOW)).is_some()
        };
        assert!(doubts(Kind::SpotInterruption, "2026-11-22T20:33:43Z"));
        assert!(doubts(Kind::SpotInterruption, "2026-11-22T20:38:43Z"));
        assert!(!doubts(Kind::SpotInterruption, "2026-11-22T20:35:43Z"));
        assert!(!doubts(Kind::SpotInterruption, "2026-11-22T20:34:00Z"));
        assert!(!doubts(Kind::SpotInterruption, "2026-11-22T20:36:13Z"));
        assert!(doubts(Kind::SpotInterruption, "2026-11-22T20:36:13.001Z"));
        assert!(doubts(Kind::Maintenance, "2026-11-22T20:33:00Z"));
        assert!(!doubts(Kind::Maintenance, "2026-12-22T20:33:00Z"));
        assert!(!doubts(Kind::RebalanceRecommendation, "2026-11-22T20:33:00Z"));
    }

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_name(kind.name()), Some(kind));
        }
        assert_eq!(Kind::of_name("by hand"), None);
    }

    proptest! {
        #[test]
        fn every_spot_interruption_gives_a_deadline_within_two_minutes(time in "\\PC{0,40}") {
            let body = serde_json::json!({"action": "terminate", "time": time}).to_string();
            let read = read(Kind::SpotInterruption, Some(&body), date(), seen()).unwrap();
            let at = deadline(&read.there[0], WINDOW).at;
            prop_assert!(at > seen() && at <= seen() + SPOT_WINDOW);
        }
    }
}
