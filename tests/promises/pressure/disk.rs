//! A disk that takes no writes and, to spot-guard, gives nothing that is not in memory already.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::{major, minor};
use stand_ins::control_group::ControlGroup;
use stand_ins::disk::Disk;
use stand_ins::guard::Setup;

/// What lies on a machine's disk: records, hooks, credentials.
const ON_IT: [&str; 3] = ["state", "hooks", "pki"];

pub struct Hanging {
    disk: Disk,
    group: ControlGroup,
}

/// It hangs until this is dropped.
pub struct Hang<'a>(&'a mut Hanging);

impl Hanging {
    pub fn new() -> Option<Hanging> {
        Some(Hanging { disk: Disk::that_can_hang()?, group: ControlGroup::of("blkio")? })
    }

    /// Where what is to find nothing on it joins.
    pub fn door(&self) -> PathBuf {
        self.group.door()
    }

    /// Takes what lies on a machine's disk, and a copy of the program. Nothing of it is in memory.
    pub fn take(&self, setup: &Setup, program: &Path) -> PathBuf {
        let at = self.disk.path();
        for name in ON_IT {
            let here = setup.folder().join(name);
            assert!(Command::new("mv").args([&here, &at]).status().unwrap().success());
            symlink(at.join(name), here).unwrap();
        }
        let copy = at.join("spot-guard");
        fs::copy(program, &copy).unwrap();
        self.disk.forget();
        copy
    }

    pub fn hang(&mut self) -> Hang<'_> {
        self.limit_reads(1);
        self.disk.hang();
        Hang(self)
    }

    /// To so many bytes a second; 0 is no limit.
    fn limit_reads(&self, bytes: u64) {
        let device = fs::metadata(self.disk.path()).unwrap().dev();
        self.group.set("blkio.throttle.read_bps_device", &format!("{}:{} {bytes}", major(device), minor(device)));
    }
}

impl Drop for Hang<'_> {
    fn drop(&mut self) {
        self.0.limit_reads(0);
        self.0.disk.go_on();
    }
}
