//! Why nothing came of an attempt, in words that hold no secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::CertificateError::{
    self, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
    UnknownIssuer,
};
use ureq::Timeout;

use crate::https::tls::TlsError;
use crate::moment::Timestamp;

#[derive(Debug)]
pub enum Trouble {
    /// The settings have changed, and none is wanted any more.
    NoAddress,
    /// What stands where the address is to stand is none.
    Address,
    /// The value of the header of this name cannot be one.
    Header(String),
    Proxy,
    /// The setting that names the file, the file, and why.
    Unreadable(&'static str, PathBuf, String),
    /// The system has no authorities.
    NoBundle,
    Bundle(PathBuf, TlsError),
    /// The request or its answer.
    Sending(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NoAddress => f.write_str("neither webhook.url nor webhook.url-file is set any more"),
            Trouble::Address => f.write_str("its address is not https://HOST/PATH or http://HOST/PATH"),
            Trouble::Header(name) => write!(f, "the value of the header {name} is not printable ASCII on one line"),
            Trouble::Proxy => f.write_str("the proxy should be http://[user:password@]host[:port]"),
            Trouble::Unreadable(setting, path, why) => {
                write!(f, "{setting} is {}, which cannot be read: {why}", path.display())
            }
            Trouble::NoBundle => {
                f.write_str("this system has no file of authorities; install ca-certificates or set webhook.ca-file")
            }
            Trouble::Bundle(path, why) => write!(f, "{} cannot be used: {why}", path.display()),
            Trouble::Sending(why) => f.write_str(why),
        }
    }
}

impl Trouble {
    /// What ureq says, without what it may quote: names, addresses, paths.
    pub fn of(error: &ureq::Error) -> Trouble {
        Trouble::Sending(match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => "no connection in time".to_owned(),
            ureq::Error::Timeout(_) => "no answer in time".to_owned(),
            ureq::Error::HostNotFound => "the name of its host, or of the proxy, has no address".to_owned(),
            ureq::Error::ConnectProxyFailed(_) => "the proxy does not connect to it".to_owned(),
            ureq::Error::Protocol(_) => "what answered speaks no HTTP".to_owned(),
            ureq::Error::Io(error) => io_words(error),
            _ => "the request cannot be sent".to_owned(),
        })
    }
}

fn io_words(error: &io::Error) -> String {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => return certificate_words(why),
        Some(_) => return "no TLS can be agreed on with what answers".to_owned(),
        None => {}
    }
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return Trouble::of(error).to_string();
    }
    // The system's own words quote nothing.
    if error.raw_os_error().is_some() { error.to_string() } else { error.kind().to_string() }
}

fn certificate_words(why: &CertificateError) -> String {
    match why {
        UnknownIssuer => "its certificate is not from an authority that is trusted (webhook.ca-file)".to_owned(),
        NotValidForName | NotValidForNameContext { .. } => "its certificate is for another name".to_owned(),
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => {
            format!("its certificate is not valid at {}; is this machine's clock right?", Timestamp::now())
        }
        _ => "its certificate cannot be relied on".to_owned(),
    }
}
