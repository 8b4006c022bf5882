//! How long the machine takes to go off: what the kubelet wants for the pods that spot-guard leaves alone, and what logind
//! lets it have.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::finding::Finding;
use crate::config::duration_text;
use crate::kubernetes::look::shutdown_grace;
use crate::systemd::units::longest_inhibition;

pub const NAME: &str = "shutdown";

/// Where node agents leave the kubelet's configuration, and the folders laid over each.
const KNOWN_PLACES: [(&str, &str); 4] = [
    // kubeadm.
    ("/var/lib/kubelet/config.yaml", ""),
    // EKS: AL2023's nodeadm, then AL2.
    ("/etc/kubernetes/kubelet/config.json", "/etc/kubernetes/kubelet/config.json.d"),
    ("/etc/kubernetes/kubelet/kubelet-config.json", ""),
    (
        "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf",
        "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d",
    ),
];

/// Far more than a configuration has, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The file, and the kubelet's grace that it leads to (none: zero); `None` where no file was found.
    pub kubelet: Option<(PathBuf, Duration)>,
    /// `None` where logind does not say.
    pub logind: Option<Duration>,
}

pub fn look() -> Facts {
    Facts { kubelet: kubelet(), logind: longest_inhibition() }
}

fn kubelet() -> Option<(PathBuf, Duration)> {
    let known = KNOWN_PLACES.map(|(file, folder)| (PathBuf::from(file), PathBuf::from(folder)));
    let (file, folder) = running().into_iter().chain(known).find(|(file, _)| file.is_file())?;
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "conf"));
    files.sort();
    // Later ones count more.
    let graces = files.iter().rev().chain([&file]).filter_map(|path| shutdown_grace(&read(path)));
    let grace = graces.into_iter().next().unwrap_or_default();
    Some((file, grace))
}

/// The files that a running kubelet was told of: `--config` and `--config-dir`.
fn running() -> Option<(PathBuf, PathBuf)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_kubelet = |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "kubelet");
    let process = processes.into_iter().find(is_kubelet)?;
    let arguments = read(&process.join("cmdline"));
    let arguments: Vec<&str> = arguments.split('\0').collect();
    Some((option(&arguments, "--config")?.into(), option(&arguments, "--config-dir").unwrap_or_default().into()))
}

/// `--name=value` or `--name value`.
fn option<'a>(arguments: &[&'a str], name: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(at, argument)| match argument.strip_prefix(name)? {
        "" => arguments.get(at + 1).copied(),
        rest => rest.strip_prefix('='),
    })
}

/// The text of a file; nothing of one that is too large or cannot be read.
fn read(path: &Path) -> String {
    use std::io::Read;
    let mut text = Vec::new();
    let _ = fs::File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut text));
    String::from_utf8(text).unwrap_or_default()
}

pub fn verdict(facts: &Facts) -> Finding {
    let Some((file, grace)) = &facts.kubelet else {
        return Finding::ok(NAME, "not known: no configuration of a kubelet was found");
    };
    let file = file.display();
    if grace.is_zero() {
        return Finding::warning(NAME, "the kubelet has no graceful shutdown: DaemonSet and static pods lose power")
            .advise(format!("set shutdownGracePeriod in {file}, or take it as it is: all others are drained"));
    }
    let wanted = duration_text(*grace);
    match facts.logind {
        None => Finding::ok(NAME, format!("kubelet {wanted}; what logind allows is not known")),
        Some(logind) if logind < *grace => {
            Finding::warning(NAME, format!("the kubelet wants {wanted}, logind allows {}", duration_text(logind)))
                .advise("the kubelet raises InhibitDelayMaxSec when it starts: restart it, and see its log")
        }
        Some(logind) => Finding::ok(NAME, format!("kubelet {wanted}, logind {}", duration_text(logind))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn logind_must_allow_what_the_kubelet_wants() {
        let seconds = Duration::from_secs;
        for (kubelet, logind, result) in [
            (None, None, Verdict::Ok),
            (Some(0), Some(5), Verdict::Warning),
            (Some(150), Some(5), Verdict::Warning),
            (Some(150), Some(150), Verdict::Ok),
            (Some(150), None, Verdict::Ok),
        ] {
            let kubelet = kubelet.map(|grace| (PathBuf::from("/k"), seconds(grace)));
            let facts = Facts { kubelet, logind: logind.map(seconds) };
            assert_eq!(verdict(&facts).result, result, "{facts:?}");
        }
    }

    #[test]
    fn options_are_found_in_both_ways_of_writing_them() {
        let arguments = ["kubelet", "--config-dir=/d", "--config", "/c", "--v=2"];
        assert_eq!(option(&arguments, "--config"), Some("/c"));
        assert_eq!(option(&arguments, "--config-dir"), Some("/d"));
        assert_eq!(option(&arguments, "--kubeconfig"), None);
    }
}
