//! What systemd knows of units, and of how long the machine may take to go off.

use std::ffi::OsString;
use std::time::Duration;

use super::first_line_of;
use crate::moment::Moment;
use crate::process::{self, Command, Limits, Priority};

/// How long systemctl may take; it needs some 20 ms.
const PATIENCE: Duration = Duration::from_secs(2);

/// Far more than some properties of a dozen units have, in bytes.
const OUTPUT: usize = 256 * 1024;

/// The properties of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit(Vec<(String, String)>);

impl Unit {
    /// The property of this name; empty where there is none.
    pub fn property(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl FromIterator<(String, String)> for Unit {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(properties: T) -> Unit {
        Unit(properties.into_iter().collect())
    }
}

/// These properties of these units, in the order in which they are named; a unit that is not there has
/// `LoadState=not-found`. Nothing at all where systemd does not run, as in a chroot.
pub fn show(units: &[&str], properties: &[&str]) -> Vec<Unit> {
    let properties = format!("--property={}", properties.join(","));
    let arguments = ["show", "--no-pager", &properties, "--"].into_iter().chain(units.iter().copied());
    let command = Command {
        program: "systemctl".into(),
        arguments: arguments.map(OsString::from).collect(),
        environment: super::environment(),
        input: [].into(),
        folder: None,
    };
    let limits = Limits { ends: Moment::now() + PATIENCE, patience: Duration::ZERO, output: OUTPUT };
    match process::run_to_end(&command, &limits, Priority::Ordinary) {
        Ok(output) => read(&String::from_utf8_lossy(&output.stdout)),
        Err(_) => Vec::new(),
    }
}

/// One unit after the other, an empty line between them.
fn read(text: &str) -> Vec<Unit> {
    let unit = |block: &str| -> Unit {
        block.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
    };
    text.split("\n\n").map(unit).filter(|unit| *unit != Unit::default()).collect()
}

/// Whether a unit is `enabled`, `disabled`, `masked` and so on by the links on the disk, whether systemd runs or not.
pub fn unit_file_state(unit: &str) -> Option<String> {
    first_line_of("systemctl", &["is-enabled", unit]).filter(|state| !state.is_empty() && !state.contains(' '))
}

/// How long logind lets others hold up a shutdown: its `InhibitDelayMaxSec`, as it is in force.
pub fn longest_inhibition() -> Option<Duration> {
    let manager = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"];
    let arguments = [&["get-property"], &manager[..], &["InhibitDelayMaxUSec"]].concat();
    let said = first_line_of("busctl", &arguments)?;
    said.strip_prefix("t ")?.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_one_after_the_other() {
        let read = read("Id=a.service\nAfter=b.service c.service\n\nId=d.service\nLoadState=not-found\n");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].property("After"), "b.service c.service");
        assert_eq!(read[1].property("LoadState"), "not-found");
        assert!(super::read("").is_empty());
    }
}
