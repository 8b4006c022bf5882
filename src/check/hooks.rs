//! The hooks: how many there are, and which of those that lie there will not run.

use super::Scope;
use super::finding::Finding;
use crate::hooks::{Found, Phase};

pub const NAME: &str = "hooks";

pub fn verdict(found: &Found, scope: Scope) -> Finding {
    let counts: Vec<String> = Phase::ALL
        .into_iter()
        .map(|phase| (phase, found.of(phase).len()))
        .filter(|(_, count)| *count > 0)
        .map(|(phase, count)| format!("{count} in {phase}.d"))
        .collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    if !found.refused.is_empty() {
        return refused(found, scope);
    }
    if found.of(Phase::LocalDrain).is_empty() {
        return Finding::warning(
            NAME,
            format!("{counts}; local-drain.d is empty: while the API server is away no pod is stopped"),
        )
        .advise("the hook that does so is 50-containers, in packaging/hooks/local-drain.d");
    }
    Finding::ok(NAME, counts)
}

/// In an image nobody may be there to see the warning.
fn refused(found: &Found, scope: Scope) -> Finding {
    let all = found.refused.len() + found.hooks.len();
    let seen = format!("{} of {all} will not run", found.refused.len());
    let mut finding = match scope {
        Scope::Machine => Finding::warning(NAME, seen),
        Scope::Image => Finding::failure(NAME, seen),
    };
    for refused in &found.refused {
        let (why, advice) = refused.reason.split_once("; ").unwrap_or((&refused.reason, ""));
        let path = refused.path.display().to_string();
        // Most reasons begin with the path, which is in the advice too.
        let why = why.strip_prefix(&path).unwrap_or(why).trim_start();
        finding = finding.detail("", format!("{}.d/{} {why}", refused.phase, refused.name));
        if !advice.is_empty() {
            finding = finding.advise(advice);
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use crate::hooks::{Hook, Refused};

    fn hook(phase: Phase) -> Hook {
        Hook { phase, name: "10-x".to_owned(), path: "/h/10-x".into() }
    }

    #[test]
    fn a_hook_that_will_not_run_warns_and_fails_an_image() {
        let reason = "/h/10-x is writable by others; chmod go-w /h/10-x".to_owned();
        let refused = Refused { phase: Phase::PreDrain, name: "10-x".to_owned(), path: "/h/10-x".into(), reason };
        let found = Found { hooks: vec![hook(Phase::LocalDrain)], refused: vec![refused] };
        let finding = verdict(&found, Scope::Machine);
        assert_eq!((finding.result, finding.seen.as_str()), (Verdict::Warning, "1 of 2 will not run"));
        assert_eq!(finding.details[0].words, "pre-drain.d/10-x is writable by others");
        assert_eq!(finding.advice, ["chmod go-w /h/10-x"]);
        assert_eq!(verdict(&found, Scope::Image).result, Verdict::Failure);
    }

    #[test]
    fn a_machine_without_local_drain_is_told_so() {
        assert_eq!(verdict(&Found::default(), Scope::Machine).result, Verdict::Warning);
        let found = Found { hooks: vec![hook(Phase::LocalDrain), hook(Phase::Notice)], refused: vec![] };
        let finding = verdict(&found, Scope::Image);
        assert_eq!((finding.result, finding.seen.as_str()), (Verdict::Ok, "1 in notice.d, 1 in local-drain.d"));
    }
}
