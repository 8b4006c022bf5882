//! What the kernel says of a running process.

use std::fs;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A line of `/proc/PID/status` that is in kibibytes: `VmRSS` (memory now), `VmHWM` (the most it ever was).
pub fn kibibytes(pid: u32, name: &str) -> f64 {
    kibibytes_while_it_runs(pid, name).unwrap_or_else(|| panic!("no {name} in /proc/{pid}/status"))
}

/// The same of a process that may have ended.
pub fn kibibytes_while_it_runs(pid: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The processor time that it has used so far, to the nanosecond (`utime` and `stime` of `/proc/PID/stat` count
/// hundredths of a second, a few of which are all that an idle daemon uses in minutes).
pub fn processor_time(pid: u32) -> Duration {
    let pid = Pid::from_raw(pid.try_into().expect("a process id"));
    let clock = clock_getcpuclockid(pid).expect("the daemon runs");
    clock_gettime(clock).expect("a clock that exists").into()
}
