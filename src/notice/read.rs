//! Reads what the metadata service says of each kind of notice.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{InstanceAction, Key, Kind, Sighting};
use crate::moment::{Moment, Timestamp};

/// What one good answer about a kind of notice says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The notices of that kind that stand.
    pub there: Vec<Sighting>,
    /// Those that are said to be taken back: cancelled events, a termination that is none any more.
    pub taken_back: Vec<Key>,
    /// Events that are said to have been done.
    pub completed: Vec<Key>,
    /// What could not be read beside these, for a person.
    pub doubt: Option<String>,
}

/// Why a body says nothing of notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    kind: Kind,
    body: String,
    due: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unreadable { kind, body, due } = self;
        write!(
            f,
            "cannot read whether there is a {kind}: the metadata service answered {body:?} where {due} is due; \
             asked again"
        )
    }
}

impl std::error::Error for Unreadable {}

/// Reads what the metadata service answered about a kind of notice: `None` where the item is absent. `date` is the time
/// of day at which it did so, `seen` the moment at which it was asked.
///
/// # Errors
/// When the body is none of those that this item has.
pub fn read(kind: Kind, body: Option<&str>, date: Timestamp, seen: Moment) -> Result<Reading, Unreadable> {
    let Some(body) = body else { return Ok(Reading::default()) };
    let blank = Sighting { kind, action: InstanceAction::None, event_id: None, time: None, date, seen, doubt: None };
    let unreadable = |due| Unreadable { kind, body: body.chars().take(80).collect(), due };
    match kind {
        Kind::SpotInterruption => instance_action(body, blank).ok_or_else(|| unreadable("a JSON object")),
        Kind::RebalanceRecommendation => {
            rebalance(body, blank).ok_or_else(|| unreadable("a JSON object with a noticeTime"))
        }
        Kind::Maintenance => scheduled(body, &blank).ok_or_else(|| unreadable("a JSON array")),
        Kind::AutoscalingTermination => lifecycle_state(body, blank).ok_or_else(|| unreadable("a lifecycle state")),
        // The metadata service has nothing of the kind.
        Kind::ByHand => Ok(Reading::default()),
    }
}

fn one(sighting: Sighting) -> Reading {
    Reading { there: vec![sighting], ..Reading::default() }
}

/// `meta-data/spot/instance-action`:
/// `{"action":"terminate","time":"2017-09-18T08:22:00Z"}` (EC2 User Guide, "Spot Instance interruption notices").
///
/// Any JSON object counts as a notice: an action or a time that cannot be read is a doubt, not a reason to wait for
/// the power cut. Anything else (an error page, say) does not.
fn instance_action(body: &str, blank: Sighting) -> Option<Reading> {
    let object: Map<String, Value> = serde_json::from_str(body).ok()?;
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
    Some(one(Sighting { action, time, doubt, ..blank }))
}

/// `meta-data/events/recommendations/rebalance`: `{"noticeTime":"2020-10-27T08:22:00Z"}` (EC2 User Guide, "EC2 instance
/// rebalance recommendations").
fn rebalance(body: &str, blank: Sighting) -> Option<Reading> {
    let object: Map<String, Value> = serde_json::from_str(body).ok()?;
    let time = Timestamp::from_rfc3339(object.get("noticeTime")?.as_str()?)?;
    Some(one(Sighting { time: Some(time), ..blank }))
}

/// An element of `meta-data/events/maintenance/scheduled` (EC2 User Guide, "View scheduled events").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScheduledEvent {
    event_id: String,
    code: String,
    state: String,
    not_before: String,
}

/// `meta-data/events/maintenance/scheduled`: an array, empty where nothing is scheduled. An event that cannot be read
/// takes none of the others along. The nearest comes first, so that no response begins with a later one.
fn scheduled(body: &str, blank: &Sighting) -> Option<Reading> {
    let events: Vec<Value> = serde_json::from_str(body).ok()?;
    let mut reading = Reading::default();
    for event in events {
        let shown = shortened(&event.to_string());
        if scheduled_event(event, blank, &mut reading).is_none() {
            reading.doubt = Some(format!("a scheduled event cannot be read and is left out: {shown:?}"));
        }
    }
    reading.there.sort_by_key(|sighting| sighting.time);
    Some(reading)
}

fn scheduled_event(event: Value, blank: &Sighting, reading: &mut Reading) -> Option<()> {
    let event: ScheduledEvent =
        serde_json::from_value(event).ok().filter(|e: &ScheduledEvent| is_event_id(&e.event_id))?;
    let event_id = Some(event.event_id);
    match event.state.as_str() {
        "canceled" => reading.taken_back.push(Key { kind: blank.kind, event_id }),
        "completed" => reading.completed.push(Key { kind: blank.kind, event_id }),
        "active" => {
            let action = match event.code.as_str() {
                "instance-stop" => InstanceAction::Stop,
                "instance-reboot" | "system-reboot" => InstanceAction::Reboot,
                "instance-retirement" => InstanceAction::Retire,
                "system-maintenance" => InstanceAction::Maintain,
                _ => return None,
            };
            // `21 Jan 2019 09:00:43 GMT`: the time of an HTTP header, without the day of the week.
            let time = Some(Timestamp::from_http_date(&event.not_before)?);
            reading.there.push(Sighting { action, event_id, time, ..blank.clone() });
        }
        _ => return None,
    }
    Some(())
}

/// `instance-event-0d59937288b749b32`. It goes into records, lines of the log and hooks' environment: nothing long, and
/// nothing that steers a terminal.
fn is_event_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `meta-data/autoscaling/target-lifecycle-state` (Amazon EC2 Auto Scaling User Guide, "Retrieve the target lifecycle
/// state through instance metadata"): only `Terminated` is a notice, and only `InService` takes one back. A warm pool's
/// `Warmed:Terminated` is none, as nothing runs there yet.
fn lifecycle_state(body: &str, blank: Sighting) -> Option<Reading> {
    match body.trim() {
        "Terminated" => Some(one(Sighting { action: InstanceAction::Terminate, ..blank })),
        "InService" => Some(Reading { taken_back: vec![blank.key()], ..Reading::default() }),
        state => is_word(state).then(Reading::default),
    }
}

/// `Standby`, `Warmed:Hibernated`, and whatever states may be added.
fn is_word(state: &str) -> bool {
    (1..=40).contains(&state.len()) && state.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b':')
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn date() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap()
    }

    fn seen() -> Moment {
        Moment::after_boot(Duration::from_secs(1000))
    }

    fn reading(kind: Kind, body: &str) -> Result<Reading, Unreadable> {
        read(kind, Some(body), date(), seen())
    }

    /// Action, event, time and whether there is a doubt, of all that stand.
    type Seen = Vec<(InstanceAction, Option<String>, Option<String>, bool)>;

    fn there(kind: Kind, body: &str) -> Seen {
        let read = reading(kind, body).unwrap();
        let of = |s: Sighting| (s.action, s.event_id, s.time.map(|time| time.to_string()), s.doubt.is_some());
        read.there.into_iter().map(of).collect()
    }

    #[test]
    fn an_absent_item_is_no_notice() {
        for kind in Kind::ALL {
            assert_eq!(read(kind, None, date(), seen()), Ok(Reading::default()));
        }
    }

    #[test]
    fn each_action_of_a_spot_interruption_is_read() {
        for (word, action) in [
            ("terminate", InstanceAction::Terminate),
            ("stop", InstanceAction::Stop),
            ("hibernate", InstanceAction::Hibernate),
        ] {
            let body = format!(r#"{{"action":"{word}","time":"2017-09-18T08:22:00Z"}}"#);
            let time = Some("2017-09-18T08:22:00.000Z".to_owned());
            assert_eq!(there(Kind::SpotInterruption, &body), [(action, None, time, false)]);
        }
    }

    #[test]
    fn a_strange_object_is_a_spot_interruption_with_a_doubt() {
        for body in [
            r#"{}"#,
            r#"{"action":"vanish","time":"2026-11-22T20:35:43Z"}"#,
            r#"{"action":"stop","time":"soon"}"#,
            r#"{"action":7,"time":null}"#,
        ] {
            let seen = there(Kind::SpotInterruption, body);
            assert!(seen.len() == 1 && seen[0].3, "{body}");
        }
    }

    #[test]
    fn what_is_odd_is_told_in_a_few_words() {
        let long = "x".repeat(50);
        let body = format!(r#"{{"action":"{long}","time":"{long}"}}"#);
        let doubt = reading(Kind::SpotInterruption, &body).unwrap().there[0].doubt.clone().unwrap();
        let short = "x".repeat(40);
        let action = format!("its action \"{short}\" is unknown and taken as terminate");
        assert_eq!(doubt, format!("{action}; its time \"{short}\" cannot be read, two minutes are assumed"));
        let error = reading(Kind::SpotInterruption, "<html>").unwrap_err().to_string();
        assert!(error.contains("answered \"<html>\" where a JSON object is due"), "{error}");
    }

    #[test]
    fn a_rebalance_recommendation_tells_when_it_was_given() {
        let time = Some("2020-10-27T08:22:00.000Z".to_owned());
        let body = r#"{"noticeTime":"2020-10-27T08:22:00Z"}"#;
        assert_eq!(there(Kind::RebalanceRecommendation, body), [(InstanceAction::None, None, time, false)]);
    }

    /// As in the EC2 User Guide, but for the code and the state.
    fn event(code: &str, state: &str) -> String {
        format!(
            r#"{{"NotBefore":"21 Jan 2019 09:00:43 GMT","Code":"{code}","Description":"scheduled reboot",
                "EventId":"instance-event-0d59937288b749b32","NotAfter":"21 Jan 2019 09:17:23 GMT","State":"{state}"}}"#
        )
    }

    #[test]
    fn each_code_of_a_scheduled_event_is_read() {
        for (code, action) in [
            ("instance-stop", InstanceAction::Stop),
            ("instance-reboot", InstanceAction::Reboot),
            ("system-reboot", InstanceAction::Reboot),
            ("instance-retirement", InstanceAction::Retire),
            ("system-maintenance", InstanceAction::Maintain),
        ] {
            let id = Some("instance-event-0d59937288b749b32".to_owned());
            let time = Some("2019-01-21T09:00:43.000Z".to_owned());
            let body = format!("[{}]", event(code, "active"));
            assert_eq!(there(Kind::Maintenance, &body), [(action, id, time, false)]);
        }
        assert_eq!(reading(Kind::Maintenance, "[]"), Ok(Reading::default()));
    }

    #[test]
    fn an_event_that_is_cancelled_or_completed_is_over() {
        let read = |state| reading(Kind::Maintenance, &format!("[{}]", event("system-reboot", state))).unwrap();
        let id = "instance-event-0d59937288b749b32".to_owned();
        let key = Key { kind: Kind::Maintenance, event_id: Some(id) };
        assert_eq!(read("canceled"), Reading { taken_back: vec![key.clone()], ..Reading::default() });
        assert_eq!(read("completed"), Reading { completed: vec![key], ..Reading::default() });
    }

    #[test]
    fn a_scheduled_event_that_cannot_be_read_takes_no_other_along() {
        let renamed = |id: &str| event("system-reboot", "active").replace("instance-event-0d59937288b749b32", id);
        for odd in [
            "7",
            "{}",
            &event("system-dance", "active"),
            &event("system-reboot", "perhaps"),
            &renamed(""),
            &renamed("two\\nlines"),
            &renamed(&"x".repeat(101)),
        ] {
            let body = format!("[{odd},{}]", event("system-reboot", "active"));
            let read = reading(Kind::Maintenance, &body).unwrap();
            assert!(read.there.len() == 1 && read.doubt.is_some(), "{odd}");
        }
    }

    #[test]
    fn of_several_scheduled_events_the_nearest_comes_first() {
        let later = event("system-reboot", "active").replace("21 Jan", "22 Jan");
        let body = format!("[{later},{},{later}]", event("instance-stop", "active"));
        let actions: Vec<InstanceAction> = there(Kind::Maintenance, &body).into_iter().map(|seen| seen.0).collect();
        assert_eq!(actions, [InstanceAction::Stop, InstanceAction::Reboot, InstanceAction::Reboot]);
    }

    #[test]
    fn only_the_target_terminated_is_a_termination_and_only_in_service_takes_it_back() {
        let kind = Kind::AutoscalingTermination;
        assert_eq!(there(kind, "Terminated\n"), [(InstanceAction::Terminate, None, None, false)]);
        assert_eq!(reading(kind, "InService").unwrap().taken_back, [Key { kind, event_id: None }]);
        for state in ["Standby", "Detached", "Warmed:Stopped", "Warmed:Terminated", "Pending:Wait"] {
            assert_eq!(reading(kind, state), Ok(Reading::default()), "{state}");
        }
    }

    #[test]
    fn what_is_no_body_of_the_item_is_no_notice() {
        let page = "<html><body>503 Service Unavailable</body></html>";
        for (kind, bodies) in [
            (Kind::SpotInterruption, &["", "null", "[]", page, "\"terminate\"", "{\"action\":\"terminate\""][..]),
            (Kind::RebalanceRecommendation, &["", "null", "[]", page, "{}", "{\"noticeTime\":\"soon\"}"]),
            (Kind::Maintenance, &["", "null", "{}", page, "[{}", "\"[]\""]),
            (Kind::AutoscalingTermination, &["", page, "{\"state\":\"Terminated\"}", "Terminated InService"]),
        ] {
            for body in bodies {
                assert!(reading(kind, body).is_err(), "{kind} {body}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_body_panics_and_what_is_told_of_it_is_short(body in ".{0,200}") {
            for kind in Kind::ALL {
                if let Err(error) = reading(kind, &body) {
                    prop_assert!(error.to_string().len() < 2000);
                }
            }
        }
    }
}
