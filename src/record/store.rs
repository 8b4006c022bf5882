//! The folder of records: each written whole or not at all, the newest kept.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde::Deserialize;

use super::{ClockWritten, Record};

/// How many records are kept.
const KEPT: usize = 20;

/// A record larger than this is none of ours: 5,000 pods take 2 MiB.
const LARGEST: u64 = 16 << 20;

/// Why a record could not be kept or read.
#[derive(Debug)]
pub enum Error {
    Write {
        path: PathBuf,
        source: io::Error,
    },
    Read {
        path: PathBuf,
        source: io::Error,
    },
    /// It is there but no record; it was set aside under the second name.
    Broken {
        path: PathBuf,
        reason: String,
        aside: PathBuf,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Write { path, source } => {
                write!(
                    f,
                    "cannot write the record {}: {source}; the response goes on, but a restart would lose it",
                    path.display()
                )
            }
            Error::Read { path, source } => write!(f, "cannot read the records in {}: {source}", path.display()),
            Error::Broken { path, reason, aside } => {
                write!(f, "{} is no record ({reason}); set aside as {}", path.display(), aside.display())
            }
        }
    }
}

impl std::error::Error for Error {}

/// The records below a state folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The records in `<state>/responses`. The folder is made when the first is written.
    pub fn new(state: &Path) -> Store {
        Store { folder: state.join("responses") }
    }

    /// The newest record of this boot; where there is none, the one with the latest name. Names are times, and a clock
    /// that was wrong in an earlier boot, or was set since, must not hide the response that is to be taken up.
    ///
    /// One that cannot be read is named in the log and passed over: it must not stop a response. Where it has the
    /// latest name it is set aside.
    ///
    /// # Errors
    /// When the folder cannot be read. A folder that is not there holds no record.
    pub fn newest(&self, boot_id: &str) -> Result<Option<Record>, Error> {
        let mut paths = self.records()?;
        let latest = loop {
            let Some(path) = paths.pop() else { return Ok(None) };
            match self.read(path) {
                Ok(record) => break record,
                Err(error) => log::error!("{error}"),
            }
        };
        let clocks = paths.into_iter().filter_map(|path| Some((clock_of(&path)?, path)));
        let of_this_boot = clocks.filter(|(clock, _)| clock.boot_id == boot_id);
        let newest = of_this_boot.max_by(|(a, _), (b, _)| a.boottime_seconds.total_cmp(&b.boottime_seconds));
        match newest {
            Some((clock, path)) if latest.clock.boot_id != boot_id || later(&clock, &latest.clock) => {
                self.read(path).map(Some)
            }
            _ => Ok(Some(latest)),
        }
    }

    fn read(&self, path: PathBuf) -> Result<Record, Error> {
        let text = read_bounded(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        super::read(&text).map_err(|reason| self.set_aside(path, reason))
    }

    fn set_aside(&self, path: PathBuf, reason: String) -> Error {
        let aside = path.with_extension("broken");
        match fs::rename(&path, &aside) {
            Ok(()) => Error::Broken { path, reason, aside },
            Err(source) => Error::Write { path, source },
        }
    }

    /// Paths of all records, the oldest first: their names are times.
    fn records(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::Read { path: self.folder.clone(), source }),
        };
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let mut records: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        records.sort();
        Ok(records)
    }

    /// Writes a record: a temporary file, forced to disk, then renamed, so that there is always a whole one.
    ///
    /// # Errors
    /// When any step fails; the former record then still stands.
    pub fn write(&self, id: &str, text: &[u8]) -> Result<(), Error> {
        let path = self.folder.join(format!("{id}.json"));
        let new = !path.exists();
        write_whole(&path, text).map_err(|source| Error::Write { path: path.clone(), source })?;
        if new {
            self.drop_the_oldest(&path);
        }
        Ok(())
    }

    /// `new` stays, whatever its name: it may be of a clock that was set back.
    fn drop_the_oldest(&self, new: &Path) {
        let records = self.records().unwrap_or_default();
        for path in records.iter().rev().filter(|path| *path != new).skip(KEPT - 1) {
            if let Err(error) = fs::remove_file(path) {
                log::warn!("cannot remove the old record {}: {error}", path.display());
            }
        }
    }
}

/// The clocks at the first sight of the response in a file that is a record.
fn clock_of(path: &Path) -> Option<ClockWritten> {
    #[derive(Deserialize)]
    struct OfRecord {
        clock: ClockWritten,
    }
    let text = read_bounded(path).ok()?;
    serde_json::from_slice::<OfRecord>(&text).ok().map(|record| record.clock)
}

fn later(a: &ClockWritten, b: &ClockWritten) -> bool {
    a.boottime_seconds > b.boottime_seconds
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Writes a file so that it is there as a whole or as it was, even after a power cut.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Writes records on a thread of its own, so that a slow disk holds nobody up. The latest state wins: one that was
/// not yet begun when the next came is never written.
pub struct Writer {
    waiting: Arc<(Mutex<Option<Waiting>>, Condvar)>,
}

struct Waiting {
    revision: u64,
    id: String,
    text: Vec<u8>,
}

impl Writer {
    /// `tell` is called with the revision of each record that is on disk, or with what went wrong.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(store: Store, tell: impl Fn(u64, Result<(), Error>) + Send + 'static) -> io::Result<Writer> {
        let waiting: Arc<(Mutex<Option<Waiting>>, Condvar)> = Arc::default();
        let theirs = Arc::clone(&waiting);
        let write_on = move || {
            loop {
                let next = take(&theirs);
                tell(next.revision, store.write(&next.id, &next.text));
            }
        };
        thread::Builder::new().name("record".into()).stack_size(256 * 1024).spawn(write_on)?;
        Ok(Writer { waiting })
    }

    /// Hands over the latest state.
    pub fn write(&self, revision: u64, id: String, text: Vec<u8>) {
        let (slot, arrived) = &*self.waiting;
        // A poisoned lock still guards a whole value: the writer only takes it out.
        *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Waiting { revision, id, text });
        arrived.notify_one();
    }
}

fn take(waiting: &(Mutex<Option<Waiting>>, Condvar)) -> Waiting {
    let (slot, arrived) = waiting;
    let mut slot = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    loop {
        if let Some(next) = slot.take() {
            return next;
        }
        slot = arrived.wait(slot).unwrap_or_else(|poisoned| poisoned.into_inner());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("spot-guard-store-{}-{:?}", std::process::id(), thread::current().id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_newest_twenty_records_are_kept() {
        let folder = folder();
        let store = Store::new(&folder);
        for day in 10..35 {
            store.write(&format!("202611{day}T000000Z"), b"{}").unwrap();
        }
        let kept = store.records().unwrap();
        assert_eq!(kept.len(), KEPT);
        assert!(kept[0].ends_with("20261115T000000Z.json"), "{kept:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_record_that_was_just_written_is_kept_whatever_its_name() {
        let folder = folder();
        let store = Store::new(&folder);
        for day in 10..35 {
            store.write(&format!("209911{day}T000000Z"), b"{}").unwrap();
        }
        store.write("20261122T203343Z", b"{}").unwrap();
        let kept = store.records().unwrap();
        assert_eq!(kept.len(), KEPT);
        assert!(kept[0].ends_with("20261122T203343Z.json"), "{kept:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_broken_record_is_set_aside_and_named() {
        let folder = folder();
        let store = Store::new(&folder);
        store.write("20261122T203343Z", b"{\"version\":1,").unwrap();
        assert!(store.newest("").unwrap().is_none());
        assert!(folder.join("responses/20261122T203343Z.broken").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
