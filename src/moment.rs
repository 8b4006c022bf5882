//! Moments, deadlines and the clocks they come from.
//!
//! Knows the two clocks of the machine and how to turn one into the other. Nothing here waits.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{OffsetDateTime, UtcOffset};

/// A point on CLOCK_BOOTTIME, in whole milliseconds since the machine was booted.
///
/// That clock goes on while the machine sleeps and is not moved when somebody sets the wall clock, so a deadline
/// stands whatever happens to the time of day. Milliseconds, because that is what the record keeps: a moment that was
/// written out and read back is the same moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// Never comes.
    pub const NEVER: Moment = Moment(u64::MAX);

    /// The present moment.
    pub fn now() -> Moment {
        // CLOCK_BOOTTIME exists on every kernel since 2.6.39 and the call has no other way to fail.
        clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Moment(0), |time| Moment::after_boot(Duration::from(time)))
    }

    /// The moment that lies `uptime` after the machine was booted, cut to whole milliseconds.
    pub fn after_boot(uptime: Duration) -> Moment {
        Moment(milliseconds(uptime))
    }

    /// How long after boot this is.
    pub fn uptime(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// How long it is from here until `later`; nothing if that has passed.
    pub fn until(self, later: Moment) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }

    /// How long it has been since `earlier`; nothing if that is still to come.
    pub fn since(self, earlier: Moment) -> Duration {
        earlier.until(self)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(milliseconds(time)))
    }
}

/// Stops at boot: there is no moment before it.
impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, time: Duration) -> Moment {
        Moment(self.0.saturating_sub(milliseconds(time)))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1000, self.0 % 1000)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long the machine has slept (been suspended or hibernated) since it was booted: CLOCK_BOOTTIME counts that time,
/// CLOCK_MONOTONIC does not (`clock_gettime(2)`).
pub fn slept() -> Duration {
    let awake = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::MAX, Duration::from);
    Moment::now().uptime().saturating_sub(awake)
}

/// A time of day on the wall clock, in whole milliseconds since 1970 (negative before it), written as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// What the wall clock says now. It may be wrong.
    pub fn now() -> Timestamp {
        Timestamp::from(SystemTime::now())
    }

    /// Reads RFC 3339 (`2017-09-18T08:22:00Z`, any offset); none that could not be written in UTC.
    pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
        Timestamp::of_calendar(OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?)
    }

    /// Reads the time of an HTTP `Date` header (RFC 9110, section 5.6.7: `Tue, 15 Nov 1994 08:12:31 GMT`).
    pub fn from_http_date(text: &str) -> Option<Timestamp> {
        Timestamp::of_calendar(OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?)
    }

    /// In UTC the year has four digits too: an offset can lead out of them.
    fn of_calendar(time: OffsetDateTime) -> Option<Timestamp> {
        let year = time.checked_to_offset(UtcOffset::UTC)?.year();
        (0..=9999).contains(&year).then(|| Timestamp::from(time))
    }

    /// How much later this is than `earlier`; `None` if it is not later.
    pub fn later_than(self, earlier: Timestamp) -> Option<Duration> {
        let difference = self.0.checked_sub(earlier.0)?;
        u64::try_from(difference).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    /// Whole seconds since 1970, as the metrics and file names want them.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Stops at the end of the calendar's four-digit years, or further on where it begins there.
impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, time: Duration) -> Timestamp {
        const LAST: i64 = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(time).min(LAST.max(self.0)))
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Timestamp {
        Timestamp(i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => Timestamp(-i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

/// RFC 3339 in UTC with milliseconds. A time that no calendar of four-digit years has shows as 1970.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = t.to_calendar_date();
        let (hour, minute, second, ms) = t.to_hms_milli();
        write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z", u8::from(month))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Timestamp::from_rfc3339(&text).ok_or_else(|| serde::de::Error::custom("not a time in RFC 3339"))
    }
}

/// Both clocks read at one moment: what turns moments into times of day and back for as long as the machine stays up.
///
/// A response keeps the one of its first sight, so that its times stay true to each other when the wall clock is set
/// in the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The kernel's random id of this boot (`/proc/sys/kernel/random/boot_id`): moments of another boot mean nothing.
    pub boot_id: String,
    /// The moment at which the wall clock was read.
    pub boottime: Moment,
    /// What the wall clock said at that moment.
    pub wall: Timestamp,
}

impl Clock {
    /// Reads both clocks and the boot id.
    pub fn read() -> Clock {
        // Without /proc there is no boot id; then no response is ever taken up again, which is the safe side.
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Clock { boot_id: boot_id.trim().to_owned(), boottime: Moment::now(), wall: Timestamp::now() }
    }

    /// The time of day at `moment`.
    pub fn timestamp(&self, moment: Moment) -> Timestamp {
        let ahead = i64::try_from(moment.0)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(self.boottime.0).unwrap_or(i64::MAX));
        Timestamp(self.wall.0.saturating_add(ahead))
    }

    /// The moment at which the time of day was `timestamp`; boot itself for what lies before it.
    pub fn moment(&self, timestamp: Timestamp) -> Moment {
        let ahead = timestamp.0.saturating_sub(self.wall.0);
        let since_boot = i64::try_from(self.boottime.0).unwrap_or(i64::MAX).saturating_add(ahead);
        Moment(u64::try_from(since_boot).unwrap_or(0))
    }
}

/// Durations as the record writes them: seconds, to the millisecond.
pub mod seconds {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(to_seconds(*time))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(from_seconds(f64::deserialize(deserializer)?))
    }
}

/// The same where there may be none.
pub mod optional_seconds {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(to_seconds).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(<Option<f64>>::deserialize(deserializer)?.map(from_seconds))
    }
}

/// The same by name.
pub mod named_seconds {
    use super::*;
    use std::collections::BTreeMap;

    pub fn serialize<S: Serializer>(times: &BTreeMap<String, Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(times.iter().map(|(name, time)| (name, to_seconds(*time))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Duration>, D::Error> {
        let times = <BTreeMap<String, f64>>::deserialize(deserializer)?;
        Ok(times.into_iter().map(|(name, time)| (name, from_seconds(time))).collect())
    }
}

/// Seconds as a number with a fraction.
pub fn to_seconds(time: Duration) -> f64 {
    milliseconds(time) as f64 / 1000.0
}

/// The other way, to the nearest millisecond; nothing for what is no duration.
pub fn from_seconds(seconds: f64) -> Duration {
    // A cast of what is negative, too large or no number stops at the bounds.
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock {
            boot_id: "b".into(),
            boottime: Moment::after_boot(Duration::from_secs(100)),
            wall: Timestamp::from_rfc3339("2026-11-22T20:33:43.250Z").unwrap(),
        }
    }

    #[test]
    fn a_moment_written_as_a_time_of_day_reads_back_as_the_same_moment() {
        for ms in [0, 1, 99_999, 100_000, 100_001, 86_400_000] {
            let moment = Moment::after_boot(Duration::from_millis(ms));
            let written = clock().timestamp(moment).to_string();
            assert_eq!(clock().moment(Timestamp::from_rfc3339(&written).unwrap()), moment, "{written}");
        }
    }

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(
            Timestamp::from_rfc3339("2026-11-22T22:33:43.25+02:00").unwrap().to_string(),
            "2026-11-22T20:33:43.250Z"
        );
    }

    #[test]
    fn a_time_that_could_not_be_written_in_utc_is_none() {
        for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z"] {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
        for text in ["9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00.000Z", "1969-12-31T23:59:59.001Z"] {
            assert_eq!(Timestamp::from_rfc3339(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_time_of_day_and_a_while_is_a_time_that_can_be_written() {
        let time = |text| Timestamp::from_rfc3339(text).unwrap();
        assert_eq!(time("2026-11-22T23:59:00Z") + Duration::from_millis(60_001), time("2026-11-23T00:00:00.001Z"));
        assert_eq!(time("2026-11-22T23:59:00Z") + Duration::MAX, time("9999-12-31T23:59:59.999Z"));
    }

    #[test]
    fn the_date_header_of_http_is_read() {
        let date = Timestamp::from_http_date("Tue, 15 Nov 1994 08:12:31 GMT").unwrap();
        assert_eq!(date, Timestamp::from_rfc3339("1994-11-15T08:12:31Z").unwrap());
        assert_eq!(Timestamp::from_http_date("yesterday"), None);
    }

    #[test]
    fn times_before_1970_are_negative_and_seconds_are_rounded_down() {
        for (text, seconds) in [("1970-01-01T00:00:01.999Z", 1), ("1969-12-31T23:59:59.001Z", -1)] {
            assert_eq!(Timestamp::from_rfc3339(text).unwrap().unix_seconds(), seconds);
        }
        let before = Timestamp::from(UNIX_EPOCH - Duration::from_millis(999));
        assert_eq!(before.to_string(), "1969-12-31T23:59:59.001Z");
    }

    #[test]
    fn moments_and_times_are_shown_to_the_millisecond() {
        assert_eq!(format!("{:?} {:?}", Moment(61_007), clock().wall), "61.007s 2026-11-22T20:33:43.250Z");
    }

    #[test]
    fn the_present_moment_lies_between_two_looks_at_how_long_the_machine_is_up() {
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            Duration::from_secs_f64(text.split(' ').next().unwrap().parse().unwrap())
        };
        // The file has hundredths of a second, cut.
        let (before, now, after) = (uptime(), Moment::now().uptime(), uptime());
        assert!(before <= now + Duration::from_millis(1) && now <= after + Duration::from_millis(11));
    }

    #[test]
    fn moments_do_not_wrap() {
        assert_eq!(Moment::after_boot(Duration::MAX) + Duration::MAX, Moment(u64::MAX));
        assert_eq!(Moment(5) - Duration::from_secs(1), Moment(0));
        assert_eq!(Moment(5).until(Moment(3)), Duration::ZERO);
    }
}
