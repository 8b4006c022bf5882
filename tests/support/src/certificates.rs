//! A certificate authority for a cluster, and the little of X.509 that is needed to read who a client is.
//!
//! Knows nothing of what an identity may do.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Certificates of servers are good for this long, and were before.
const DAY: Duration = Duration::from_secs(86400);

/// The object identifiers of the two parts of a subject that Kubernetes reads (RFC 5280, appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Signs certificates: of a stand-in's own making, or read from a real cluster's folder.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate_pem: String,
    pub key_pem: String,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: String,
}

impl Authority {
    /// A new one that has signed nothing yet.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&[(DnType::CommonName, name)]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("make a key");
        let certificate_pem = params.self_signed(&key).expect("sign the authority's own certificate").pem();
        let key_pem = key.serialize_pem();
        Authority { issuer: Issuer::new(params, key), certificate_pem, key_pem }
    }

    /// The one whose certificate and key (PKCS#8) lie in these files.
    ///
    /// # Errors
    /// When a file cannot be read, or is not what it should be.
    pub fn load(certificate: &Path, key: &Path) -> Result<Authority, String> {
        let read = |path: &Path| fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
        let (certificate_pem, key_pem) = (read(certificate)?, read(key)?);
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|e| e.to_string())?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // The issuer's name in what is signed has to be this very subject, byte for byte, so in the same kind of string.
        for part in subject(&der).ok_or("a certificate without a subject")? {
            let kind = if part.oid == COMMON_NAME { DnType::CommonName } else { DnType::OrganizationName };
            let text = part.text.clone();
            let printable = text.as_str().try_into().ok().filter(|_| part.printable).map(DnValue::PrintableString);
            params.distinguished_name.push(kind, printable.unwrap_or(DnValue::Utf8String(text)));
        }
        let pair = KeyPair::from_pem(&key_pem).map_err(|e| format!("{}: {e}", key.display()))?;
        Ok(Authority { issuer: Issuer::new(params, pair), certificate_pem, key_pem })
    }

    /// A client's certificate, good for `lifetime` from now on (and for the minute before, so that clocks may differ).
    pub fn client(&self, user: &str, group: &str, lifetime: Duration) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&[(DnType::OrganizationName, group), (DnType::CommonName, user)]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = (SystemTime::now() - Duration::from_secs(60)).into();
        params.not_after = (SystemTime::now() + lifetime).into();
        self.sign(params)
    }

    /// A server's certificate for these names and addresses, good for a day, and for the day before.
    pub fn server(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of a server");
        params.distinguished_name = named(&[(DnType::CommonName, "kube-apiserver")]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = (SystemTime::now() - DAY).into();
        params.not_after = (SystemTime::now() + DAY).into();
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Identity {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("make a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("sign a certificate");
        Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

impl Identity {
    /// The key as `EC PRIVATE KEY` (SEC 1), which is how the kubelet writes it.
    pub fn sec1_key_pem(&self) -> String {
        let der = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("our own key");
        // PKCS#8 (RFC 5208): SEQUENCE { version, algorithm, OCTET STRING { the key as in SEC 1 } }.
        let key = element(der.secret_der())
            .and_then(|(_, inside, _)| element(inside))
            .and_then(|(_, _, rest)| element(rest))
            .and_then(|(_, _, rest)| element(rest))
            .map(|(_, key, _)| key)
            .expect("our own key is PKCS#8");
        let text = STANDARD.encode(key);
        let lines: Vec<String> =
            text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", lines.join("\n"))
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).expect("our own certificate")
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("our own key")
    }
}

/// Who a certificate says its owner is: the common name and the organizations, which Kubernetes takes as the user's
/// name and groups.
pub fn user_of(certificate: &CertificateDer<'_>) -> Option<(String, Vec<String>)> {
    let parts = subject(certificate)?;
    let user = parts.iter().find(|part| part.oid == COMMON_NAME)?.text.clone();
    Some((user, parts.into_iter().filter(|part| part.oid == ORGANIZATION).map(|part| part.text).collect()))
}

fn named(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, text) in parts {
        name.push(kind.clone(), *text);
    }
    name
}

/// One attribute of a subject.
struct Part {
    oid: Vec<u8>,
    printable: bool,
    text: String,
}

/// The subject of a certificate (RFC 5280, section 4.1): its common name and organizations, in their order.
fn subject(certificate: &[u8]) -> Option<Vec<Part>> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // version, serial number, signature algorithm, issuer, validity; the subject follows.
    for _ in 0..5 {
        fields = element(fields)?.2;
    }
    let (_, mut names, _) = element(fields)?;
    let mut parts = Vec::new();
    while let Some((_, mut set, rest)) = element(names) {
        while let Some((_, attribute, rest)) = element(set) {
            let (_, oid, value) = element(attribute)?;
            let (tag, text, _) = element(value)?;
            if oid == COMMON_NAME || oid == ORGANIZATION {
                let text = String::from_utf8_lossy(text).into_owned();
                parts.push(Part { oid: oid.to_vec(), printable: tag == 0x13, text });
            }
            set = rest;
        }
        names = rest;
    }
    Some(parts)
}

/// The first element of some DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_its_user_and_group() {
        let authority = Authority::new("cluster");
        let node = authority.client("system:node:a", "system:nodes", Duration::from_secs(60));
        assert_eq!(user_of(&node.certificate()), Some(("system:node:a".to_owned(), vec!["system:nodes".to_owned()])));
    }

    #[test]
    fn the_kubelets_form_of_a_key_is_the_same_key() {
        let identity = Authority::new("cluster").client("u", "g", Duration::from_secs(60));
        let sec1 = PrivateKeyDer::from_pem_slice(identity.sec1_key_pem().as_bytes()).unwrap();
        assert!(matches!(sec1, PrivateKeyDer::Sec1(_)));
        let provider = rustls::crypto::ring::default_provider();
        let [a, b] = [identity.key(), sec1].map(|key| provider.key_provider.load_private_key(key).unwrap());
        assert_eq!(a.public_key(), b.public_key());
    }
}
