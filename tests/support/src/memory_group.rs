//! A control group in which memory runs out. Only root can make one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::unistd::Pid;

use crate::skip::skip;
use crate::wait::wait;

/// The group; removed when this is dropped, which must be after its processes have ended.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// A group with so many bytes. `None`, after having said so, where it cannot be had.
    pub fn of(bytes: u64) -> Option<MemoryGroup> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("spot-guard-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Version 1 of control groups has a hierarchy for memory alone.
        for (parent, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let group = Path::new(parent).join(&name);
            if fs::create_dir(&group).is_err() {
                continue;
            }
            let made = MemoryGroup(group);
            // Where the machine has swap, what a hook eats must not just go there.
            let _ = fs::write(made.0.join("memory.swap.max"), "0");
            if fs::write(made.0.join(limit), bytes.to_string()).is_ok() {
                return Some(made);
            }
        }
        skip("no control group with a limit of memory can be made here; run as root");
        None
    }

    /// Puts a process into it, and all that it starts from then on.
    pub fn take(&self, pid: Pid) {
        fs::write(self.door(), pid.to_string()).expect("put a process into a control group");
    }

    /// The file into which a process writes its number to join the group.
    pub fn door(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// How many processes were killed because memory ran out.
    pub fn kills(&self) -> u64 {
        let files = ["memory.oom_control", "memory.events"];
        let text: String = files.iter().filter_map(|file| fs::read_to_string(self.0.join(file)).ok()).collect();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // What was killed may need a moment to be gone from it.
        let _ = wait(Duration::from_secs(5), || fs::remove_dir(&self.0).ok());
    }
}
