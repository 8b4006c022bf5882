//! From nothing to protected, upgraded, and taken away without a trace, by the commands of docs/install.md.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stand_ins::docs;

use crate::machine::{Machine, Plan, plan, plan_on};
use crate::packages::{older, package};

/// A kind of package, with the headings below which the page tells of it.
struct Kind {
    end: &'static str,
    install: &'static str,
    upgrade: &'static str,
    take_away: &'static str,
}

const DEB: Kind = Kind { end: ".deb", install: "## Debian, Ubuntu", upgrade: "### deb", take_away: "### the deb" };
const RPM: Kind =
    Kind { end: ".rpm", install: "## Amazon Linux, Fedora, RHEL", upgrade: "### rpm", take_away: "### the rpm" };
const TARBALL: Kind = Kind {
    end: ".tar.gz",
    install: "## Any other Linux with systemd",
    upgrade: "### tarball",
    take_away: "### the tarball",
};

/// Debian's rpm has a database without packages, so that it misses even a shell, and wants to be told that it is meant.
pub const RPM_OF_DEBIAN: &str = "#!/bin/sh\nexec /usr/bin/rpm --nodeps --force-debian \"$@\"\n";

const SETTINGS: &str = "[imds]\npoll-interval = \"2s\"\n";

/// Boots a machine without spot-guard, on which the commands are typed by root.
fn boot_bare(plan: Plan) -> Machine {
    plan.bare().file("/usr/local/bin/sudo", 0o755, "#!/bin/sh\nexec \"$@\"\n").boot()
}

/// Types the commands that the page shows below a heading.
fn type_in(machine: &Machine, commands: &[String]) {
    for command in commands {
        machine.run(&["sh", "-c", &format!("cd /root && {command}")]);
    }
}

fn copy_to(machine: &Machine, file: &Path) -> PathBuf {
    let name = file.file_name().unwrap();
    fs::copy(file, machine.path("/root").join(name)).unwrap();
    Path::new("/root").join(name)
}

fn assert_is_off(machine: &Machine) {
    let state = [machine.unit("ActiveState"), machine.unit("UnitFileState")];
    assert_eq!(state, ["inactive", "disabled"]);
}

/// Every file on the disk but for what others keep: dpkg's and rpm's databases, timers' stamps.
fn files(machine: &Machine) -> BTreeSet<String> {
    let found = machine.says(&["find", "/etc", "/usr", "/opt", "/var/lib", "-xdev", "!", "-type", "d"]);
    let others = ["/var/lib/dpkg/", "/var/lib/rpm/", "/var/lib/systemd/timers/"];
    found.lines().filter(|path| !others.iter().any(|other| path.starts_with(other))).map(str::to_owned).collect()
}

/// A notice is answered, with the hook of the user.
fn assert_is_protected(machine: &Machine) {
    machine.wait_for("the daemon", || machine.unit("ActiveState") == "active");
    assert_eq!(machine.unit("UnitFileState"), "enabled");
    let checked = machine.says(&["spot-guard", "check"]);
    assert!(checked.contains("\n0 failures, "), "{checked}");
    let hook = machine.path("/etc/spot-guard/hooks/post-drain.d/10-tell");
    fs::write(&hook, "#!/bin/sh\necho $SPOT_GUARD_ACTION >/var/tmp/told\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    machine.interrupt(Duration::from_secs(60));
    machine.wait_for("the response's end", || machine.records().iter().any(|record| !record["outcome"].is_null()));
    assert_eq!(machine.read("/var/tmp/told"), "terminate\n", "{}", machine.journal());
}

/// Takes spot-guard away as the page says; then the files are those that were there before it came.
fn take_away(machine: &Machine, kind: &Kind, before: &BTreeSet<String>) {
    type_in(machine, &docs::commands("install.md", kind.take_away));
    assert_eq!(machine.says(&["pidof", "spot-guard"]), "");
    assert_eq!(machine.unit("LoadState"), "not-found");
    let traces = machine.says(&["find", "/", "/run", "-xdev", "-name", "*spot-guard*", "!", "-path", "/root/*"]);
    assert_eq!(traces, "");
    let after = files(machine);
    assert_eq!(after.symmetric_difference(before).collect::<Vec<_>>(), [""; 0]);
}

fn from_nothing_to_protected_and_back(machine: &mut Machine, kind: &Kind) {
    let before = files(machine);
    copy_to(machine, &package(kind.end));
    let commands = docs::commands("install.md", kind.install);
    let (install, enable) = commands.split_at(commands.len() - 1);
    type_in(machine, install);
    assert_is_off(machine);
    type_in(machine, enable);
    assert_is_protected(machine);

    machine.run(&["systemctl", "reboot"]);
    machine.boot_again();
    machine.wait_for("the daemon after a boot", || machine.unit("ActiveState") == "active");
    take_away(machine, kind, &before);
}

/// An older package, whose configuration is changed, is upgraded as the page says while the daemon runs.
fn upgrade(machine: &Machine, kind: &Kind, install: &str) {
    let before = files(machine);
    let older = copy_to(machine, &older(kind.end));
    machine.run(&["sh", "-c", &format!("{install} {}", older.display())]);
    machine.run(&["systemctl", "daemon-reload"]);
    machine.run(&["systemctl", "enable", "--now", "spot-guard"]);
    fs::write(machine.path("/etc/spot-guard/config.toml"), SETTINGS).unwrap();
    let pid = machine.unit("MainPID");

    copy_to(machine, &package(kind.end));
    type_in(machine, &docs::commands("install.md", kind.upgrade));
    assert_eq!(machine.read("/etc/spot-guard/config.toml"), SETTINGS);
    let state = [machine.unit("ActiveState"), machine.unit("UnitFileState"), machine.unit("NeedDaemonReload")];
    assert_eq!(state, ["active", "enabled", "no"]);
    assert_ne!(machine.unit("MainPID"), pid, "it is not started anew");
    take_away(machine, kind, &before);
}

#[test]
fn a_deb_brings_a_machine_from_nothing_to_protected_is_upgraded_and_leaves_nothing_behind() {
    let Some(plan) = plan() else { return };
    let mut machine = boot_bare(plan);
    from_nothing_to_protected_and_back(&mut machine, &DEB);
    upgrade(&machine, &DEB, "dpkg --install");
}

#[test]
fn a_deb_that_is_removed_keeps_configuration_and_records_until_it_is_purged() {
    let Some(plan) = plan() else { return };
    let machine = boot_bare(plan);
    copy_to(&machine, &package(DEB.end));
    type_in(&machine, &docs::commands("install.md", DEB.install));
    fs::write(machine.path("/etc/spot-guard/config.toml"), SETTINGS).unwrap();
    machine.run(&["dpkg", "--remove", "spot-guard"]);
    assert_eq!(machine.says(&["pidof", "spot-guard"]), "");
    assert!(!machine.path("/usr/bin/spot-guard").exists() && machine.path("/var/lib/spot-guard").exists());

    // It comes back as it was: enabled, and with its settings.
    machine.run(&["sh", "-c", &docs::commands("install.md", DEB.install)[0].replace("sudo dpkg", "cd /root && dpkg")]);
    assert_eq!(machine.unit("UnitFileState"), "enabled");
    assert_eq!(machine.read("/etc/spot-guard/config.toml"), SETTINGS);
}

#[test]
fn an_rpm_brings_a_machine_from_nothing_to_protected_is_upgraded_and_leaves_nothing_behind() {
    let Some(plan) = plan_on("SPOT_GUARD_TEST_RPM_MACHINE") else { return };
    let mut machine = boot_bare(plan.file("/usr/local/bin/rpm", 0o755, RPM_OF_DEBIAN));
    from_nothing_to_protected_and_back(&mut machine, &RPM);
    upgrade(&machine, &RPM, "rpm --install");
}

#[test]
fn a_tarball_brings_a_machine_from_nothing_to_protected_is_upgraded_and_leaves_nothing_behind() {
    let Some(plan) = plan() else { return };
    let mut machine = boot_bare(plan);
    from_nothing_to_protected_and_back(&mut machine, &TARBALL);
    upgrade(&machine, &TARBALL, "tar -C / -xzf");
}

#[test]
fn in_an_image_a_preset_of_the_users_enables_it_at_the_first_boot_and_none_leaves_it_off() {
    let Some(plan) = plan() else { return };
    let machine = boot_bare(plan);
    copy_to(&machine, &package(TARBALL.end));
    fs::create_dir(machine.path("/mnt/image")).unwrap();
    let link = "/mnt/image/etc/systemd/system/multi-user.target.wants/spot-guard.service";
    let commands = docs::commands("install.md", "## Into an image");
    type_in(&machine, &commands[..1]);
    // What systemd does at a first boot.
    let preset = ["systemctl", "--root=/mnt/image", "preset-all"];
    machine.run(&preset);
    assert!(fs::symlink_metadata(machine.path(link)).is_err());
    type_in(&machine, &commands[1..]);
    assert!(fs::symlink_metadata(machine.path(link)).is_ok());

    fs::remove_file(machine.path(link)).unwrap();
    let own = docs::line("install.md", "50-spot-guard.preset").replace(" /etc", " /mnt/image/etc");
    machine.run(&["mkdir", "-p", "/mnt/image/etc/systemd/system-preset"]);
    type_in(&machine, &[own]);
    machine.run(&preset);
    assert!(fs::symlink_metadata(machine.path(link)).is_ok());
}
