//! Which proxy leads to a server.
//!
//! Knows the rules of client-go (which are those of Go's `golang.org/x/net/http/httpproxy`). Reads no environment by
//! itself, and connects to nothing.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use super::host_and_port;

/// The proxy's URL for requests to `server`: the configured one, else the kubeconfig's, else the environment's
/// (`environment` gives a variable). Only the last is subject to `NO_PROXY`.
pub fn choose<'a>(
    configured: Option<&'a str>,
    kubeconfig: Option<&'a str>,
    environment: impl Fn(&str) -> Option<String>,
    server: &Uri,
) -> Option<String> {
    if let Some(proxy) = configured.or(kubeconfig).filter(|proxy| !proxy.is_empty()) {
        return Some(proxy.to_owned());
    }
    let variable = |upper: &str| {
        [upper.to_owned(), upper.to_lowercase()].iter().filter_map(|n| environment(n)).find(|value| !value.is_empty())
    };
    let secure = server.scheme_str() == Some("https");
    let proxy = variable(if secure { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
    let (host, port) = host_and_port(server)?;
    if goes_direct(&variable("NO_PROXY").unwrap_or_default(), host, port) { None } else { Some(proxy) }
}

/// A proxy that is spoken to without TLS, as client-go takes it from `proxy-url` and HTTPS_PROXY; `None` for others:
/// they would need authorities of their own (https) or another protocol (socks5).
pub fn plain(url: &str) -> Option<Proxy> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    url.starts_with("http://").then(|| Proxy::new(&url).ok())?
}

/// Whether `host` (as in a URL, IPv6 in brackets) is reached without the environment's proxy.
fn goes_direct(no_proxy: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let ip: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| covers(&entry, &host, ip, port))
}

/// One entry of `NO_PROXY`: `*`, a network, an address, a domain (with its subdomains) or `.domain` (subdomains only);
/// an address or a domain may name a port.
fn covers(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, length)) = entry.split_once('/') {
        return match (network.parse(), length.parse(), ip) {
            (Ok(network), Ok(length), Some(ip)) => within(ip, network, length),
            _ => false,
        };
    }
    let (name, only_port) = split_port(entry);
    if name.is_empty() || only_port.is_some_and(|only| only != port) {
        return false;
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        return ip == Some(address);
    }
    match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
        Some(domain) => below(host, domain),
        None => host == name || below(host, name),
    }
}

/// `host` is a subdomain of `domain`.
fn below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name.trim_matches(['[', ']']), Some(port)),
            Err(_) => (entry, None),
        },
        None => (entry.trim_matches(['[', ']']), None),
    }
}

/// `ip` is in `network/length`.
fn within(ip: IpAddr, network: IpAddr, length: u32) -> bool {
    match (ip.to_canonical(), network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            u32::from(ip) & mask == u32::from(network) & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            u128::from(ip) & mask == u128::from(network) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)], server: &str) -> Option<String> {
        let environment = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        choose(None, None, environment, &server.parse().unwrap())
    }

    #[test]
    fn the_configured_proxy_beats_the_kubeconfig_which_beats_the_environment() {
        let server = Uri::from_static("https://api:6443");
        let environment = |name: &str| (name == "HTTPS_PROXY" || name == "NO_PROXY").then(|| "api".to_owned());
        let chosen = |configured, kubeconfig| choose(configured, kubeconfig, environment, &server);
        assert_eq!(chosen(Some("http://a"), Some("http://b")).as_deref(), Some("http://a"));
        assert_eq!(chosen(None, Some("http://b")).as_deref(), Some("http://b"));
        assert_eq!(chosen(None, None), None, "NO_PROXY names the server");
    }

    #[test]
    fn the_environment_is_read_as_go_reads_it() {
        let https = [("https_proxy", "p:3128"), ("HTTP_PROXY", "q")];
        assert_eq!(with(&https, "https://api").as_deref(), Some("p:3128"));
        assert_eq!(with(&https, "http://api").as_deref(), Some("q"));
        assert_eq!(with(&https, "https://localhost:6443"), None);
        assert_eq!(with(&https, "https://127.0.0.1:6443"), None);
        assert_eq!(with(&https, "https://[::1]:6443"), None);
        assert_eq!(with(&[], "https://api"), None);
    }

    #[test]
    fn no_proxy_names_domains_addresses_networks_and_ports() {
        let host = "abc.gr7.eu-west-1.eks.amazonaws.com";
        for (no_proxy, host, direct) in [
            ("*", host, true),
            ("amazonaws.com", host, true),
            (".amazonaws.com", host, true),
            ("*.amazonaws.com", host, true),
            ("aws.com", host, false),
            (".abc.gr7.eu-west-1.eks.amazonaws.com", host, false),
            ("x, AMAZONAWS.com:443 ,y", host, true),
            ("amazonaws.com:6443", host, false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/33", "10.1.2.3", false),
            ("fd00::/8", "[fd12::1]", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3:443", "10.1.2.3", true),
            ("[fd12::1]:443", "[fd12::1]", true),
            ("fd12::1", "[fd12::1]", true),
            ("", host, false),
            (",:,.", host, false),
        ] {
            assert_eq!(goes_direct(no_proxy, host, 443), direct, "{no_proxy} for {host}");
        }
    }
}
