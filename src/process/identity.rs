//! Which process a number means: numbers are given out again, start times are not.

use std::fs::{self, File};
use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Started;
use crate::moment::Moment;

/// How long the kernel may take to end what it was told to kill.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which environments are read at most: the kernel allows no more by default (a quarter of an 8 MiB stack).
const LARGEST_ENVIRONMENT: u64 = 2 << 20;

impl Started {
    /// The process that has this number now. It must be a child that nobody has waited for yet.
    pub(super) fn of_child(pid: i32) -> Started {
        // Without /proc there is no start time; 0 belongs to no process, so that nothing is killed by mistake later.
        Started { pid, start_time: Stat::read(pid).map_or(0, |stat| stat.start_time) }
    }

    /// Whether anything of the group still lives. Without its first process the number alone says nothing, as it may
    /// be another group's by now: then only one that carries `mark` shows whose group it is.
    fn group_lives(&self, mark: &str) -> bool {
        let leader_is_there = Stat::of(self).is_some_and(|leader| leader.group == self.pid);
        let of_that_number = |stat: &Stat| stat.group == self.pid && stat.start_time >= self.start_time && !stat.zombie;
        self.start_time > 0
            && processes().any(|(pid, stat)| of_that_number(&stat) && (leader_is_there || carries(pid, mark)))
    }
}

/// Kills the groups of processes that an earlier life of the daemon started, first process or not, and waits a second
/// at most until they are gone; says how many there were.
///
/// `mark` is a variable (`NAME=value`) that all of them, and no others, have had in their environment.
pub fn kill_left_over(started: &[Started], mark: &str) -> usize {
    let (started, mark) = (started.to_vec(), mark.to_owned());
    let (done, killed) = mpsc::channel();
    let kill = move || done.send(kill_groups(&started, &mark)).is_ok();
    // On a thread of its own: what the kernel says of a process that hangs in it may not come.
    match thread::Builder::new().stack_size(256 * 1024).spawn(kill) {
        Ok(_) => killed.recv_timeout(PATIENCE * 2).unwrap_or(0),
        Err(_) => 0,
    }
}

fn kill_groups(started: &[Started], mark: &str) -> usize {
    let living: Vec<&Started> = started.iter().filter(|one| one.group_lives(mark)).collect();
    for one in &living {
        // The number stays the group's while anything of it lives.
        let _ = killpg(Pid::from_raw(one.pid), Signal::SIGKILL);
    }
    let patience_ends = Moment::now() + PATIENCE;
    while living.iter().any(|one| one.group_lives(mark)) && Moment::now() < patience_ends {
        thread::sleep(Duration::from_millis(10));
    }
    living.len()
}

/// All processes that there are.
fn processes() -> impl Iterator<Item = (i32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, Stat::read(pid)?))
    })
}

/// Whether the environment with which that process was started holds the variable `mark` (`NAME=value`).
fn carries(pid: i32, mark: &str) -> bool {
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(LARGEST_ENVIRONMENT).read_to_end(&mut environment));
    read.is_ok() && environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
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
        Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
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
