//! Memory that is short: a group of few pages, in which another process reads more than fits, over and over. What is not in
//! use is given away, and what is needed again has to be read from the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;
use stand_ins::memory_group::MemoryGroup;
use stand_ins::wait::expect;

use crate::seconds;

/// For spot-guard, for what reads, and for what the kernel keeps of both.
const MEMORY: u64 = 8 << 20;

/// What is read over and over.
const READ: u64 = 64 << 20;

pub struct Shortage {
    reader: Option<Child>,
    group: MemoryGroup,
}

impl Shortage {
    pub fn new() -> Option<Shortage> {
        Some(Shortage { reader: None, group: MemoryGroup::of(MEMORY)? })
    }

    /// Where spot-guard joins.
    pub fn door(&self) -> PathBuf {
        self.group.door()
    }

    /// Comes back when this process, which has joined, has lost pages and read them again.
    pub fn begin(&mut self, process: Pid, folder: &Path) {
        let before = read_from_disk(process);
        self.reader = Some(reader(&self.door(), folder));
        expect("pages are read again", seconds(20), || (read_from_disk(process) > before).then_some(()));
    }

    pub fn assert_still_short(&mut self) {
        assert!(self.reader.as_mut().unwrap().try_wait().unwrap().is_none(), "what reads has ended");
        assert_eq!(self.group.kills(), 0, "memory was not short, it ran out");
    }
}

impl Drop for Shortage {
    fn drop(&mut self) {
        if let Some(reader) = &mut self.reader {
            let _ = reader.kill();
            let _ = reader.wait();
        }
    }
}

/// Reads while the test's process is there. A file of holes takes memory like any other, and nothing of the disk.
fn reader(door: &Path, folder: &Path) -> Child {
    let file = folder.join("holes");
    fs::File::create(&file).unwrap().set_len(READ).unwrap();
    let script =
        format!("echo $$ >{}; while kill -0 $PPID; do cat {} >/dev/null; done", door.display(), file.display());
    Command::new("sh").args(["-ec", &script]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A copy of the program that nobody has read: what is needed of it comes from the disk, into the memory of whom needs it.
pub fn not_in_memory(program: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("spot-guard");
    fs::copy(program, &copy).unwrap();
    fs::File::open(&copy).unwrap().sync_all().unwrap();
    let forget = [&format!("if={}", copy.display()), "iflag=nocache", "count=0", "status=none"];
    assert!(Command::new("dd").args(forget).status().unwrap().success());
    copy
}

/// How often the process had to wait for a page from the disk.
pub fn read_from_disk(process: Pid) -> u64 {
    // proc_pid_stat(5): majflt, the twelfth.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(9).unwrap().parse().unwrap()
}
