//! What the metadata service says.

use std::time::Duration;

use spot_guard::imds::INSTANCE_ITEMS;
use spot_guard::instance::Instance;
use spot_guard::moment::{Moment, Timestamp};
use spot_guard::notice::{InstanceAction, Kind, Reading, SPOT_WINDOW, Sighting, deadline, doubt_about_time, read};

use super::assert_message;
use super::times::assert_read_back;

fn date() -> Timestamp {
    Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap()
}

fn seen() -> Moment {
    Moment::after_boot(Duration::from_secs(1000))
}

/// The body of `spot/instance-action`: any JSON object is a notice, and its deadline is near.
pub fn instance_action(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let seen = seen();
    match read(Kind::SpotInterruption, Some(body), date(), seen) {
        Ok(reading) => {
            let [sighting] = reading.there.try_into().unwrap();
            let deadline = deadline(&sighting, SPOT_WINDOW);
            assert!(deadline.at > seen && deadline.at <= seen + SPOT_WINDOW);
            assert_eq!(
                sighting.time.is_none(),
                sighting.doubt.as_ref().is_some_and(|doubt| doubt.contains("its time"))
            );
            sighting
                .doubt
                .iter()
                .cloned()
                .chain(doubt_about_time(&sighting, deadline))
                .for_each(|doubt| assert_message(&doubt));
            sighting.time.into_iter().for_each(assert_read_back);
        }
        Err(error) => {
            assert_message(&error.to_string());
            assert!(!serde_json::from_str::<serde_json::Value>(body).is_ok_and(|value| value.is_object()));
        }
    }
}

/// What a body says of another kind of notice, if anything, and what is true of all of them.
fn reading(kind: Kind, body: &str) -> Option<Reading> {
    match read(kind, Some(body), date(), seen()) {
        Ok(reading) => {
            reading.doubt.iter().for_each(|doubt| assert_message(doubt));
            reading.there.iter().for_each(|sighting| assert_sighting(kind, sighting));
            reading.taken_back.iter().chain(&reading.completed).for_each(|key| assert!(key.kind == kind));
            Some(reading)
        }
        Err(error) => {
            assert_message(&error.to_string());
            None
        }
    }
}

fn assert_sighting(kind: Kind, sighting: &Sighting) {
    assert!(sighting.kind == kind && sighting.date == date() && sighting.seen == seen());
    let deadline = deadline(sighting, SPOT_WINDOW);
    assert!(deadline.at > seen());
    doubt_about_time(sighting, deadline).iter().for_each(|doubt| assert_message(doubt));
    sighting.time.into_iter().for_each(assert_read_back);
    // It goes into records, lines of the log and hooks' environment.
    if let Some(id) = &sighting.event_id {
        assert!((1..=100).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
    }
}

/// The body of `events/recommendations/rebalance`: one recommendation with a time, or nothing.
pub fn rebalance(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let Some(reading) = reading(Kind::RebalanceRecommendation, body) else { return };
    let [sighting] = reading.there.try_into().unwrap();
    assert!(sighting.time.is_some() && sighting.action == InstanceAction::None && sighting.event_id.is_none());
    assert!(reading.taken_back.is_empty() && reading.completed.is_empty() && reading.doubt.is_none());
}

/// The body of `events/maintenance/scheduled`: each event stands, is over, or is told to be odd.
pub fn scheduled_events(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let events = serde_json::from_str::<Vec<serde_json::Value>>(body).ok();
    let reading = reading(Kind::Maintenance, body);
    assert_eq!(events.is_some(), reading.is_some());
    let (Some(events), Some(Reading { there, taken_back, completed, doubt })) = (events, reading) else { return };
    let read = there.len() + taken_back.len() + completed.len();
    assert!(read <= events.len());
    assert_eq!(doubt.is_some(), read < events.len());
    assert!(there.iter().all(|sighting| sighting.time.is_some() && sighting.event_id.is_some()));
}

/// The body of `autoscaling/target-lifecycle-state`: one state is a termination, one takes it back.
pub fn lifecycle_state(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let Some(reading) = reading(Kind::AutoscalingTermination, body) else { return };
    assert_eq!(reading.there.len(), usize::from(body.trim() == "Terminated"));
    assert_eq!(reading.taken_back.len(), usize::from(body.trim() == "InService"));
    assert_eq!(reading.doubt, None);
}

/// What the service says of the instance: whatever stands there, what is told goes into a hook's environment.
pub fn instance(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let mut instance = Instance::default();
    INSTANCE_ITEMS.iter().for_each(|(_, read)| read(&mut instance, body));
    let Instance { id, kind, availability_zone, region, life_cycle } = &instance;
    for told in [id, kind, availability_zone, region, life_cycle].into_iter().flatten() {
        assert!((1..=64).contains(&told.len()) && told.bytes().all(|byte| byte.is_ascii_graphic()), "{told:?}");
    }
    let written = serde_json::to_vec(&instance).unwrap();
    assert_eq!(serde_json::from_slice::<Instance>(&written).unwrap(), instance);
}
