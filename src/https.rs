//! Ways to servers: TLS, who may vouch for a server, and the proxy on the way.
//!
//! Knows rustls and the connectors of ureq. Knows nothing of what is asked, or of where.

pub mod proxy;
pub mod tls;

use ureq::http::Uri;

/// Where a URL leads to.
pub fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let port = uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    });
    Some((uri.host()?, port?))
}
