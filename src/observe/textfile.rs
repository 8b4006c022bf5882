//! Writes a text for node_exporter's textfile collector, on a thread of its own: a folder that hangs holds nobody up.
//!
//! Knows how the file comes to be there as a whole. Knows nothing of what is in it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::moment::Moment;
use crate::trouble::Trouble;

/// A write that takes longer is told as trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// node_exporter runs as another user.
const MODE: u32 = 0o644;

/// One file, of which the latest text counts: one that was not begun when the next came is never written.
pub struct Textfile {
    path: PathBuf,
    desk: Arc<Desk>,
    trouble: Trouble,
}

/// What the thread and the others share.
#[derive(Default)]
struct Desk {
    sheet: Mutex<Sheet>,
    changed: Condvar,
}

#[derive(Default)]
struct Sheet {
    waiting: Option<Work>,
    /// When the work began that is not over.
    busy_since: Option<Moment>,
    /// What came of the latest, until somebody looks.
    came_of_it: Option<Result<(), String>>,
}

enum Work {
    Write(String),
    /// The file is removed and the thread ends.
    Remove,
}

impl Textfile {
    /// Nothing is written yet.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn at(path: &Path) -> io::Result<Textfile> {
        let desk = Arc::<Desk>::default();
        let (theirs, file) = (Arc::clone(&desk), path.to_owned());
        let work = move || work_on(&file, &theirs);
        thread::Builder::new().name("metrics".into()).stack_size(64 * 1024).spawn(work)?;
        Ok(Textfile { path: path.to_owned(), desk, trouble: Trouble::default() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands over the latest text.
    pub fn write(&self, text: String) {
        self.desk.give(Work::Write(text));
    }

    /// Hands over the last one and waits until it is written, for so long at most.
    pub fn write_last(&self, text: String, patience: Duration) {
        self.write(text);
        let is_busy = |sheet: &mut Sheet| sheet.waiting.is_some() || sheet.busy_since.is_some();
        drop(self.desk.changed.wait_timeout_while(self.desk.sheet(), patience, is_busy));
    }

    /// Removes the file and ends the thread, whenever that comes about.
    pub fn remove(self) {
        self.desk.give(Work::Remove);
    }

    /// Tells the log when the file cannot be written any more, and when it can again.
    pub fn look(&mut self, now: Moment) {
        let path = self.path.display();
        match self.desk.state(now) {
            Some(Err(why)) if self.trouble.came(&why, now).is_some() => {
                log::warn!("cannot write the metrics to {path}: {why}");
            }
            Some(Ok(())) if self.trouble.over(now).is_some() => {
                log::info!("the metrics are written to {path} again");
            }
            _ => {}
        }
    }
}

impl Desk {
    /// A poisoned lock still guards whole values.
    fn sheet(&self) -> MutexGuard<'_, Sheet> {
        self.sheet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, work: Work) {
        self.sheet().waiting = Some(work);
        self.changed.notify_all();
    }

    fn take(&self) -> Work {
        loop {
            let waited = self.changed.wait_while(self.sheet(), |sheet| sheet.waiting.is_none());
            let mut sheet = waited.unwrap_or_else(PoisonError::into_inner);
            if let Some(work) = sheet.waiting.take() {
                sheet.busy_since = Some(Moment::now());
                return work;
            }
        }
    }

    fn done(&self, result: io::Result<()>) {
        let mut sheet = self.sheet();
        sheet.busy_since = None;
        sheet.came_of_it = Some(result.map_err(|error| error.to_string()));
        self.changed.notify_all();
    }

    /// What there is to tell since somebody looked last.
    fn state(&self, now: Moment) -> Option<Result<(), String>> {
        let mut sheet = self.sheet();
        let hangs = sheet.busy_since.is_some_and(|since| now.since(since) >= PATIENCE);
        if hangs {
            return Some(Err(format!("it has not been written for {} s; does its disk hang?", PATIENCE.as_secs())));
        }
        sheet.came_of_it.take()
    }
}

fn work_on(path: &Path, desk: &Desk) {
    loop {
        match desk.take() {
            Work::Write(text) => desk.done(write(path, &text)),
            Work::Remove => {
                // What is not there is as well.
                let _ = fs::remove_file(path);
                return;
            }
        }
    }
}

/// Puts the text in the place of the file, as a whole. The folder may belong to another user: no link that lies there is
/// followed.
fn write(path: &Path, text: &str) -> io::Result<()> {
    // Its end is not the one that node_exporter reads.
    let new = path.with_extension("prom.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // On a full disk it would take what room there is.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    /// A folder of a test's own.
    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("spot-guard-textfile-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_file_is_there_as_a_whole_for_everybody_and_no_link_is_followed() {
        let folder = folder("whole");
        let (path, precious) = (folder.join("a.prom"), folder.join("precious"));
        fs::write(&precious, "untouched").unwrap();
        std::os::unix::fs::symlink(&precious, folder.join("a.prom.new")).unwrap();
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        for text in ["one\n", "two\n"] {
            write(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let file = fs::symlink_metadata(&path).unwrap();
            assert!(file.is_file() && file.permissions().mode() & 0o777 == MODE, "{file:?}");
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "untouched");
        assert!(!folder.join("a.prom.new").exists());
        assert!(write(&folder.join("none/a.prom"), "").is_err(), "its folder is not made");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_waits_gives_way_to_the_next_and_a_write_that_takes_long_is_told() {
        let desk = Desk::default();
        desk.give(Work::Write("old".into()));
        desk.give(Work::Write("new".into()));
        assert!(matches!(desk.take(), Work::Write(text) if text == "new"));
        let since = Moment::after_boot(NOW);
        desk.sheet().busy_since = Some(since);
        assert_eq!(desk.state(since + PATIENCE - Duration::from_millis(1)), None);
        assert!(desk.state(since + PATIENCE).unwrap().unwrap_err().contains("5 s"));
        desk.done(Ok(()));
        assert_eq!(desk.state(since + PATIENCE), Some(Ok(())));
        assert_eq!(desk.state(since + PATIENCE), None, "told once");
    }

    #[test]
    fn the_last_text_is_waited_for_and_a_file_that_is_given_up_goes() {
        let folder = folder("last");
        let path = folder.join("a.prom");
        let file = Textfile::at(&path).unwrap();
        file.write_last("last\n".into(), Duration::from_secs(60));
        assert_eq!(fs::read_to_string(&path).unwrap(), "last\n");
        file.remove();
        let by = Moment::now() + Duration::from_secs(60);
        while path.exists() && Moment::now() < by {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
