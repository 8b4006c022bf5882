//! The state folder: whether records can be written there.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Scope;
use super::finding::Finding;

pub const NAME: &str = "state folder";

/// What the records of a crowded node take, in bytes: 5,000 pods need 2 MiB, and a record is written beside the old one.
const ENOUGH: u64 = 16 << 20;

/// What the smallest record takes, in bytes.
const LEAST: u64 = 64 << 10;

#[derive(Clone, Debug)]
pub struct Facts {
    pub folder: PathBuf,
    /// The folder, or where it is not there yet the nearest one above it that is.
    pub looked_at: PathBuf,
    pub writable: Result<(), Errno>,
    /// Bytes and files that there is room for; `None` where that is not told. A file system without a table of files
    /// tells of none: then it is `u64::MAX`.
    pub room: Option<(u64, u64)>,
}

pub fn look(folder: &Path) -> Facts {
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let writable = access(there, AccessFlags::W_OK | AccessFlags::X_OK);
    let room = statvfs(there).ok().map(|system| {
        let files = if system.files() == 0 { u64::MAX } else { system.files_available() };
        (system.blocks_available().saturating_mul(system.fragment_size()), files)
    });
    Facts { folder: folder.to_owned(), looked_at: there.to_owned(), writable, room }
}

pub fn verdict(facts: &Facts, scope: Scope, is_root: bool) -> Finding {
    let (folder, place) = (facts.folder.display(), facts.looked_at.display());
    let is_there = facts.folder == facts.looked_at;
    match (facts.writable, facts.room) {
        (Err(_), _) if !is_root => Finding::warning(NAME, format!("not seen: only root may look into {folder}"))
            .advise("sudo spot-guard check"),
        (Err(why), _) => Finding::failure(NAME, format!("{place} cannot be written: {}", why.desc()))
            .advise("a response goes on without it, but not over a restart: mount it writable"),
        (Ok(()), Some((bytes, files))) if bytes < LEAST || files == 0 => {
            Finding::failure(NAME, format!("{place} is full")).advise(format!("df -h {place}; df -i {place}"))
        }
        (Ok(()), Some((bytes, _))) if bytes < ENOUGH => {
            Finding::warning(NAME, format!("{place} has {} left", size(bytes))).advise(format!("df -h {place}"))
        }
        (Ok(()), room) => {
            let room = room.map(|(bytes, _)| format!(", {} left", size(bytes))).unwrap_or_default();
            match (is_there, scope) {
                (true, _) | (_, Scope::Image) => Finding::ok(NAME, format!("{folder}{room}")),
                (false, Scope::Machine) => Finding::ok(NAME, format!("{folder}, to be made at the first start{room}")),
            }
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_folder_that_takes_no_record_is_a_failure() {
        for (writable, room, is_root, result) in [
            (Ok(()), Some((1 << 30, 9)), true, Verdict::Ok),
            (Ok(()), None, true, Verdict::Ok),
            (Ok(()), Some((1 << 20, 9)), true, Verdict::Warning),
            (Ok(()), Some((0, 9)), true, Verdict::Failure),
            (Ok(()), Some((1 << 30, 0)), true, Verdict::Failure),
            (Err(Errno::EROFS), Some((1 << 30, 9)), true, Verdict::Failure),
            (Err(Errno::EACCES), Some((1 << 30, 9)), false, Verdict::Warning),
        ] {
            let facts = Facts { folder: "/s".into(), looked_at: "/s".into(), writable, room };
            assert_eq!(verdict(&facts, Scope::Machine, is_root).result, result, "{facts:?}");
        }
    }
}
