//! Notices: what the metadata service says of a Spot interruption, and by when all must be done.
//!
//! Knows the shape of the metadata service's answers. Knows nothing of HTTP, and of time only what it is given.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::{Moment, Timestamp};

/// EC2 announces a Spot interruption two minutes ahead, best effort
/// (EC2 User Guide, "Spot Instance interruption notices"). Nothing is ever planned further ahead than this.
pub const SPOT_WINDOW: Duration = Duration::from_secs(120);

/// What kind of notice it is; each kind has settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    SpotInterruption,
}

impl Kind {
    /// The kind's name in settings, records and the hooks' environment.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SpotInterruption => "spot-interruption",
        }
    }
}

/// Two words for a person.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::SpotInterruption => f.write_str("spot interruption"),
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
}

impl InstanceAction {
    pub fn name(self) -> &'static str {
        match self {
            InstanceAction::Terminate => "terminate",
            InstanceAction::Stop => "stop",
            InstanceAction::Hibernate => "hibernate",
        }
    }
}

/// A notice as it was read in one answer of the metadata service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub kind: Kind,
    pub action: InstanceAction,
    /// When EC2 says it will act; `None` if it could not be read.
    pub time: Option<Timestamp>,
    /// The time of day at which the answer was given: its own `Date` header, else the wall clock.
    pub date: Timestamp,
    /// When the answer came.
    pub seen: Moment,
    /// What was odd about the answer, for a person.
    pub doubt: Option<String>,
}

/// Why the body of `spot/instance-action` is no notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    body: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot read spot/instance-action: the metadata service answered {:?} where a JSON object is due; asked again",
            self.body
        )
    }
}

impl std::error::Error for Unreadable {}

/// Reads the body of `meta-data/spot/instance-action`:
/// `{"action":"terminate","time":"2017-09-18T08:22:00Z"}` (EC2 User Guide, "Spot Instance interruption notices").
///
/// Any JSON object counts as a notice: an action or a time that cannot be read is a doubt, not a reason to wait for
/// the power cut. Anything else (an error page, say) does not.
///
/// # Errors
/// When the body is not a JSON object.
pub fn read_instance_action(body: &str, date: Timestamp, seen: Moment) -> Result<Sighting, Unreadable> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(body).map_err(|_| Unreadable { body: body.chars().take(80).collect() })?;
    let text = |key: &str| object.get(key).and_then(|value| value.as_str()).unwrap_or("");
    let mut doubts = Vec::new();
    let action = match text("action") {
        "terminate" => InstanceAction::Terminate,
        "stop" => InstanceAction::Stop,
        "hibernate" => InstanceAction::Hibernate,
        other => {
            doubts.push(format!("its action {:?} is unknown and taken as terminate", shortened(other)));
            InstanceAction::Terminate
        }
    };
    let time = Timestamp::from_rfc3339(text("time"));
    if time.is_none() {
        doubts.push(format!("its time {:?} cannot be read, two minutes are assumed", shortened(text("time"))));
    }
    let doubt = (!doubts.is_empty()).then(|| doubts.join("; "));
    Ok(Sighting { kind: Kind::SpotInterruption, action, time, date, seen, doubt })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// By when all must be done, and whether that is a guess because the announced time had passed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub at: Moment,
    /// The announced time had passed when the notice was first seen: nothing is waited for.
    pub overdue: bool,
}

/// The deadline that a sighting gives.
///
/// What is left is the notice's time less the `Date` of the same answer, so that a wrong wall clock does not matter,
/// and never more than [`SPOT_WINDOW`]. A time that has passed means that the power may go at any moment or, as a
/// frozen or resumed machine sees it, that nothing is known: then all is asked at once as if the window were whole.
pub fn deadline(sighting: &Sighting) -> Deadline {
    let Some(time) = sighting.time else {
        return Deadline { at: sighting.seen + SPOT_WINDOW, overdue: false };
    };
    match time.later_than(sighting.date) {
        Some(left) => Deadline { at: sighting.seen + left.min(SPOT_WINDOW), overdue: false },
        None => Deadline { at: sighting.seen + SPOT_WINDOW, overdue: true },
    }
}

/// What a person should know of the time that a notice gives, if anything.
pub fn doubt_about_time(sighting: &Sighting) -> Option<String> {
    let time = sighting.time?;
    match time.later_than(sighting.date) {
        None => Some(format!("its time {time} has passed; all pods are asked at once as if two minutes were left")),
        Some(left) if left > SPOT_WINDOW + Duration::from_secs(30) => {
            Some(format!("its time {time} is {} s ahead; no more than two minutes are counted on", left.as_secs()))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap()
    }

    fn seen() -> Moment {
        Moment::after_boot(Duration::from_secs(1000))
    }

    fn read(body: &str) -> Result<Sighting, Unreadable> {
        read_instance_action(body, date(), seen())
    }

    #[test]
    fn each_action_is_read() {
        for (word, action) in [
            ("terminate", InstanceAction::Terminate),
            ("stop", InstanceAction::Stop),
            ("hibernate", InstanceAction::Hibernate),
        ] {
            let sighting = read(&format!(r#"{{"action":"{word}","time":"2026-11-22T20:35:43Z"}}"#)).unwrap();
            assert_eq!((sighting.action, sighting.doubt.as_deref()), (action, None));
            assert_eq!(deadline(&sighting), Deadline { at: seen() + SPOT_WINDOW, overdue: false });
        }
    }

    #[test]
    fn a_strange_object_is_a_notice_with_a_doubt_and_two_minutes() {
        for body in [
            r#"{}"#,
            r#"{"action":"vanish","time":"2026-11-22T20:35:43Z"}"#,
            r#"{"action":"stop","time":"soon"}"#,
            r#"{"action":7,"time":null}"#,
        ] {
            let sighting = read(body).unwrap();
            assert!(sighting.doubt.is_some(), "{body}");
            assert_eq!(deadline(&sighting).at, seen() + SPOT_WINDOW, "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_notice() {
        for body in ["", "null", "[]", "<html>503</html>", "\"terminate\"", "{\"action\":\"terminate\""] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn the_deadline_is_counted_from_the_date_of_the_answer() {
        for (time, left, overdue) in [
            ("2026-11-22T20:35:31Z", 108, false),
            ("2026-11-22T20:33:44Z", 1, false),
            ("2026-11-22T20:33:43Z", 120, true),
            ("2026-11-22T20:33:00Z", 120, true),
            ("2017-09-18T08:22:00Z", 120, true),
            ("2026-11-22T23:33:43Z", 120, false),
        ] {
            let sighting = read(&format!(r#"{{"action":"terminate","time":"{time}"}}"#)).unwrap();
            let expected = Deadline { at: seen() + Duration::from_secs(left), overdue };
            assert_eq!(deadline(&sighting), expected, "{time}");
        }
    }

    #[test]
    fn a_time_that_has_passed_or_lies_far_ahead_is_doubted() {
        let doubt = |time: &str| {
            doubt_about_time(&read(&format!(r#"{{"action":"terminate","time":"{time}"}}"#)).unwrap()).is_some()
        };
        assert!(doubt("2026-11-22T20:33:43Z"));
        assert!(doubt("2026-11-22T20:38:43Z"));
        assert!(!doubt("2026-11-22T20:35:43Z"));
        assert!(!doubt("2026-11-22T20:34:00Z"));
    }

    proptest! {
        #[test]
        fn no_body_panics_and_every_notice_gives_a_deadline_within_two_minutes(body in ".{0,200}", time in "\\PC{0,40}") {
            let _ = read(&body);
            let body = serde_json::json!({"action": "terminate", "time": time}).to_string();
            let at = deadline(&read(&body).unwrap()).at;
            prop_assert!(at > seen() && at <= seen() + SPOT_WINDOW);
        }
    }
}
