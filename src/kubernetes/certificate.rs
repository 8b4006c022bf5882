//! The common name in a certificate's subject.
//!
//! Knows as much of X.509 and DER as that takes. Judges nothing: rustls does.

/// The tag of a SEQUENCE, of a SET, and of the certificate's explicit version.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// The object identifier of commonName, 2.5.4.3, as a whole element.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// The first common name of the subject of a DER certificate (RFC 5280, section 4.1).
pub fn common_name(der: &[u8]) -> Option<String> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = next(rest)?.2;
    }
    // serialNumber, signature, issuer, validity
    for _ in 0..4 {
        rest = next(rest)?.2;
    }
    let (mut subject, _) = element(rest, SEQUENCE)?;
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
