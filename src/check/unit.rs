//! The systemd unit: whether it is installed, enabled, and ordered so that spot-guard stops before what it drains.

use super::Scope;
use super::finding::Finding;
use crate::systemd::units::{self, Unit};

pub const NAME: &str = "unit";

const UNIT: &str = "spot-guard.service";

/// What spot-guard must stop before: as in the shipped unit.
pub const ORDERED_BEFORE: [&str; 8] = [
    "containerd.service",
    "crio.service",
    "docker.service",
    "kubelet.service",
    "k3s.service",
    "k3s-agent.service",
    "rke2-server.service",
    "rke2-agent.service",
];

const PROPERTIES: [&str; 5] = ["Id", "LoadState", "UnitFileState", "After", "NeedDaemonReload"];

#[derive(Clone, Debug)]
pub enum Facts {
    /// systemd runs: its own unit, then the others.
    Running(Vec<Unit>),
    /// It does not, as in a chroot: what the links on the disk say.
    Offline(Option<String>),
}

pub fn look() -> Facts {
    let names: Vec<&str> = [UNIT].into_iter().chain(ORDERED_BEFORE).collect();
    let units = units::show(&names, &PROPERTIES);
    if units.is_empty() { Facts::Offline(units::unit_file_state(UNIT)) } else { Facts::Running(units) }
}

pub fn verdict(facts: &Facts, scope: Scope) -> Finding {
    match facts {
        Facts::Running(units) => match units.split_first() {
            Some((own, others)) => running(own, others),
            None => offline(None, scope),
        },
        Facts::Offline(state) => offline(state.as_deref(), scope),
    }
}

fn offline(state: Option<&str>, scope: Scope) -> Finding {
    match (state, scope) {
        (Some("enabled"), _) => Finding::ok(NAME, "enabled; systemd does not run here, so its order was not seen"),
        (Some("not-found"), _) => not_installed(),
        (Some(state), _) => not_enabled(state),
        // In a chroot systemctl has no word for a unit that is not there.
        (None, Scope::Image) => not_installed(),
        (None, Scope::Machine) => {
            Finding::warning(NAME, "systemd does not run here and does not say whether spot-guard is enabled")
                .advise("on the machine itself: systemctl is-enabled spot-guard")
        }
    }
}

fn running(own: &Unit, others: &[Unit]) -> Finding {
    match own.property("LoadState") {
        "loaded" => {}
        "not-found" => return not_installed(),
        "masked" => return not_enabled("masked"),
        other => {
            return Finding::failure(NAME, format!("{UNIT} cannot be used: {other}"))
                .advise("systemd-analyze verify spot-guard.service");
        }
    }
    let state = own.property("UnitFileState");
    if !state.starts_with("enabled") {
        return not_enabled(state);
    }
    let after = own.property("After");
    let installed = others.iter().filter(|unit| unit.property("LoadState") == "loaded").map(|unit| unit.property("Id"));
    let (ordered, late): (Vec<&str>, Vec<&str>) =
        installed.partition(|unit| after.split(' ').any(|other| other == *unit));
    if !late.is_empty() {
        let late = late.join(", ");
        return Finding::warning(
            NAME,
            format!("not ordered after {late}: on the way down spot-guard may stop too late"),
        )
        .advise(format!("systemctl edit spot-guard, and there: [Unit] After={late}"));
    }
    if own.property("NeedDaemonReload") == "yes" {
        return Finding::warning(NAME, "changed on the disk since systemd read it").advise("systemctl daemon-reload");
    }
    let before = if ordered.is_empty() { String::new() } else { format!(", stops before {}", ordered.join(", ")) };
    Finding::ok(NAME, format!("{state}{}", before.replace(".service", "")))
}

fn not_installed() -> Finding {
    Finding::failure(NAME, format!("{UNIT} is not installed"))
        .advise("install the unit (make install does), then: systemctl daemon-reload; systemctl enable spot-guard")
}

fn not_enabled(state: &str) -> Finding {
    let first = if state.starts_with("masked") { "systemctl unmask spot-guard; " } else { "" };
    Finding::failure(NAME, format!("{state}: nothing starts it at the next boot"))
        .advise(format!("{first}systemctl enable spot-guard"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn unit(properties: &[(&str, &str)]) -> Unit {
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_unit_must_be_there_enabled_and_ordered() {
        let own = |state: &str, after: &str, reload: &str| {
            unit(&[("LoadState", "loaded"), ("UnitFileState", state), ("After", after), ("NeedDaemonReload", reload)])
        };
        let kubelet = |load: &str| unit(&[("Id", "kubelet.service"), ("LoadState", load)]);
        for (own, kubelet, result) in [
            (own("enabled", "kubelet.service x.service", "no"), kubelet("loaded"), Verdict::Ok),
            (own("enabled", "x.service", "no"), kubelet("not-found"), Verdict::Ok),
            (own("enabled", "x.service", "no"), kubelet("loaded"), Verdict::Warning),
            (own("enabled", "kubelet.service", "yes"), kubelet("loaded"), Verdict::Warning),
            (own("disabled", "kubelet.service", "no"), kubelet("loaded"), Verdict::Failure),
            (unit(&[("LoadState", "not-found")]), kubelet("loaded"), Verdict::Failure),
            (unit(&[("LoadState", "masked")]), kubelet("loaded"), Verdict::Failure),
            (unit(&[("LoadState", "bad-setting")]), kubelet("loaded"), Verdict::Failure),
        ] {
            let facts = Facts::Running(vec![own, kubelet]);
            assert_eq!(verdict(&facts, Scope::Machine).result, result, "{facts:?}");
        }
    }

    #[test]
    fn without_a_running_systemd_the_links_on_the_disk_decide() {
        for (state, result) in [
            (Some("enabled"), Verdict::Ok),
            (Some("disabled"), Verdict::Failure),
            (Some("not-found"), Verdict::Failure),
            (None, Verdict::Warning),
        ] {
            assert_eq!(verdict(&Facts::Offline(state.map(str::to_owned)), Scope::Machine).result, result, "{state:?}");
        }
        assert_eq!(verdict(&Facts::Offline(None), Scope::Image).result, Verdict::Failure);
    }

    #[test]
    fn the_shipped_unit_is_ordered_after_all_that_is_looked_for() {
        let unit = include_str!("../../systemd/spot-guard.service");
        let after: Vec<&str> =
            unit.lines().filter_map(|line| line.strip_prefix("After=")).flat_map(|l| l.split(' ')).collect();
        assert!(ORDERED_BEFORE.iter().all(|unit| after.contains(unit)), "{after:?}");
    }
}
