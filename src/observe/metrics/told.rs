//! What the metrics tell of one response: little enough to be kept when it is over.

use crate::moment::Timestamp;
use crate::record::{HookWritten, Outcome, Record};

/// What is told of a response, also when it is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// By outcome; `None` for a response that stops no pods.
    pub pods: Option<Tally<&'static str>>,
    pub forced: usize,
    pub hooks: Vec<Hook>,
    pub notice_to_cordon: Option<f64>,
    pub errors: usize,
}

/// How many there are of each. A list, as there are few: each map of another type takes its kilobytes.
pub type Tally<K> = Vec<(K, u64)>;

/// One more of these.
pub fn add<K: PartialEq>(tally: &mut Tally<K>, of: K) {
    match tally.iter_mut().find(|(known, _)| *known == of) {
        Some((_, count)) => *count += 1,
        None => tally.push((of, 1)),
    }
}

/// All runs of a hook in one response.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    pub phase: &'static str,
    pub name: String,
    /// Of the longest.
    pub seconds: f64,
    /// Of the latest that failed, else of the latest.
    pub exit: Option<i32>,
}

impl Told {
    pub fn of(record: &Record) -> Told {
        let mut pods = Vec::from(["pending", "graceful", "killed", "left"].map(|outcome| (outcome, 0)));
        // A response that was cut or taken back decides nothing about those that were not gone.
        let pending = record.outcome.is_none().then_some("pending");
        let outcomes = record.pods.iter().filter_map(|pod| pod.outcome.map(Outcome::name).or(pending));
        outcomes.for_each(|outcome| add(&mut pods, outcome));
        let settled = record.node.settled_at.filter(|_| record.node.cordoned_by_us);
        // A notice that took over found the node cordoned.
        let after = |settled: Timestamp| settled.later_than(record.notice.first_seen).unwrap_or_default().as_secs_f64();
        Told {
            pods: record.terms.drains().then_some(pods),
            forced: record.pods.iter().filter(|pod| pod.forced).count(),
            hooks: hooks(&record.hooks),
            notice_to_cordon: settled.map(after),
            errors: record.errors.len(),
        }
    }
}

fn hooks(runs: &[HookWritten]) -> Vec<Hook> {
    let mut hooks: Vec<Hook> = Vec::new();
    for run in runs {
        let Some(seconds) = run.seconds else { continue };
        let is_same = |hook: &&mut Hook| hook.phase == run.phase.name() && hook.name == run.name;
        match hooks.iter_mut().find(is_same) {
            Some(hook) => hook.ran(seconds, exit(run)),
            None => hooks.push(Hook { phase: run.phase.name(), name: run.name.clone(), seconds, exit: exit(run) }),
        }
    }
    hooks
}

impl Hook {
    fn ran(&mut self, seconds: f64, exit: Option<i32>) {
        self.seconds = self.seconds.max(seconds);
        if exit.is_some_and(|code| code != 0 || self.exit.is_none()) {
            self.exit = exit;
        }
    }
}

/// Its exit code, as a shell has it where a signal ended it; -1 where it has none, such as one that was not started.
/// `None` for one that was stopped because it was no longer needed.
fn exit(hook: &HookWritten) -> Option<i32> {
    match (hook.exit, hook.signal) {
        _ if hook.stopped && !hook.timed_out => None,
        // Whatever it says: it was stopped in the middle.
        (Some(0), _) if hook.timed_out => Some(-1),
        (Some(code), _) => Some(code),
        (None, Some(signal)) => Some(128_i32.saturating_add(signal)),
        (None, None) => Some(-1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A hook's end, of which some fields are others than those of one that went well.
    fn ended(changed: &Value) -> HookWritten {
        let mut hook = json!({
            "phase": "local-drain", "name": "50-x", "argument": "start", "wave": 1, "started_at": null, "seconds": 1.0,
            "exit": 0, "signal": null, "reason": null, "timed_out": false, "stopped": false, "output_tail": "",
            "process": null,
        });
        for (field, value) in changed.as_object().unwrap() {
            hook[field] = value.clone();
        }
        serde_json::from_value(hook).unwrap()
    }

    #[test]
    fn a_hook_that_did_not_end_well_has_no_zero() {
        let rows = [
            (json!({}), Some(0)),
            (json!({"exit": 3}), Some(3)),
            (json!({"exit": null, "signal": 9}), Some(137)),
            (json!({"exit": null, "reason": "no such file"}), Some(-1)),
            (json!({"exit": null, "timed_out": true}), Some(-1)),
            (json!({"exit": 0, "timed_out": true}), Some(-1)),
            (json!({"exit": null, "signal": 15, "timed_out": true}), Some(143)),
            (json!({"exit": null, "signal": 15, "stopped": true}), None),
            (json!({"exit": 1, "stopped": true}), None),
        ];
        for (changed, code) in rows {
            assert_eq!(exit(&ended(&changed)), code, "{changed}");
        }
    }

    #[test]
    fn of_several_runs_of_a_hook_the_latest_that_failed_and_the_longest_count() {
        let run = |(seconds, exit): &(f64, Option<i32>)| {
            ended(&json!({"seconds": seconds, "exit": exit, "stopped": exit.is_none()}))
        };
        let of = |runs: &[(f64, Option<i32>)]| {
            let runs: Vec<HookWritten> = runs.iter().map(run).collect();
            let hooks = hooks(&runs);
            assert_eq!(hooks.len(), 1);
            (hooks[0].seconds, hooks[0].exit)
        };
        assert_eq!(of(&[(2.0, Some(0)), (1.0, Some(0))]), (2.0, Some(0)));
        assert_eq!(of(&[(1.0, Some(0)), (3.0, Some(4)), (1.0, Some(0))]), (3.0, Some(4)));
        assert_eq!(of(&[(1.0, Some(4)), (1.0, Some(5))]), (1.0, Some(5)));
        assert_eq!(of(&[(1.0, None), (2.0, Some(0))]), (2.0, Some(0)));
        assert_eq!(of(&[(1.0, Some(0)), (2.0, None)]), (2.0, Some(0)));
        assert_eq!(of(&[(1.0, None)]), (1.0, None));
    }
}
