//! The folder of records: each written whole or not at all, the newest kept.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::Record;

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

    /// The newest record. One that cannot be read is set aside and passed over: it must not stop the next response.
    ///
    /// # Errors
    /// When the newest is broken, or the folder cannot be read. A folder that is not there holds no record.
    pub fn newest(&self) -> Result<Option<Record>, Error> {
        let Some(path) = self.records()?.pop() else { return Ok(None) };
        let text = read_bounded(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        super::read(&text).map(Some).map_err(|reason| self.set_aside(path, reason))
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
        write_whole(&path, text).map_err(|source| Error::Write { path, source })?;
        if new {
            self.drop_the_oldest();
        }
        Ok(())
    }

    fn drop_the_oldest(&self) {
        let records = self.records().unwrap_or_default();
        for path in records.iter().rev().skip(KEPT) {
            if let Err(error) = fs::remove_file(path) {
                log::warn!("cannot remove the old record {}: {error}", path.display());
            }
        }
    }
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
    fn a_broken_record_is_set_aside_and_named() {
        let folder = folder();
        let store = Store::new(&folder);
        store.write("20261122T203343Z", b"{\"version\":1,").unwrap();
        assert!(matches!(store.newest(), Err(Error::Broken { .. })));
        assert!(store.newest().unwrap().is_none());
        assert!(folder.join("responses/20261122T203343Z.broken").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
