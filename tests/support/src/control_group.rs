//! Control groups of a test's own, in version 1, where each controller has a hierarchy of its own. Only root can make one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::skip::skip;
use crate::wait::wait;

/// The group; removed when this is dropped, which must be after its processes have ended.
pub struct ControlGroup(PathBuf);

impl ControlGroup {
    /// A group of this controller (`cpu`, `blkio`). `None`, after having said so, where it cannot be had.
    pub fn of(controller: &str) -> Option<ControlGroup> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("spot-guard-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let group = Path::new("/sys/fs/cgroup").join(controller).join(name);
        if fs::create_dir(&group).is_err() {
            skip(&format!("no control group of {controller} can be made here; run as root, with version 1 of them"));
            return None;
        }
        Some(ControlGroup(group))
    }

    /// A group in this one, with this setting.
    pub fn within(&self, name: &str, file: &str, value: &str) -> ControlGroup {
        let group = ControlGroup(self.0.join(name));
        fs::create_dir(&group.0).expect("make a control group");
        group.set(file, value);
        group
    }

    pub fn set(&self, file: &str, value: &str) {
        fs::write(self.0.join(file), value).unwrap_or_else(|error| panic!("set {file} to {value}: {error}"));
    }

    /// The file into which a process writes its number to join the group.
    pub fn door(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // What was killed may need a moment to be gone from it.
        let _ = wait(Duration::from_secs(5), || fs::remove_dir(&self.0).ok());
    }
}
