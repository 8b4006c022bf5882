//! The kubeconfig: whether there is one, how it shows who this is, and until when that is good.

use std::path::PathBuf;
use std::time::Duration;

use super::finding::Finding;
use crate::config::{self, Mode};
use crate::kubernetes::look::{self, Cluster, Means, NoKubeconfig};
use crate::moment::Timestamp;

pub const NAME: &str = "kubeconfig";

/// Credentials that end sooner than this are worth a word; a plugin's are renewed in time, as they last some minutes.
const SOON: Duration = Duration::from_secs(3600);

/// What was found.
#[derive(Clone, Debug)]
pub struct Facts {
    pub path: PathBuf,
    pub means: Means,
    /// Until when the credentials are good, where they say so; or why there are none.
    pub expires: Result<Option<Timestamp>, String>,
}

/// Reads it, and the credentials that it leads to.
///
/// # Errors
/// When there is no kubeconfig that can be used.
pub fn open(settings: &config::Kubernetes) -> Result<(Facts, Option<Cluster>), NoKubeconfig> {
    let found = look::kubeconfig(settings)?;
    let (path, means) = (found.path.clone(), found.means.clone());
    let opened = found.open(settings.proxy.as_deref());
    let expires = opened.as_ref().map(Cluster::expires).map_err(Clone::clone);
    Ok((Facts { path, means, expires }, opened.ok()))
}

/// Where there is none.
pub fn none(why: &NoKubeconfig, mode: Mode, is_root: bool) -> Finding {
    let finding = match why {
        NoKubeconfig::Unusable(why) => Finding::failure(NAME, why.clone()),
        NoKubeconfig::Nowhere(places) => {
            let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
            let seen = format!("there is none at {}", places.join(", "));
            match mode {
                Mode::Required => Finding::failure(NAME, seen),
                Mode::Auto | Mode::Off => Finding::warning(NAME, seen + ": without a cluster only hooks run"),
            }
            .advise("on a node of a cluster: set kubernetes.kubeconfig; elsewhere: kubernetes.mode = \"off\"")
        }
    };
    if is_root { finding } else { finding.advise("only root may read a kubelet's: sudo spot-guard check") }
}

pub fn verdict(facts: &Facts, now: Timestamp) -> Finding {
    let means = match &facts.means {
        Means::Plugin(plugin) => plugin.as_str(),
        Means::Certificate => "client certificate",
        Means::Token => "token",
        Means::Nothing => "no credentials",
    };
    let seen = format!("{}: {means}", facts.path.display());
    match &facts.expires {
        Err(why) => {
            let finding = Finding::failure(NAME, format!("{seen}; {why}"));
            match facts.means {
                Means::Plugin(_) => finding.advise("run the plugin by hand, as root and with an empty environment"),
                _ => finding.advise("is the kubelet of this node registered? its log says what it waits for"),
            }
        }
        Ok(None) => Finding::ok(NAME, seen),
        Ok(Some(until)) => match until.later_than(now) {
            None => Finding::failure(NAME, format!("{seen}, expired at {}", short(*until)))
                .advise("the kubelet, or the plugin, should have renewed it: its log says why not"),
            Some(left) if left < SOON && facts.means == Means::Certificate => {
                Finding::warning(NAME, format!("{seen}, valid until {}", short(*until)))
                    .advise("the kubelet renews it long before; its log says why it has not")
            }
            Some(_) => Finding::ok(NAME, format!("{seen}, valid until {}", short(*until))),
        },
    }
}

/// Without milliseconds.
fn short(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('.').next().map_or_else(|| text.clone(), |text| format!("{text}Z"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn what_has_expired_fails_and_a_certificate_that_is_about_to_is_told() {
        let at = |text: &str| Timestamp::from_rfc3339(text).unwrap();
        let now = at("2026-11-22T20:00:00Z");
        let plugin = || Means::Plugin("aws eks get-token".to_owned());
        for (means, expires, result) in [
            (plugin(), Ok(Some(at("2026-11-22T20:14:00Z"))), Verdict::Ok),
            (plugin(), Ok(Some(at("2026-11-22T20:00:00Z"))), Verdict::Failure),
            (plugin(), Err("it failed".to_owned()), Verdict::Failure),
            (Means::Certificate, Ok(Some(at("2026-11-22T20:59:59Z"))), Verdict::Warning),
            (Means::Certificate, Ok(Some(at("2026-11-22T21:00:00Z"))), Verdict::Ok),
            (Means::Certificate, Ok(Some(at("2025-11-22T20:00:00Z"))), Verdict::Failure),
            (Means::Token, Ok(None), Verdict::Ok),
        ] {
            let facts = Facts { path: "/k".into(), means, expires };
            assert_eq!(verdict(&facts, now).result, result, "{facts:?}");
        }
        let facts = Facts { path: "/k".into(), means: plugin(), expires: Ok(Some(at("2026-11-22T20:14:00Z"))) };
        assert_eq!(verdict(&facts, now).seen, "/k: aws eks get-token, valid until 2026-11-22T20:14:00Z");
    }

    #[test]
    fn a_machine_without_a_cluster_is_no_failure_unless_one_is_required() {
        let nowhere = NoKubeconfig::Nowhere(vec!["/k".into()]);
        assert_eq!(none(&nowhere, Mode::Auto, true).result, Verdict::Warning);
        assert_eq!(none(&nowhere, Mode::Required, true).result, Verdict::Failure);
        let broken = NoKubeconfig::Unusable("cannot use it".to_owned());
        assert_eq!(none(&broken, Mode::Auto, true).result, Verdict::Failure);
        assert!(none(&broken, Mode::Auto, false).advice[0].contains("sudo"));
    }
}
