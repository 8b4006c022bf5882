//! What comes over the control socket.

use std::time::Duration;

use spot_guard::control::{self, Request};
use spot_guard::moment::{Moment, Timestamp};
use spot_guard::notice;

use super::assert_message;

const WINDOW: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A request; a drain gives a deadline within a day, or is told to make no sense.
pub fn request(data: &[u8]) {
    let request = match control::read(data) {
        Ok(request) => request,
        Err(why) => return assert_message(&why),
    };
    assert_eq!(control::read(&serde_json::to_vec(&request).unwrap()), Ok(request.clone()));
    let Request::Drain(drain) = request else { return };
    assert_message(&drain.told());
    let date = Timestamp::from_rfc3339("2026-11-22T20:33:43Z").unwrap();
    let seen = Moment::after_boot(WINDOW);
    match drain.sighting(WINDOW, date, seen) {
        Ok(sighting) => {
            let deadline = notice::deadline(&sighting, WINDOW).at;
            assert!(deadline > seen && deadline <= seen + DAY, "{deadline:?}");
        }
        Err(wrong) => assert_message(&wrong.to_string()),
    }
}
