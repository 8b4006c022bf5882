//! The daemon: whether one runs, and what it says of itself.

use super::finding::Finding;
use crate::control::{Answer, Error};
use crate::observe::status::Status;

pub const NAME: &str = "daemon";

/// What it answered when it was asked how it is; `None`: nothing in time.
pub fn verdict(answer: Option<&Result<Answer, Error>>) -> Finding {
    match answer {
        Some(Ok(Answer::Status(status))) => alive(status),
        Some(Ok(_)) => Finding::warning(NAME, "runs, and is of another version").advise("systemctl restart spot-guard"),
        Some(Err(error @ Error::NobodyListens(_))) => Finding::failure(NAME, format!("none runs: {error}"))
            .advise("systemctl start --no-block spot-guard; if it is there: journalctl -u spot-guard"),
        Some(Err(error @ Error::Connect { .. })) => {
            Finding::warning(NAME, format!("not seen: {error}")).advise("sudo spot-guard check")
        }
        Some(Err(Error::NoAnswer { path, .. })) => deaf(&path.display().to_string()),
        None => deaf("its socket"),
    }
}

fn deaf(place: &str) -> Finding {
    Finding::failure(NAME, format!("it listens and does not answer at {place}"))
        .advise("journalctl -u spot-guard; then: systemctl restart spot-guard")
}

fn alive(status: &Status) -> Finding {
    let mut finding = Finding::ok(NAME, format!("pid {}: {}", status.pid, status.words));
    let troubles = [
        ("imds", &status.imds.trouble),
        ("record", &status.record.trouble),
        ("kubernetes", if status.kubernetes.state == "none" { &None } else { &status.kubernetes.why }),
    ];
    for (name, trouble) in troubles {
        if let Some(trouble) = trouble {
            finding.result = super::finding::Verdict::Warning;
            finding = finding.detail(name, trouble.clone());
        }
    }
    if !status.configuration_problems.is_empty() {
        finding.result = super::finding::Verdict::Warning;
        finding = finding
            .advise("it runs with settings that are broken in part; mend them, then: systemctl reload spot-guard");
    }
    finding
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Verdict;
    use super::*;
    use crate::instance::Instance;

    fn status(trouble: Option<&str>, state: &str, why: Option<&str>, problems: &[&str]) -> Answer {
        let status = json!({
            "version": 1, "at": "2026-11-22T20:00:00.000Z", "pid": 7, "state": "watching", "words": "watching",
            "dry_run": false, "notices": [], "instance": Instance::default(), "imds": {"ok": trouble.is_none(), "trouble": trouble},
            "kubernetes": {"state": state, "mode": "auto", "node_name": null, "why": why}, "record": {"ok": true, "trouble": null},
            "configuration_problems": problems, "response": null,
        });
        Answer::Status(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn what_troubles_the_daemon_is_told_and_one_that_is_not_there_is_a_failure() {
        for (answer, result) in [
            (Ok(status(None, "ready", None, &[])), Verdict::Ok),
            (Ok(status(None, "none", Some("kubernetes.mode is off"), &[])), Verdict::Ok),
            (Ok(status(Some("no answer"), "ready", None, &[])), Verdict::Warning),
            (Ok(status(None, "unready", Some("401"), &[])), Verdict::Warning),
            (Ok(status(None, "ready", None, &["config.toml:1: no"])), Verdict::Warning),
            (Ok(Answer::Refused { why: "?".to_owned() }), Verdict::Warning),
            (Err(Error::NobodyListens("/s".into())), Verdict::Failure),
        ] {
            let found = verdict(Some(&answer));
            assert_eq!(found.result, result, "{answer:?}: {found:?}");
        }
        assert_eq!(verdict(None).result, Verdict::Failure);
    }
}
