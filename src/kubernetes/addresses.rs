//! The server's addresses, remembered: no request waits for DNS.
//!
//! Knows names and addresses. Knows nothing of what is asked there.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, PoisonError, RwLock};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::https::host_and_port;

/// As many addresses as ureq takes.
const MOST: usize = 16;

/// The addresses of the names that connections go to, as DNS last gave them.
#[derive(Debug, Default)]
pub struct Addresses {
    known: RwLock<BTreeMap<String, Vec<SocketAddr>>>,
}

impl Addresses {
    /// Looks `host` up and remembers what it finds. Where DNS does not answer, what is known stays. May take as long as
    /// the system's resolver is patient (10 s and more); an address by itself takes no time.
    pub fn look_up(&self, host: &str, port: u16) -> io::Result<()> {
        if literal(host).is_some() {
            return Ok(());
        }
        let found: Vec<_> = (host, port).to_socket_addrs()?.take(MOST).collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key(host, port), found);
        Ok(())
    }

    fn get(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        match literal(host) {
            Some(ip) => vec![SocketAddr::new(ip, port)],
            None => {
                let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
                known.get(&key(host, port)).cloned().unwrap_or_default()
            }
        }
    }
}

fn key(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

/// The address, if `host` is one (IPv6 with its brackets, as in a URL).
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// Answers ureq from memory alone.
pub struct Remembered {
    pub addresses: Arc<Addresses>,
    /// How many of the addresses at the front go to the back: a connection that is tried beside one that hangs should
    /// try another address first.
    pub skip: usize,
}

impl Resolver for Remembered {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (host, port) = host_and_port(uri).ok_or(ureq::Error::HostNotFound)?;
        let mut found = self.addresses.get(host, port);
        if found.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        let front = self.skip % found.len();
        found.rotate_left(front);
        let mut result = self.empty();
        found.into_iter().take(MOST).for_each(|address| result.push(address));
        Ok(result)
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_dns_and_a_name_is_answered_from_memory() {
        let addresses = Addresses::default();
        addresses.look_up("[::1]", 6443).unwrap();
        assert_eq!(addresses.get("[::1]", 6443), ["[::1]:6443".parse().unwrap()]);
        assert_eq!(addresses.get("10.0.0.1", 443), ["10.0.0.1:443".parse().unwrap()]);
        assert!(addresses.get("localhost", 443).is_empty());
        addresses.look_up("localhost", 443).unwrap();
        assert!(addresses.get("localhost", 443).iter().all(|a| a.ip().is_loopback() && a.port() == 443));
    }

    #[test]
    fn a_name_that_dns_forgets_stays_known() {
        let addresses = Addresses::default();
        let good: SocketAddr = "192.0.2.1:443".parse().unwrap();
        addresses.known.write().unwrap().insert(key("gone.invalid", 443), vec![good]);
        assert!(addresses.look_up("gone.invalid", 443).is_err());
        assert_eq!(addresses.get("gone.invalid", 443), [good]);
    }

    #[test]
    fn a_second_attempt_begins_at_another_address() {
        let addresses = Arc::new(Addresses::default());
        let both: Vec<SocketAddr> = ["192.0.2.1:443", "192.0.2.2:443"].map(|a| a.parse().unwrap()).to_vec();
        addresses.known.write().unwrap().insert(key("api", 443), both.clone());
        let uri = Uri::from_static("https://api/");
        for (skip, first) in [(0, both[0]), (1, both[1]), (2, both[0])] {
            let resolver = Remembered { addresses: addresses.clone(), skip };
            let found = resolver.resolve(&uri, &Config::default(), NextTimeout::default()).unwrap();
            assert_eq!((found.len(), found[0]), (2, first));
        }
    }
}
