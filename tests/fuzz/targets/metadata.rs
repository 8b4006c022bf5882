//! What the metadata service says.

use std::time::Duration;

use spot_guard::imds::INSTANCE_ITEMS;
use spot_guard::instance::Instance;
use spot_guard::moment::{Moment, Timestamp};
use spot_guard::notice::{Kind, SPOT_WINDOW, deadline, doubt_about_time, read};

use super::assert_message;
use super::times::assert_read_back;

/// The body of `spot/instance-action`: any JSON object is a notice, and its deadline is near.
pub fn instance_action(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let date = Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap();
    let seen = Moment::after_boot(Duration::from_secs(1000));
    match read(Kind::SpotInterruption, Some(body), date, seen) {
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
