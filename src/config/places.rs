//! The files that may hold settings, in the order in which they count.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Files;
use super::problem::{Complaint, Origin, Problem};

/// No sensible configuration comes near; reading one needs about 100 times its size in memory.
const LARGEST_FILE: u64 = 64 * 1024;
const MOST_FILES: usize = 256;

/// A file of settings, and what is in it.
pub struct Place {
    pub path: PathBuf,
    pub text: Result<String, Complaint>,
}

/// Reads the files in the order in which they count, later ones over earlier ones.
pub fn read(files: &Files) -> (Vec<Place>, Vec<Problem>) {
    let root = match files {
        Files::One(path) => return (vec![Place { path: path.clone(), text: read_file(path) }], Vec::new()),
        Files::Places(root) => root,
    };
    let mut problems = Vec::new();
    let folders = ["usr/lib/spot-guard/config.d", "etc/spot-guard/config.d", "run/spot-guard/config.d"];
    let mut listed = folders.map(|folder| list(&root.join(folder), &mut problems));
    let [shipped, own, passing] = &mut listed;
    // A file of the same name in a later folder stands for the earlier one.
    shipped.retain(|path| !has_name(own, path) && !has_name(passing, path));
    own.retain(|path| !has_name(passing, path));

    let main = root.join("etc/spot-guard/config.toml");
    let is_absent = main.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    let main = Some(main).filter(|_| !is_absent);
    let paths = shipped.drain(..).chain(main).chain(own.drain(..)).chain(passing.drain(..));
    let places = paths.map(|path| Place { text: read_file(&path), path }).collect();
    (places, problems)
}

fn has_name(paths: &[PathBuf], path: &Path) -> bool {
    paths.iter().any(|other| other.file_name() == path.file_name())
}

/// The files `*.toml` of a folder by name; none where there is no such folder.
fn list(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut complain = |why: String| {
        problems.push(Problem { origin: Origin::file(folder), complaint: Complaint::Unreadable(why) });
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            complain(error.to_string());
            return Vec::new();
        }
    };
    let names = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = names.filter(|path| is_fragment(path)).take(MOST_FILES + 1).collect();
    if paths.len() > MOST_FILES {
        complain(format!("more than {MOST_FILES} files"));
        return Vec::new();
    }
    paths.sort();
    paths
}

fn is_fragment(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "toml")
}

/// The text of a file. A link to `/dev/null` is an empty file; what else is no regular file might never end.
pub fn read_file(path: &Path) -> Result<String, Complaint> {
    let unreadable = Complaint::Unreadable;
    if path.canonicalize().is_ok_and(|target| target == Path::new("/dev/null")) {
        return Ok(String::new());
    }
    let metadata = fs::metadata(path).map_err(|e| unreadable(e.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
    opened.map_err(|e| unreadable(e.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_FILE {
        return Err(unreadable(format!("it is larger than {} KiB", LARGEST_FILE / 1024)));
    }
    String::from_utf8(bytes).map_err(|e| unreadable(format!("byte {} is no UTF-8", e.utf8_error().valid_up_to())))
}
