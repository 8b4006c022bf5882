//! A disk of a test's own that is filled, made read-only, or hangs. Only root can have one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::folder::Folder;
use crate::skip::skip;

/// A disk that hangs goes on by itself after this long, so that no failed test leaves processes that nobody can end.
const LONGEST_HANG: Duration = Duration::from_secs(60);

/// A mounted disk; unmounted when this is dropped.
pub struct Disk {
    /// Holds the mount, and the image of a real file system.
    folder: Folder,
    thaw: Option<Sender<()>>,
}

impl Disk {
    /// In memory, of 256 KiB. `None`, after having said so, where it cannot be had.
    pub fn in_memory() -> Option<Disk> {
        let disk = Disk::empty();
        disk.mounted(&["-t", "tmpfs", "-o", "size=256k", "test"])
    }

    /// With a file system that can be frozen. `None`, after having said so, where it cannot be had.
    pub fn that_can_hang() -> Option<Disk> {
        let disk = Disk::empty();
        let image = disk.folder.path().join("image");
        fs::File::create(&image).and_then(|file| file.set_len(16 << 20)).expect("make an image");
        let image = image.to_str().expect("a path in UTF-8");
        if !succeeds("mkfs.ext4", &["-q", image]) {
            skip("mkfs.ext4 (e2fsprogs) is not there or failed");
            return None;
        }
        disk.mounted(&["-o", "loop", image])
    }

    fn empty() -> Disk {
        let folder = Folder::new("disk");
        fs::create_dir(folder.path().join("mnt")).expect("make a folder");
        Disk { folder, thaw: None }
    }

    fn mounted(self, what: &[&str]) -> Option<Disk> {
        let at = self.path();
        let mounted = succeeds("mount", &[what, &[text(&at)]].concat());
        if !mounted {
            skip("nothing can be mounted here; run as root");
        }
        mounted.then_some(self)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    /// Puts it in the place of that folder, which is empty.
    pub fn put_at(&self, folder: &Path) {
        fs::remove_dir(folder).expect("the folder is empty");
        std::os::unix::fs::symlink(self.path(), folder).expect("make a link");
    }

    /// Leaves no room at all.
    pub fn fill(&self) {
        let _ = fs::write(self.path().join("filler"), vec![0; 1 << 20]);
        assert!(fs::write(self.path().join("probe"), "x").is_err(), "there is room left");
    }

    /// There is room again.
    pub fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).expect("remove the filler");
    }

    /// Nothing of one that can hang is in memory afterwards: whoever wants to read it has to wait for it.
    pub fn forget(&self) {
        let (image, at) = (self.folder.path().join("image"), self.path());
        assert!(succeeds("umount", &[text(&at)]), "umount failed");
        assert!(succeeds("mount", &["-o", "loop", text(&image), text(&at)]), "mount failed");
    }

    pub fn make_read_only(&self) {
        self.remount("remount,ro");
    }

    pub fn make_writable(&self) {
        self.remount("remount,rw");
    }

    fn remount(&self, how: &str) {
        assert!(succeeds("mount", &["-o", how, text(&self.path())]), "{how} failed");
    }

    /// Whoever writes to it hangs, in the kernel, until it is let go on.
    pub fn hang(&mut self) {
        let at = Arc::new(self.path());
        assert!(succeeds("fsfreeze", &["--freeze", text(&at)]), "fsfreeze failed");
        let (thaw, thawed) = channel();
        self.thaw = Some(thaw);
        thread::spawn(move || {
            if thawed.recv_timeout(LONGEST_HANG) == Err(RecvTimeoutError::Timeout) {
                succeeds("fsfreeze", &["--unfreeze", text(&at)]);
            }
        });
    }

    pub fn go_on(&mut self) {
        if self.thaw.take().is_some() {
            assert!(succeeds("fsfreeze", &["--unfreeze", text(&self.path())]), "fsfreeze failed");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.thaw.is_some() {
            succeeds("fsfreeze", &["--unfreeze", text(&self.path())]);
        }
        succeeds("umount", &["--lazy", text(&self.path())]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_shows_and_heals() {
        let Some(disk) = Disk::in_memory() else { return };
        let writes = |name: &str| fs::write(disk.path().join(name), "text").is_ok();
        assert!(writes("1"));
        disk.fill();
        assert!(!writes("2"));
        disk.make_room();
        assert!(writes("3"));
        disk.make_read_only();
        assert!(!writes("4"));
        disk.make_writable();
        assert!(writes("5"));
    }

    #[test]
    fn a_disk_that_hangs_holds_a_writer_until_it_goes_on() {
        let Some(mut disk) = Disk::that_can_hang() else { return };
        disk.hang();
        let (done, written) = channel();
        let file = disk.path().join("file");
        thread::spawn(move || done.send(fs::write(file, "text").is_ok()));
        assert_eq!(written.recv_timeout(Duration::from_millis(500)), Err(RecvTimeoutError::Timeout));
        disk.go_on();
        assert_eq!(written.recv_timeout(Duration::from_secs(10)), Ok(true));
    }
}
