//! Times of day.

use spot_guard::moment::Timestamp;

/// RFC 3339 as notices, certificates and records have it, and the `Date` header of HTTP.
pub fn time_of_day(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    Timestamp::from_rfc3339(text).into_iter().chain(Timestamp::from_http_date(text)).for_each(assert_read_back);
}

/// What was read is written so that it is read as the same.
pub fn assert_read_back(time: Timestamp) {
    assert_eq!(Timestamp::from_rfc3339(&time.to_string()), Some(time), "{time}");
    assert_eq!(time.later_than(time), None);
}
