//! One daemon on a machine: two would each run the hooks.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Held as long as the daemon lives; the kernel lets go of it however the daemon ends.
pub struct OnlyOne {
    _lock: Option<Flock<File>>,
}

impl OnlyOne {
    /// Locks a file in the runtime folder. Where that cannot be made the daemon goes on without: an instance without
    /// a guard is worse than one with two.
    ///
    /// # Errors
    /// The path of the lock, when another daemon holds it.
    pub fn lock(runtime: &Path) -> Result<OnlyOne, PathBuf> {
        let path = runtime.join("lock");
        let file = match create(&path) {
            Ok(file) => file,
            Err(error) => {
                log::warn!("cannot lock {}: {error}; a second copy would not be noticed", path.display());
                return Ok(OnlyOne { _lock: None });
            }
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(OnlyOne { _lock: Some(lock) }),
            Err((_, Errno::EWOULDBLOCK)) => Err(path),
            Err((_, error)) => {
                log::warn!("cannot lock {}: {error}; a second copy would not be noticed", path.display());
                Ok(OnlyOne { _lock: None })
            }
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    File::options().create(true).truncate(false).write(true).open(path)
}
