//! The hooks: how many there are, and which of those that lie there will not run.

use super::Scope;
use super::finding::Finding;
use crate::hooks::{Found, Phase};

pub const NAME: &str = "hooks";

pub fn verdict(found: &Found, has_cluster: bool, scope: Scope) -> Finding {
    let counts: Vec<String> = Phase::ALL
        .into_iter()
        .map(|phase| (phase, found.of(phase).len()))
        .filter(|(_, count)| *count > 0)
        .map(|(phase, count)| format!("{count} in {phase}.d"))
        .collect();
    if !found.refused.is_empty() {
        return refused(found, scope);
    }
    if counts.is_empty() && !has_cluster {
        return Finding::warning(NAME, "none at all: without a cluster nothing is done about a notice")
            .advise("spot-guard-hooks(7) says which there may be");
    }
    if found.of(Phase::LocalDrain).is_empty() && has_cluster {
        let counts = [vec!["none in local-drain.d: while the API server is away no pod is stopped".to_owned()], counts];
        return Finding::warning(NAME, counts.concat().join("; "))
            .advise("/usr/lib/spot-guard/hooks/local-drain.d/50-containers does so, where it is installed");
    }
    Finding::ok(NAME, counts.join(", "))
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
        let finding = verdict(&found, true, Scope::Machine);
        assert_eq!((finding.result, finding.seen.as_str()), (Verdict::Warning, "1 of 2 will not run"));
        assert_eq!(finding.details[0].words, "pre-drain.d/10-x is writable by others");
        assert_eq!(finding.advice, ["chmod go-w /h/10-x"]);
        assert_eq!(verdict(&found, true, Scope::Image).result, Verdict::Failure);
    }

    #[test]
    fn a_machine_without_local_drain_is_told_so() {
        let none = |has_cluster| verdict(&Found::default(), has_cluster, Scope::Machine);
        assert!(none(true).seen.contains("local-drain.d") && none(false).seen.contains("none at all"));
        assert_eq!((none(true).result, none(false).result), (Verdict::Warning, Verdict::Warning));
        let notice = Found { hooks: vec![hook(Phase::Notice)], refused: vec![] };
        assert_eq!(verdict(&notice, false, Scope::Machine).result, Verdict::Ok);
        let found = Found { hooks: vec![hook(Phase::LocalDrain), hook(Phase::Notice)], refused: vec![] };
        let finding = verdict(&found, true, Scope::Image);
        assert_eq!((finding.result, finding.seen.as_str()), (Verdict::Ok, "1 in notice.d, 1 in local-drain.d"));
    }
}
