//! Which hooks there are, and which of them may run.
//!
//! Hooks run as root, so a file that somebody else could have written is not a hook.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::hooks::{Hook, Phase};

/// What lies in the hook folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// By phase, then by name.
    pub hooks: Vec<Hook>,
    pub refused: Vec<Refused>,
}

impl Found {
    /// The hooks of one phase, by name.
    pub fn of(&self, phase: Phase) -> Vec<Hook> {
        self.hooks.iter().filter(|hook| hook.phase == phase).cloned().collect()
    }
}

/// A file in a hook folder that will not run, or a folder that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub phase: Phase,
    pub name: String,
    pub path: PathBuf,
    /// Why, and what to do about it; for a person.
    pub reason: String,
}

/// Looks into the folders (each may hold `<phase>.d` folders; a name in an earlier one hides the same name in a later
/// one, even where it is refused or a link to `/dev/null`).
pub fn find(folders: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for phase in Phase::ALL {
        for (name, path) in files(folders, phase, &mut found.refused) {
            match check(&path) {
                Ok(Use::Runs) => found.hooks.push(Hook { phase, name, path }),
                Ok(Use::Masked) => {}
                Err(reason) => found.refused.push(Refused { phase, name, path, reason }),
            }
        }
    }
    found
}

/// The files of a phase by name, without those that package managers and editors leave.
fn files(folders: &[PathBuf], phase: Phase, refused: &mut Vec<Refused>) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    for folder in folders {
        let path = folder.join(format!("{phase}.d"));
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                let reason = format!("the folder cannot be read: {error}");
                refused.push(Refused { phase, name: format!("{phase}.d"), path, reason });
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !is_left_over(&name) {
                files.entry(name).or_insert_with(|| entry.path());
            }
        }
    }
    files
}

/// Hidden files, and what editors and package managers leave beside a file.
fn is_left_over(name: &str) -> bool {
    const MARKS: [&str; 5] = [".dpkg-", ".ucf-", ".rpmnew", ".rpmsave", ".rpmorig"];
    name.starts_with('.') || name.ends_with('~') || MARKS.iter().any(|mark| name.contains(mark))
}

enum Use {
    Runs,
    /// A link to `/dev/null`: the administrator wants no hook of this name.
    Masked,
}

fn check(path: &Path) -> Result<Use, String> {
    let file = fs::canonicalize(path).map_err(|error| match (error.kind(), fs::read_link(path)) {
        (ErrorKind::NotFound, Ok(target)) => format!("is a link to {}, which does not exist", target.display()),
        _ => format!("cannot be read: {error}"),
    })?;
    if file == Path::new("/dev/null") {
        return Ok(Use::Masked);
    }
    let metadata = metadata(&file)?;
    if !metadata.is_file() {
        return Err("is not a file".into());
    }
    check_writers(&file, &metadata)?;
    // Who may write to a folder may put another file there: the one that holds the name, and where it is a link, the
    // one that holds the file.
    for folder in [path.parent(), file.parent()].into_iter().flatten() {
        check_writers(folder, &self::metadata(folder)?)?;
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(format!("is not executable; if it is a hook: chmod +x {}", file.display()));
    }
    Ok(Use::Runs)
}

fn metadata(path: &Path) -> Result<Metadata, String> {
    fs::metadata(path).map_err(|error| format!("cannot be read: {}: {error}", path.display()))
}

/// Only root, and whom spot-guard itself runs as, may be able to write.
fn check_writers(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let path = path.display();
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        return Err(format!("{path} belongs to user {}, not to root; chown root {path}", metadata.uid()));
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return Err(format!("{path} is writable by others; chmod go-w {path}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Two hook folders like `/etc`'s and `/usr/lib`'s, gone when the test is over.
    struct Folders(PathBuf);

    impl Folders {
        fn new(test: &str) -> Folders {
            let path = std::env::temp_dir().join(format!("spot-guard-{}-{test}", std::process::id()));
            for folder in ["etc/pre-drain.d", "lib/pre-drain.d"] {
                fs::create_dir_all(path.join(folder)).unwrap();
                fs::set_permissions(path.join(folder), PermissionsExt::from_mode(0o755)).unwrap();
            }
            Folders(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            let (folder, name) = name.split_once('/').unwrap();
            self.0.join(folder).join("pre-drain.d").join(name)
        }

        fn file(&self, name: &str, mode: u32) {
            fs::write(self.path(name), "#!/bin/sh\n").unwrap();
            fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).unwrap();
        }

        fn link(&self, name: &str, target: impl AsRef<Path>) {
            symlink(target, self.path(name)).unwrap();
        }

        /// What was found, as `<folder>/<name>`, and what was refused, as (name, reason).
        fn find(&self) -> (Vec<String>, Vec<(String, String)>) {
            let found = find(&[self.0.join("etc"), self.0.join("lib")]);
            assert!(found.hooks.iter().all(|hook| hook.phase == Phase::PreDrain));
            let name =
                |path: &Path| path.strip_prefix(&self.0).unwrap().to_str().unwrap().replacen("pre-drain.d/", "", 1);
            let here = format!("{}/", self.0.display());
            let reason = |refused: &Refused| refused.reason.replace(&here, "");
            let hooks = found.hooks.iter().map(|hook| name(&hook.path)).collect();
            (hooks, found.refused.iter().map(|refused| (refused.name.clone(), reason(refused))).collect())
        }
    }

    impl Drop for Folders {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn without_folders_there_are_no_hooks() {
        assert_eq!(find(&["/nowhere".into()]), Found::default());
    }

    #[test]
    fn hooks_come_by_name_and_a_name_in_etc_replaces_the_packages() {
        let folders = Folders::new("order");
        folders.file("lib/20-b", 0o755);
        folders.file("lib/10-a", 0o755);
        folders.file("etc/15-own", 0o700);
        folders.file("etc/20-b", 0o755);
        assert_eq!(folders.find(), (vec!["lib/10-a".into(), "etc/15-own".into(), "etc/20-b".into()], Vec::new()));
    }

    #[test]
    fn a_link_to_dev_null_masks_a_hook() {
        let folders = Folders::new("mask");
        folders.file("lib/10-a", 0o755);
        folders.link("etc/10-a", "/dev/null");
        assert_eq!(folders.find(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_refused_file_still_hides_the_one_that_it_replaces() {
        let folders = Folders::new("hide");
        folders.file("lib/10-a", 0o755);
        folders.file("etc/10-a", 0o644);
        let (hooks, refused) = folders.find();
        assert_eq!((hooks, refused.len()), (Vec::new(), 1));
    }

    #[test]
    fn what_others_could_have_written_or_cannot_run_is_refused_by_name() {
        let folders = Folders::new("refuse");
        folders.file("etc/10-group", 0o775);
        folders.file("etc/20-others", 0o757);
        folders.file("etc/30-not-executable", 0o644);
        folders.link("etc/40-dangling", "/nowhere");
        fs::create_dir(folders.path("etc/50-folder")).unwrap();
        folders.link("etc/60-others-folder", "/tmp");
        let path = |name: &str| format!("etc/pre-drain.d/{name}");
        let writable = |name: &str| format!("{0} is writable by others; chmod go-w {0}", path(name));
        let executable = format!("is not executable; if it is a hook: chmod +x {}", path("30-not-executable"));
        let expected = [
            ("10-group", writable("10-group")),
            ("20-others", writable("20-others")),
            ("30-not-executable", executable),
            ("40-dangling", "is a link to /nowhere, which does not exist".into()),
            ("50-folder", "is not a file".into()),
            ("60-others-folder", "is not a file".into()),
        ];
        let (hooks, refused) = folders.find();
        assert_eq!(hooks, Vec::<String>::new());
        assert_eq!(refused, expected.map(|(name, reason)| (name.to_owned(), reason)));
    }

    #[test]
    fn a_folder_that_others_may_write_to_holds_no_hooks() {
        let folders = Folders::new("folder");
        folders.file("etc/10-a", 0o755);
        folders.file("lib/20-b", 0o755);
        fs::set_permissions(folders.0.join("etc/pre-drain.d"), PermissionsExt::from_mode(0o775)).unwrap();
        let (hooks, refused) = folders.find();
        assert_eq!(hooks, ["lib/20-b"]);
        assert_eq!(refused[0].1, "etc/pre-drain.d is writable by others; chmod go-w etc/pre-drain.d");
    }

    #[test]
    fn a_link_runs_only_from_a_folder_that_others_cannot_write_to() {
        let folders = Folders::new("link");
        folders.file("lib/10-a", 0o755);
        folders.link("etc/20-good", folders.path("lib/10-a"));
        assert_eq!(folders.find().0, ["lib/10-a", "etc/20-good"]);
        fs::set_permissions(folders.0.join("lib/pre-drain.d"), PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(folders.find().0, Vec::<String>::new());
    }

    #[test]
    fn a_hook_of_another_user_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let folders = Folders::new("owner");
        folders.file("etc/10-a", 0o755);
        std::os::unix::fs::chown(folders.path("etc/10-a"), Some(1000), None).unwrap();
        let path = "etc/pre-drain.d/10-a";
        let reason = format!("{path} belongs to user 1000, not to root; chown root {path}");
        assert_eq!(folders.find(), (Vec::new(), vec![("10-a".into(), reason)]));
    }

    #[test]
    fn what_editors_and_package_managers_leave_is_no_hook() {
        let folders = Folders::new("left");
        for name in
            [".hidden", "10-a~", "10-a.dpkg-old", "10-a.dpkg-dist", "10-a.rpmsave", "10-a.rpmnew", "10-a.ucf-old"]
        {
            folders.file(&format!("etc/{name}"), 0o755);
        }
        assert_eq!(folders.find(), (Vec::new(), Vec::new()));
    }
}
