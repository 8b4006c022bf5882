//! What kubeconfigs, plugins and API servers say, without a connection.

use std::fmt::Debug;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use spot_guard::kubernetes::read::{self, Cuts, PodList};
use spot_guard::kubernetes::{Budget, PodNews, WatchEnd};
use spot_guard::moment::Moment;
use spot_guard::objects::{Node, Pod};
use spot_guard::response::plan;
use ureq::http::Uri;

use super::assert_message;
use super::times::assert_read_back;

pub fn kubeconfig(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match read::kubeconfig(text, Path::new("/etc/k")) {
        Ok(config) => {
            assert!(config.server.starts_with("http://") || config.server.starts_with("https://"));
            assert!(!config.server.ends_with('/'));
            let shown = format!("{config:?}");
            for secret in config.proxy_url.iter().map(|url| url.reveal()).filter(|secret| secret.len() > 40) {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        Err(problem) => assert_message(&problem.to_string()),
    }
}

pub fn exec_credential(data: &[u8]) {
    for version in ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] {
        if let Ok(credential) = read::exec_credential(data, version) {
            assert!(credential.token.is_some() || credential.certificate.is_some());
            credential.expires.into_iter().for_each(assert_read_back);
        }
    }
}

/// PEM files, with anything before and between, and the DER in them.
pub fn certificates(data: &[u8]) {
    read::common_name(data);
    read::not_after(data);
    match read::identity(data, data) {
        Ok((chain, _)) => {
            assert!(!chain.is_empty());
            chain.iter().for_each(|certificate| drop((read::common_name(certificate), read::not_after(certificate))));
        }
        Err(error) => assert_message(&error.to_string()),
    }
}

/// A server and then the value of `NO_PROXY`, each on a line.
pub fn proxy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (server, no_proxy) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(server) = server.parse::<Uri>() else { return };
    let environment = |name: &str| match name {
        "HTTPS_PROXY" | "HTTP_PROXY" => Some("http://proxy:3128".to_owned()),
        "NO_PROXY" => Some(no_proxy.to_owned()),
        _ => None,
    };
    let chosen = read::proxy(None, None, environment, &server);
    assert!(chosen.is_none() || !no_proxy.split(',').any(|entry| entry.trim() == "*"));
}

pub fn refusal(data: &[u8]) {
    let refusal = read::refusal(429, data);
    assert_eq!(refusal.status, 429);
    assert_message(&refusal.message);
    assert!(refusal.causes.iter().map(String::len).sum::<usize>() <= data.len().max(3) * 3);
}

/// A budget covers pods of its own namespace only.
pub fn budgets(data: &[u8]) {
    match read::answer::<read::Budgets>(data) {
        Ok(budgets) => {
            let labels = [("app".to_owned(), "api".to_owned())].into();
            for budget in Vec::<Budget>::from(budgets) {
                assert!(!budget.covers("web", &labels) || budget.namespace == "web");
            }
        }
        Err(why) => assert_message(&why),
    }
}

pub fn pod_list(data: &[u8]) {
    if let Err(why) = read::answer::<PodList>(data) {
        assert_message(&why);
    }
}

pub fn pod_watch(data: &[u8]) {
    let told = same_in_pieces(data, |stream, told| {
        read::follow_pods(stream, &mut Cuts::default(), &mut |news| {
            told.push(news);
            true
        })
    });
    for news in told {
        if let PodNews::Seen(pod) | PodNews::Gone(pod) = news {
            assert_plan(&pod);
        }
    }
}

pub fn node_watch(data: &[u8]) {
    let told: Vec<Option<Node>> = same_in_pieces(data, |stream, told| {
        read::follow_node(stream, &mut |node| {
            told.push(node);
            true
        })
    });
    for node in told.into_iter().flatten() {
        assert!(node.volumes.is_sorted());
    }
}

/// Reads a stream in one piece and in small ones: what is told must be the same, and no more than there are lines.
fn same_in_pieces<T: Debug + PartialEq>(data: &[u8], follow: impl Fn(Pieces<'_>, &mut Vec<T>) -> WatchEnd) -> Vec<T> {
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let end = follow(Pieces { data, size: data.len() }, &mut whole);
    assert_eq!(end, follow(Pieces { data, size: 7 }, &mut pieces));
    assert_eq!(whole, pieces);
    assert!(whole.len() <= data.split(|byte| *byte == b'\n').count());
    if let WatchEnd::Nothing(why) = &end {
        assert_message(why);
    }
    if let WatchEnd::Refused(refusal) = &end {
        assert_message(&refusal.message);
    }
    whole
}

struct Pieces<'a> {
    data: &'a [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.size.min(buffer.len());
        self.data.take(size as u64).read(buffer).inspect(|read| self.data = &self.data[*read..])
    }
}

/// Whatever a pod says of itself, it is asked in time and with a grace of a second at least.
fn assert_plan(pod: &Pod) {
    let (now, end) = (Moment::after_boot(Duration::from_secs(1000)), Moment::after_boot(Duration::from_secs(1118)));
    assert!(plan::force_time(pod.grace, end) < end);
    let grace = plan::fitted_grace(pod.grace, end, now);
    assert!((Duration::from_secs(1)..=Duration::from_secs(118)).contains(&grace));
}
