//! The common name in a certificate's subject, and until when it is good.
//!
//! Knows as much of X.509 and DER as that takes. Judges nothing: rustls does.

use crate::moment::Timestamp;

/// The tag of a SEQUENCE, of a SET, and of the certificate's explicit version.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// Fields of a certificate, as [`field`] counts them.
const VALIDITY: usize = 3;
const SUBJECT: usize = 4;

/// The object identifier of commonName, 2.5.4.3, as a whole element.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// UTCTime and GeneralizedTime.
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last moment at which a DER certificate is good (RFC 5280, section 4.1.2.5).
pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (validity, _) = element(field(der, VALIDITY)?, SEQUENCE)?;
    let (tag, text, _) = next(next(validity)?.2)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits stand for 1950 to 2049.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| text.get(from..to);
    let (day, time) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    Timestamp::from_rfc3339(&format!("{}-{}-{}T{}:{}:{}Z", day.0, day.1, day.2, time.0, time.1, time.2))
}

/// The first common name of the subject of a DER certificate (RFC 5280, section 4.1).
pub fn common_name(der: &[u8]) -> Option<String> {
    let (mut subject, _) = element(field(der, SUBJECT)?, SEQUENCE)?;
    while !subject.is_empty() {
        let (set, others) = element(subject, SET)?;
        let (attribute, _) = element(set, SEQUENCE)?;
        if let Some(value) = attribute.strip_prefix(&COMMON_NAME[..]) {
            return String::from_utf8(next(value)?.1.to_vec()).ok();
        }
        subject = others;
    }
    None
}

/// The fields of a certificate from this one on, counted after the version: serialNumber, signature, issuer, validity,
/// subject.
fn field(der: &[u8], number: usize) -> Option<&[u8]> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = next(rest)?.2;
    }
    for _ in 0..number {
        rest = next(rest)?.2;
    }
    Some(rest)
}

/// The contents of the first element, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    next(der).filter(|(found, ..)| *found == tag).map(|(_, contents, rest)| (contents, rest))
}

/// The first element: tag, contents, and what follows it.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (length, der) = match first {
        0..=0x7f => (usize::from(first), der),
        0x81..=0x83 => {
            let (bytes, der) = der.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), der)
        }
        _ => return None,
    };
    let (contents, rest) = der.split_at_checked(length)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use stand_ins::certificates::Authority;

    use super::*;

    #[test]
    fn the_end_is_read_whichever_way_its_time_is_written() {
        // From 2050 on a time has four digits of its year.
        for years in [0, 40] {
            let lifetime = Duration::from_secs(600 + years * 365 * 86400);
            let end = || Timestamp::from(SystemTime::now() + lifetime).unix_seconds();
            let first = end();
            let certificate = Authority::new("cluster").client("u", "g", lifetime).certificate();
            let read = not_after(&certificate).unwrap().unix_seconds();
            assert!((first..=end()).contains(&read), "{first} {read}");
        }
        assert_eq!(not_after(b"no certificate"), None);
    }
}
