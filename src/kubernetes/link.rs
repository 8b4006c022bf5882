//! The way to one API server: its address, the proxy, and the keys as they are now.
//!
//! Knows how an agent for requests is made. Knows nothing of what is asked.

use std::env;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use log::info;
use rustls::pki_types::ServerName;
use ureq::config::Config;
use ureq::http::{HeaderValue, Uri};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, Proxy};

use super::addresses::{Addresses, Remembered};
use super::credentials::{Credentials, CredentialsError, Keys};
use super::kubeconfig::{Kubeconfig, beginning};
use crate::https::tls::{Narrow, Secured, server_name};
use crate::https::{host_and_port, proxy};
use crate::moment::{Moment, Timestamp};
use crate::secret::Secret;

/// The patience of one request.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(15);

/// A stream goes on for as long as the server likes, which is under an hour.
const STREAM: Duration = Duration::from_secs(24 * 3600);

/// How often who reads a stream is asked whether it is to end.
pub const PACE: Duration = Duration::from_secs(1);

/// Kept connections: one for each request in flight at the peak. The server closes idle ones after 90 s.
const IDLE_CONNECTIONS: usize = 64;
const IDLE: Duration = Duration::from_secs(85);

/// Each way a connection, in bytes; ureq's default is sixteen times that. Each line of a request's header has to fit: a
/// token of EKS has up to 3 KiB.
const BUFFER: usize = 8 << 10;

/// One kubeconfig's server, with keys that are renewed.
pub struct Link {
    /// `https://host[:port][/prefix]`.
    pub server: String,
    tls_server_name: Option<ServerName<'static>>,
    proxy: Option<Proxy>,
    addresses: Arc<Addresses>,
    /// The name that connections go to: the server's, or the proxy's.
    target: (String, u16),
    credentials: Mutex<Credentials>,
    ring: RwLock<Ring>,
    /// The server refused a streamed list: it is not asked for one again.
    pub lists_are_not_streamed: AtomicBool,
    /// When the server last accepted a request, by the wall clock.
    accepted_at: Mutex<Option<Timestamp>>,
    /// How long a small request last took on a connection that was there.
    distance: Mutex<Option<Duration>>,
    /// Until when credentials are rather not renewed.
    response_ends: Mutex<Option<Moment>>,
}

/// The keys in use.
#[derive(Default)]
struct Ring {
    keys: Keys,
    authorization: Option<HeaderValue>,
    number: u64,
}

/// What came of reading the credentials again.
pub struct Renewal {
    /// There are others than before.
    pub changed: bool,
    /// Why those that there are will not last.
    pub trouble: Option<CredentialsError>,
}

/// What a request is made with.
pub struct Hold {
    pub authorization: Option<HeaderValue>,
    /// Which keys these are.
    pub number: u64,
}

/// Why there is no way to the server.
#[derive(Debug)]
pub enum LinkError {
    /// The kubeconfig's `server` or `tls-server-name` (which is given).
    BadName(&'static str, String),
    /// Only plain HTTP proxies are known. The URL is not shown: it may hold a password.
    Proxy,
    Credentials(CredentialsError),
    /// The name has no address: name and reason.
    Dns(String, std::io::Error),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::BadName(key, name) => {
                write!(f, "the kubeconfig's {key} {:?} is no valid name", beginning(name))
            }
            LinkError::Proxy => {
                f.write_str("the proxy for the API server should be http://[user:password@]host[:port]")
            }
            LinkError::Credentials(error) => error.fmt(f),
            LinkError::Dns(name, why) => write!(f, "the name {name} of the API server cannot be looked up ({why})"),
        }
    }
}

impl Link {
    /// The server has accepted a request.
    pub fn was_accepted(&self) {
        *self.accepted_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Timestamp::now());
    }

    /// When the server last accepted one.
    pub fn accepted_at(&self) -> Option<Timestamp> {
        *self.accepted_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A response is under way until then.
    pub fn response_ends(&self, at: Option<Moment>) {
        *self.response_ends.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// A small request took so long on a connection that was there.
    pub fn is_away(&self, distance: Duration) {
        *self.distance.lock().unwrap_or_else(PoisonError::into_inner) = Some(distance);
    }

    /// How far away the server is.
    pub fn distance(&self) -> Option<Duration> {
        *self.distance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way that `config` and the environment describe, with its first keys. `proxy` is the configured one.
    pub fn new(config: Kubeconfig, proxy: Option<&str>) -> Result<Link, LinkError> {
        let bad_server = || LinkError::BadName("server", config.server.clone());
        let uri: Uri = config.server.parse().map_err(|_| bad_server())?;
        let (host, port) = host_and_port(&uri).ok_or_else(bad_server)?;
        server_name(host).ok_or_else(bad_server)?;
        let tls_server_name = match &config.tls_server_name {
            Some(name) => Some(server_name(name).ok_or_else(|| LinkError::BadName("tls-server-name", name.clone()))?),
            None => None,
        };
        let environment = |name: &str| env::var(name).ok();
        let chosen = proxy::choose(proxy, config.proxy_url.as_ref().map(Secret::reveal), environment, &uri);
        let proxy = chosen.as_deref().map(|url| proxy::plain(url).ok_or(LinkError::Proxy)).transpose()?;
        let target = match &proxy {
            Some(proxy) => (proxy.host().to_owned(), proxy.port()),
            None => (host.to_owned(), port),
        };
        let link = Link {
            server: config.server.clone(),
            tls_server_name,
            proxy,
            addresses: Arc::default(),
            target,
            credentials: Mutex::new(Credentials::new(config)),
            ring: RwLock::default(),
            lists_are_not_streamed: AtomicBool::new(false),
            accepted_at: Mutex::default(),
            distance: Mutex::default(),
            response_ends: Mutex::default(),
        };
        link.fetch(false).map_err(LinkError::Credentials)?;
        link.look_up()?;
        Ok(link)
    }

    /// Asks DNS again; what is known stays if there is no answer.
    pub fn look_up(&self) -> Result<(), LinkError> {
        let (host, port) = &self.target;
        self.addresses.look_up(host, *port).map_err(|e| LinkError::Dns(host.clone(), e))
    }

    /// Reads the credentials again if they changed or are about to expire.
    pub fn refresh(&self) -> Renewal {
        let response_ends = *self.response_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let due = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).due(Moment::now(), response_ends);
        match if due { self.fetch(false) } else { Ok(false) } {
            Ok(changed) => {
                let credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
                Renewal { changed, trouble: credentials.plugin_trouble() }
            }
            Err(trouble) => Renewal { changed: false, trouble: Some(trouble) },
        }
    }

    /// The server refused the keys of this number (401): whether there are others now.
    pub fn renew(&self, number: u64) -> Result<bool, CredentialsError> {
        if self.hold().number != number { Ok(true) } else { self.fetch(true) }
    }

    fn fetch(&self, refused: bool) -> Result<bool, CredentialsError> {
        let before = self.hold().number;
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if self.hold().number != before {
            return Ok(true); // Another request was quicker.
        }
        let response_ends = *self.response_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = credentials.fetch(refused, Moment::now(), response_ends)?;
        let authorization = match &keys.token {
            Some(token) => Some(bearer(token).ok_or(CredentialsError::Token)?),
            None => None,
        };
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let same_tls = match (&ring.keys.tls, &keys.tls) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        let changed = !same_tls || ring.keys.token != keys.token;
        if changed && ring.number > 0 {
            info!("new credentials for {}", self.server);
        }
        let number = ring.number + u64::from(changed);
        *ring = Ring { keys, authorization, number };
        Ok(changed)
    }

    /// The keys as they are now.
    pub fn hold(&self) -> Hold {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        Hold { authorization: ring.authorization.clone(), number: ring.number }
    }

    /// The common name of the client certificate's subject.
    pub fn common_name(&self) -> Option<String> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).keys.common_name.clone()
    }

    /// Until when the keys are good, where they say so.
    pub fn expires(&self) -> Option<Timestamp> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).keys.expires
    }

    /// An agent with the present client certificate and no connection yet; the first sets `reached`. `skip`: see
    /// [`Remembered`].
    pub fn agent(&self, skip: usize, reached: Arc<AtomicBool>) -> Agent {
        self.build(skip, None, ANSWER, reached)
    }

    /// An agent for one stream, whose reads come back after [`PACE`] at the latest.
    pub fn streaming_agent(&self, skip: usize, reached: Arc<AtomicBool>) -> Agent {
        self.build(skip, Some(PACE), STREAM, reached)
    }

    fn build(&self, skip: usize, pace: Option<Duration>, body: Duration, reached: Arc<AtomicBool>) -> Agent {
        let client = self.ring.read().unwrap_or_else(PoisonError::into_inner).keys.tls.clone();
        // No timeout that covers more than one step: ureq would start a thread for each look-up.
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(self.proxy.clone())
            .user_agent(concat!("spot-guard/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("")
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .max_idle_age(IDLE)
            .timeout_connect(Some(CONNECT))
            .timeout_send_request(Some(CONNECT))
            .timeout_send_body(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_recv_body(Some(body))
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default()).chain(Narrow::default()).chain(Secured {
                client,
                name: self.tls_server_name.clone(),
                pace,
                reached,
            });
        Agent::with_parts(config, connector, Remembered { addresses: self.addresses.clone(), skip })
    }

    /// Whether a streamed list is worth asking for.
    pub fn streams_lists(&self) -> bool {
        !self.lists_are_not_streamed.load(Ordering::Relaxed)
    }
}

fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
