//! One message to a webhook: what it says, and how it is sent.
//!
//! Knows the settings, the record and HTTPS. Knows nothing of when it is sent, or how often. Nothing that comes out of
//! here holds the address or a header: messages are built from parts, never from what a library says of a URL.

mod body;
mod trouble;

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use ureq::http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, Body, Proxy};

pub use body::News;
use trouble::Trouble;

use crate::config::{Header, Webhook, is_address, is_header_value};
use crate::https::tls::{self, Narrow, Secured};
use crate::https::{host_and_port, proxy};
use crate::moment::Timestamp;
use crate::objects::{Answer, Refusal};

/// With several addresses each has so long for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Each way, in bytes.
const BUFFER: usize = 8 << 10;

/// Of a file with an address or a header's value, in bytes.
const LONGEST_SECRET: u64 = 8 << 10;

/// Of a template; no larger one is taken when it is checked.
const LONGEST_TEMPLATE: u64 = 64 << 10;

/// Of a file of authorities: the system's has a quarter of a megabyte.
const LONGEST_BUNDLE: u64 = 4 << 20;

/// Where systems keep the authorities that they trust, as Go's `crypto/x509` has it (`root_linux.go`): Debian, Ubuntu
/// and Alpine; Fedora, Amazon Linux and RHEL; openSUSE; older RHEL; Alpine without its package.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Sends `news` once; takes `limit` at most, if the disk does not hang. Everything is read anew: the address, the
/// headers, the template and the authorities may have changed, and none of it is to stay in memory.
pub fn send(settings: &Webhook, news: &News, limit: Duration) -> Answer {
    match try_to_send(settings, news, limit) {
        Ok(response) if response.status().is_success() => Answer::Accepted,
        // Its body is not read: it may be long, and repeat the address.
        Ok(response) => Answer::Refused(refusal(&response)),
        Err(trouble) => Answer::Nothing(trouble.to_string()),
    }
}

fn try_to_send(settings: &Webhook, news: &News, limit: Duration) -> Result<Response<Body>, Trouble> {
    let uri: Uri = address(settings)?.parse().map_err(|_| Trouble::Address)?;
    let proxy = chosen_proxy(settings, &uri)?;
    let body = match &settings.template {
        Some(path) => body::of_template(&read("webhook.template", path, LONGEST_TEMPLATE)?, news),
        None => body::of_record(news),
    };
    let mut request = Request::post(&uri)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|_| Trouble::Address)?;
    for (name, value) in &settings.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Trouble::Header(name.clone()))?;
        let value = header_value(name.as_str(), value)?;
        request.headers_mut().insert(name, value);
    }
    let client = if uri.scheme_str() == Some("https") { Some(client(settings)?) } else { None };
    agent(client, proxy, limit).run(request).map_err(|error| Trouble::of(&error))
}

/// The address itself, from wherever it stands.
fn address(settings: &Webhook) -> Result<String, Trouble> {
    let address = match (&settings.url_file, &settings.url) {
        (Some(path), _) => read("webhook.url-file", path, LONGEST_SECRET)?.trim().to_owned(),
        (None, Some(url)) => url.reveal().to_owned(),
        (None, None) => return Err(Trouble::NoAddress),
    };
    if is_address(&address) { Ok(address) } else { Err(Trouble::Address) }
}

fn header_value(name: &str, value: &Header) -> Result<HeaderValue, Trouble> {
    let text = match value {
        Header::Is(secret) => secret.reveal().to_owned(),
        Header::StandsIn(path) => read("webhook.headers", path, LONGEST_SECRET)?.trim().to_owned(),
    };
    let unfit = || Trouble::Header(name.to_owned());
    let mut value = HeaderValue::from_str(&text).ok().filter(|_| is_header_value(&text)).ok_or_else(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The configured proxy, else the environment's.
fn chosen_proxy(settings: &Webhook, uri: &Uri) -> Result<Option<Proxy>, Trouble> {
    host_and_port(uri).ok_or(Trouble::Address)?;
    let chosen = proxy::choose(settings.proxy.as_deref(), None, |name| env::var(name).ok(), uri);
    chosen.map(|url| proxy::plain(&url).ok_or(Trouble::Proxy)).transpose()
}

/// TLS that trusts the configured authorities, else the system's.
fn client(settings: &Webhook) -> Result<Arc<ClientConfig>, Trouble> {
    let path = match &settings.ca_file {
        Some(path) => path.as_path(),
        None => BUNDLES.iter().map(Path::new).find(|path| path.is_file()).ok_or(Trouble::NoBundle)?,
    };
    let text = read("webhook.ca-file", path, LONGEST_BUNDLE)?;
    let roots: RootCertStore = tls::roots(text.as_bytes()).map_err(|why| Trouble::Bundle(path.to_owned(), why))?;
    tls::client(Some(roots), None).map_err(|why| Trouble::Bundle(path.to_owned(), why))
}

/// An agent for one request, in whose time all is done: names are looked up, too.
fn agent(client: Option<Arc<ClientConfig>>, proxy: Option<Proxy>, limit: Duration) -> Agent {
    let config = ureq::config::Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .user_agent(concat!("spot-guard/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("")
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(0)
        .timeout_global(Some(limit))
        .timeout_connect(Some(CONNECT.min(limit)))
        .build();
    let secured = Secured { client, name: None, pace: None, reached: Arc::default() };
    let connector = ().chain(ConnectProxyConnector::default()).chain(Narrow::default()).chain(secured);
    Agent::with_parts(config, connector, DefaultResolver::default())
}

fn refusal(response: &Response<Body>) -> Refusal {
    let status = response.status();
    let hint = match status {
        _ if status.is_redirection() => ": it leads elsewhere, and redirects are not followed",
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => ": it does not take this body",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": it does not take these headers, or this address",
        StatusCode::NOT_FOUND | StatusCode::GONE => ": there is no such address",
        _ => "",
    };
    Refusal {
        status: status.as_u16(),
        message: format!("the server answered {}{hint}", status.as_u16()),
        causes: Vec::new(),
        retry_after: retry_after(response),
    }
}

/// Seconds or a time of day (RFC 9110, section 10.2.3), which counts from the answer's own `Date`.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let written = text(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = written.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = text(header::DATE).and_then(Timestamp::from_http_date).unwrap_or_else(Timestamp::now);
    Timestamp::from_http_date(written)?.later_than(now)
}

/// The text of a regular file: another might never end.
fn read(setting: &'static str, path: &Path, limit: u64) -> Result<String, Trouble> {
    let unreadable = |why: String| Trouble::Unreadable(setting, path.to_owned(), why);
    if !fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    opened.map_err(|e| unreadable(e.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(unreadable(format!("it is larger than {} KiB", limit / 1024)));
    }
    String::from_utf8(bytes).map_err(|_| unreadable("it is no UTF-8".to_owned()))
}
