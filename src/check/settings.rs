//! Whether the settings can be used, all of them.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::config::Problem;

pub const NAME: &str = "settings";

/// The folder of the textfile, where there is none.
pub fn missing_folder(textfile: &Path) -> Option<PathBuf> {
    textfile.parent().filter(|folder| !folder.is_dir()).map(Path::to_owned)
}

/// `files`: those that were read. What is broken is left out by the daemon as a whole, so that it is not what somebody
/// wanted. `missing`: the folder of `metrics.textfile`, where there is none.
pub fn verdict(problems: &[Problem], files: &[PathBuf], missing: Option<&Path>) -> Finding {
    match missing.map(Path::display) {
        _ if !problems.is_empty() => {}
        None => return Finding::ok(NAME, read(files)),
        Some(folder) => {
            return Finding::warning(NAME, format!("there is no folder {folder}: no metrics.textfile is written"))
                .advise(format!("mkdir -p {folder}, if node_exporter looks there"));
        }
    }
    let what = if problems.len() == 1 { "one problem" } else { "several problems" };
    let mut finding = Finding::failure(NAME, format!("{what}; what is broken is left out as a whole"));
    for problem in problems {
        finding = finding.detail("", problem.to_string());
    }
    finding.advise("mend it, then: spot-guard config --check")
}

fn read(files: &[PathBuf]) -> String {
    match files {
        [] => "no files: built-in settings".to_owned(),
        [file] => file.display().to_string(),
        [first, rest @ ..] => format!("{} and {} more files", first.display(), rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use crate::config::{Complaint, Origin};

    #[test]
    fn any_problem_is_a_failure_and_is_told() {
        assert_eq!(verdict(&[], &[], None).result, Verdict::Ok);
        let complaint = Complaint::Unreadable("no".to_owned());
        let found = verdict(&[Problem { origin: Origin::BuiltIn, complaint }], &[], Some(Path::new("/x")));
        assert_eq!(found.result, Verdict::Failure);
        assert!(found.details[0].words.contains("built-in"), "{found:?}");
    }
}
