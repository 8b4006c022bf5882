//! A folder of a test's own, which goes when the test ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A new, empty folder that only its owner can read; removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(purpose: &str) -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("spot-guard-{purpose}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        // Left over from a process of the same id that was killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("make a folder for a test");
        let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&path, only_mine).expect("keep a folder to oneself");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("SPOT_GUARD_TEST_KEEP").is_none() {
            // What cannot be removed is the next boot's to clean.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
