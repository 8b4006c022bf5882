//! Lengths of time as they are written in settings: `200ms`, `30s`, `1m30s`, `2h`, `0s`.

use std::fmt;
use std::time::Duration;

/// The units, longest first, with their milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a length of time: whole numbers, each with its unit, longest unit first and none twice.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| !c.is_alphabetic());
        if digits.is_empty() {
            return Err(DurationError::NoNumber);
        }
        if unit.is_empty() {
            return Err(if after.is_empty() { DurationError::NoUnit } else { DurationError::NoNumber });
        }
        let milliseconds = if let Some(at) = units.iter().position(|(name, _)| *name == unit) {
            let (used, left) = units.split_at(at + 1);
            units = left;
            used.last().map_or(0, |(_, ms)| *ms)
        } else if UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::Order);
        } else {
            return Err(DurationError::UnknownUnit(unit.chars().take(20).collect()));
        };
        let number: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
        total = number.checked_mul(milliseconds).and_then(|ms| total.checked_add(ms)).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// A length of time as [`parse_duration`] reads it, to the millisecond.
pub fn duration_text(time: Duration) -> String {
    let mut rest = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, milliseconds) in UNITS {
        let count = rest / milliseconds;
        rest %= milliseconds;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Why a text is no length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    Empty,
    NoNumber,
    NoUnit,
    UnknownUnit(String),
    Order,
    TooLong,
}

/// A clause that follows "it is …;".
impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DurationError::Empty => f.write_str(r#"it must be a time such as "30s" or "1m30s""#),
            DurationError::NoNumber => f.write_str(r#"it must be whole numbers with units, such as "30s" or "1m30s""#),
            DurationError::NoUnit => f.write_str(r#"it needs a unit, such as "30s""#),
            DurationError::Order => f.write_str("its units must go from h over m and s to ms, each at most once"),
            DurationError::TooLong => f.write_str("it is too long"),
            DurationError::UnknownUnit(unit) => match meant(unit) {
                Some(known) => write!(f, "unknown unit {unit:?}; did you mean {known:?}?"),
                None => write!(f, "unknown unit {unit:?}; the units are h, m, s and ms"),
            },
        }
    }
}

impl std::error::Error for DurationError {}

/// The unit that a longer or differently written name stands for.
fn meant(unit: &str) -> Option<&'static str> {
    let unit = unit.to_lowercase();
    let known = [("ms", "ms"), ("mil", "ms"), ("m", "m"), ("s", "s"), ("h", "h")];
    known.into_iter().find(|(start, _)| unit.starts_with(start)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let rows = [
            ("200ms", 200),
            ("1s", 1_000),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1h1m1s1ms", 3_661_001),
            ("0s", 0),
            ("90s", 90_000),
        ];
        for (text, milliseconds) in rows {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_to_write_instead() {
        let rows = [
            ("", r#"it must be a time such as "30s" or "1m30s""#),
            ("30", r#"it needs a unit, such as "30s""#),
            ("1m30", r#"it needs a unit, such as "30s""#),
            ("s", r#"it must be whole numbers with units, such as "30s" or "1m30s""#),
            ("-1s", r#"it must be whole numbers with units, such as "30s" or "1m30s""#),
            ("1.5s", r#"it must be whole numbers with units, such as "30s" or "1m30s""#),
            (" 1s", r#"it must be whole numbers with units, such as "30s" or "1m30s""#),
            ("1 s", r#"it must be whole numbers with units, such as "30s" or "1m30s""#),
            ("10sec", r#"unknown unit "sec"; did you mean "s"?"#),
            ("10 min", r#"it must be whole numbers with units, such as "30s" or "1m30s""#),
            ("10min", r#"unknown unit "min"; did you mean "m"?"#),
            ("10M", r#"unknown unit "M"; did you mean "m"?"#),
            ("10msec", r#"unknown unit "msec"; did you mean "ms"?"#),
            ("2d", r#"unknown unit "d"; the units are h, m, s and ms"#),
            ("1s1m", "its units must go from h over m and s to ms, each at most once"),
            ("1s1s", "its units must go from h over m and s to ms, each at most once"),
            ("99999999999999999999s", "it is too long"),
            ("9999999999999999h", "it is too long"),
        ];
        for (text, error) in rows {
            assert_eq!(parse_duration(text).map_err(|e| e.to_string()), Err(error.to_owned()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_time_that_was_written_out_and_read_back_is_the_same(ms in any::<u64>()) {
            let time = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&duration_text(time)), Ok(time));
        }

        #[test]
        fn no_text_makes_the_reading_of_a_time_panic(text in r"([0-9]|h|m|s|ms|\PC){0,20}") {
            let _ = parse_duration(&text).map_err(|e| e.to_string());
        }
    }
}
