//! How much of a busy processor a process gets.

use rustix::process::{Pid, getpriority_process, setpriority_process};

/// Added to the niceness: beside an ordinary process it gets a tenth of a processor (sched(7)), which is what a plugin of
/// half a second takes five seconds with. At 19 it would be half a minute. Its disk accesses come later too (ioprio_set(2)).
const ADDED: i32 = 10;

/// Lets that process, which was just started, give way to others. What it starts from now on does so too.
pub(super) fn lower(pid: i32) {
    // Without a number it would be the daemon's own.
    let Some(pid) = Pid::from_raw(pid) else { return };
    // Of one that has ended meanwhile there is none.
    if let Ok(niceness) = getpriority_process(Some(pid)) {
        let _ = setpriority_process(Some(pid), niceness + ADDED);
    }
}
