//! Whether the settings can be used, all of them.

use std::path::PathBuf;

use super::finding::Finding;
use crate::config::Problem;

pub const NAME: &str = "settings";

/// `files`: those that were read. What is broken is left out by the daemon as a whole, so that it is not what somebody
/// wanted.
pub fn verdict(problems: &[Problem], files: &[PathBuf]) -> Finding {
    if problems.is_empty() {
        return Finding::ok(NAME, read(files));
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
        assert_eq!(verdict(&[], &[]).result, Verdict::Ok);
        let complaint = Complaint::Unreadable("no".to_owned());
        let found = verdict(&[Problem { origin: Origin::BuiltIn, complaint }], &[]);
        assert_eq!(found.result, Verdict::Failure);
        assert!(found.details[0].words.contains("built-in"), "{found:?}");
    }
}
