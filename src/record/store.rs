//! The folder of records: each written whole or not at all, the newest kept.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

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
    /// It is there but no record; it was set aside under another name, or could not be.
    Broken {
        path: PathBuf,
        reason: String,
        aside: Result<PathBuf, io::Error>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Write { path, source } => write!(f, "cannot write {}: {source}", path.display()),
            Error::Read { path, source } => write!(f, "cannot read the records in {}: {source}", path.display()),
            Error::Broken { path, reason, aside: Ok(aside) } => {
                write!(f, "{} is no record ({reason}); set aside as {}", path.display(), aside.display())
            }
            Error::Broken { path, reason, aside: Err(source) } => {
                write!(f, "{} is no record ({reason}); it cannot be set aside: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

/// What an earlier life of the daemon left.
#[derive(Debug, Default)]
pub struct Newest {
    pub record: Option<Record>,
    /// The others that could be read, the oldest first. Of their pods and hooks only those are kept that may still be to
    /// be written: of the latest response that acted on the node.
    pub others: Vec<Record>,
    /// What could not be read.
    pub troubles: Vec<Error>,
}

/// A record as it lies on the disk.
#[derive(Debug)]
pub struct Kept {
    pub path: PathBuf,
    pub text: Vec<u8>,
    /// Or why it cannot be read; one line.
    pub record: Result<Record, String>,
}

impl Kept {
    fn of(path: PathBuf) -> Kept {
        match read_bounded(&path) {
            Ok(text) => Kept { record: super::read(&text), text, path },
            Err(error) => Kept { record: Err(error.to_string()), text: Vec::new(), path },
        }
    }
}

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

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the record of this id lies, once it is written.
    pub fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The newest record of this boot; where there is none, the one with the latest name. Names are times, and a clock
    /// that was wrong in an earlier boot, or was set since, must not hide the response that is to be taken up.
    ///
    /// One that cannot be read is passed over: it must not stop a response. Where it has the latest name it is set
    /// aside. A folder that is not there holds no record.
    pub fn newest(&self, boot_id: &str) -> Newest {
        let mut newest = Newest::default();
        match self.find_newest(boot_id, &mut newest.troubles) {
            Ok(record) => newest.record = record,
            Err(error) => newest.troubles.push(error),
        }
        newest.others = self.others(newest.record.as_ref().map(|record| record.id.as_str()));
        newest
    }

    /// All records, the oldest first by their names, for one who only reads.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn all(&self) -> Result<Vec<Kept>, Error> {
        Ok(self.records()?.into_iter().map(Kept::of).collect())
    }

    fn others(&self, newest: Option<&str>) -> Vec<Record> {
        let mut others: Vec<Record> = Vec::new();
        for path in self.records().unwrap_or_default() {
            let Some(record) = read_bounded(&path).ok().and_then(|text| super::read(&text).ok()) else { continue };
            if newest == Some(record.id.as_str()) {
                continue;
            }
            if record.terms.cordons() {
                others.iter_mut().for_each(Record::forget_details);
            }
            others.push(record);
        }
        others
    }

    fn find_newest(&self, boot_id: &str, troubles: &mut Vec<Error>) -> Result<Option<Record>, Error> {
        let mut paths = self.records()?;
        let latest = loop {
            let Some(path) = paths.pop() else { return Ok(None) };
            match self.read(path) {
                Ok(record) => break record,
                Err(error) => troubles.push(error),
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
        let aside = fs::rename(&path, &aside).map(|()| aside);
        Error::Broken { path, reason, aside }
    }

    /// Whether a record could be written now.
    pub(super) fn try_out(&self) -> Result<(), Error> {
        let path = self.folder.join(".try");
        let tried = fs::create_dir_all(&self.folder).and_then(|()| write_to_disk(&path, b"x"));
        let _ = fs::remove_file(&path);
        tried.map_err(|source| Error::Write { path, source })
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
        let path = self.file(id);
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
    let renamed = write_to_disk(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        // Half a file takes room where there may be none.
        let _ = fs::remove_file(&temporary);
    }
    renamed?;
    File::open(folder)?.sync_all()
}

fn write_to_disk(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!(
            "spot-guard-store-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
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

    /// The text of a record of that boot, so many seconds after it.
    fn text(boot_id: &str, boottime_seconds: f64) -> Vec<u8> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/record/response-1");
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(corpus).unwrap()).unwrap();
        record["clock"]["boot_id"] = boot_id.into();
        record["clock"]["boottime_seconds"] = boottime_seconds.into();
        serde_json::to_vec(&record).unwrap()
    }

    #[test]
    fn of_this_boots_records_the_latest_by_the_clock_that_nobody_sets_is_the_newest() {
        // Names are times of day; the second is that of a clock that was set back.
        for (records, newest) in [
            ([("this", 10.0), ("this", 20.0), ("this", 30.0)], ("this", 30.0)),
            ([("this", 10.0), ("this", 30.0), ("this", 20.0)], ("this", 30.0)),
            ([("this", 10.0), ("this", 5.0), ("other", 90.0)], ("this", 10.0)),
            ([("other", 95.0), ("other", 99.0), ("this", 20.0)], ("this", 20.0)),
            ([("other", 95.0), ("other", 99.0), ("other", 20.0)], ("other", 20.0)),
        ] {
            let folder = folder();
            let store = Store::new(&folder);
            for (hour, (boot_id, seconds)) in records.into_iter().enumerate() {
                store.write(&format!("20261122T{hour:02}0000Z"), &text(boot_id, seconds)).unwrap();
            }
            let found = store.newest("this").record.unwrap().clock;
            assert_eq!((found.boot_id.as_str(), found.boottime_seconds), newest, "{records:?}");
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn no_folder_is_no_record_and_one_that_cannot_be_read_is_told() {
        let folder = folder();
        let newest = Store::new(&folder).newest("this");
        assert!(newest.record.is_none() && newest.troubles.is_empty(), "{newest:?}");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("responses"), "no folder").unwrap();
        let troubles = Store::new(&folder).newest("this").troubles;
        let told = format!("cannot read the records in {}/responses: ", folder.display());
        assert!(troubles.len() == 1 && troubles[0].to_string().starts_with(&told), "{troubles:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_broken_record_is_set_aside_and_named() {
        let folder = folder();
        let store = Store::new(&folder);
        store.write("20261122T203343Z", b"{\"version\":1,").unwrap();
        let newest = store.newest("");
        assert!(newest.record.is_none());
        assert!(matches!(newest.troubles[..], [Error::Broken { aside: Ok(_), .. }]), "{newest:?}");
        assert!(folder.join("responses/20261122T203343Z.broken").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
