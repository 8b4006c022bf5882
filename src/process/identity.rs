//! Which process a number means: numbers are given out again, start times are not.

use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Started;
use crate::moment::Moment;

/// How long the kernel may take to end what it was told to kill.
const PATIENCE: Duration = Duration::from_secs(1);

impl Started {
    /// The process that has this number now. It must be a child that nobody has waited for yet.
    pub(super) fn of_child(pid: i32) -> Started {
        // Without /proc there is no start time; 0 belongs to no process, so that nothing is killed by mistake later.
        Started { pid, start_time: Stat::read(pid).map_or(0, |stat| stat.start_time) }
    }
}

/// Kills the group of a process that an earlier life of the daemon started, if that very process is still there; says
/// whether it still lived.
pub fn kill_left_over(started: &Started) -> bool {
    let Some(found) = Stat::of(started) else { return false };
    // The group's number is the leader's, and nobody else's while the leader is there.
    if found.group == started.pid {
        let _ = killpg(Pid::from_raw(started.pid), Signal::SIGKILL);
    }
    let patience_ends = Moment::now() + PATIENCE;
    while Stat::of(started).is_some_and(|stat| !stat.zombie) && Moment::now() < patience_ends {
        std::thread::sleep(Duration::from_millis(10));
    }
    !found.zombie
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    zombie: bool,
    group: i32,
    start_time: u64,
}

impl Stat {
    /// Of that very process, if it is still there.
    fn of(started: &Started) -> Option<Stat> {
        Stat::read(started.pid).filter(|stat| stat.start_time == started.start_time)
    }

    fn read(pid: i32) -> Option<Stat> {
        Stat::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// proc_pid_stat(5): the second field is a name in brackets that may itself hold spaces and brackets.
    fn parse(line: &[u8]) -> Option<Stat> {
        let after_name = line.iter().rposition(|byte| *byte == b')')? + 1;
        let fields: Vec<&str> = std::str::from_utf8(line.get(after_name..)?).ok()?.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Stat {
            zombie: matches!(field(3)?, "Z" | "X"),
            group: field(5)?.parse().ok()?,
            start_time: field(22)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = b"71 (a) b (c) S 1 70 70 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 10";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.zombie, stat.group, stat.start_time), (false, 70, 123_456));
    }

    #[test]
    fn what_is_no_stat_line_is_no_process() {
        for line in ["", ")", "71 (a", "71 (a) S 1", "71 (a) S 1 x 70 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 123456"] {
            assert!(Stat::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
