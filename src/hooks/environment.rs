//! What a hook is told in its environment.

use std::time::Duration;

use crate::hooks::Phase;
use crate::instance::Instance;
use crate::moment::Timestamp;

/// Its value is no other response's, and no process but a hook and what it starts has it.
const RESPONSE_ID: &str = "SPOT_GUARD_RESPONSE_ID";

/// The variable (`NAME=value`) that marks a process as a hook of that response, or as one that such a hook started.
pub fn mark(response_id: &str) -> String {
    format!("{RESPONSE_ID}={response_id}")
}

/// The response as a hook sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub phase: Phase,
    /// The notice's kind: `spot-interruption`, …
    pub notice: String,
    /// What is done about it: `observe`, `cordon`, `drain`.
    pub response: String,
    /// What happens to the instance: `terminate`, `stop`, `hibernate`, …; `None` where the notice does not say.
    pub action: Option<String>,
    pub response_id: String,
    pub deadline: Timestamp,
    /// Until the deadline.
    pub left: Duration,
    /// This hook's own limit.
    pub timeout: Duration,
    pub node_name: Option<String>,
    pub instance: Instance,
    /// Pods that are still to go; `None` where that is not known: without a cluster, or before they were listed.
    pub pods_left: Option<usize>,
    /// The pods of this wave; only told to `local-drain` hooks.
    pub pod_uids: Vec<String>,
    /// Until when a pod whose own last moment is later is stopped all the same; only told to `local-drain` hooks.
    pub local_after: Option<Duration>,
    pub rehearsal: bool,
}

impl Context {
    /// The response in a hook's environment: every variable is always there (`SPOT_GUARD_POD_UIDS` and
    /// `SPOT_GUARD_LOCAL_AFTER` for `local-drain` hooks), empty where there is nothing to tell, so that a script may run with `set -u`. Seconds are whole ones,
    /// cut; the UIDs have spaces between them.
    pub fn environment(&self) -> Vec<(String, String)> {
        let told = |text: &Option<String>| text.clone().unwrap_or_default();
        let instance = &self.instance;
        let mut variables = vec![
            ("SPOT_GUARD_PHASE", self.phase.name().into()),
            ("SPOT_GUARD_NOTICE", self.notice.clone()),
            ("SPOT_GUARD_RESPONSE", self.response.clone()),
            ("SPOT_GUARD_ACTION", told(&self.action)),
            (RESPONSE_ID, self.response_id.clone()),
            ("SPOT_GUARD_DEADLINE", self.deadline.to_string()),
            ("SPOT_GUARD_SECONDS_LEFT", self.left.as_secs().to_string()),
            ("SPOT_GUARD_TIMEOUT", self.timeout.as_secs().to_string()),
            ("SPOT_GUARD_NODE_NAME", told(&self.node_name)),
            ("SPOT_GUARD_INSTANCE_ID", told(&instance.id)),
            ("SPOT_GUARD_INSTANCE_TYPE", told(&instance.kind)),
            ("SPOT_GUARD_AVAILABILITY_ZONE", told(&instance.availability_zone)),
            ("SPOT_GUARD_REGION", told(&instance.region)),
            ("SPOT_GUARD_PODS_LEFT", self.pods_left.map(|pods| pods.to_string()).unwrap_or_default()),
            ("SPOT_GUARD_REHEARSAL", if self.rehearsal { "1".into() } else { String::new() }),
        ];
        if self.phase == Phase::LocalDrain {
            let local_after = self.local_after.map(|left| left.as_secs().to_string()).unwrap_or_default();
            variables.push(("SPOT_GUARD_POD_UIDS", self.pod_uids.join(" ")));
            variables.push(("SPOT_GUARD_LOCAL_AFTER", local_after));
        }
        // The kernel refuses a variable that holds a zero byte, and the hook would not run at all.
        variables.into_iter().map(|(name, value)| (name.into(), value.replace('\0', ""))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn context(phase: Phase) -> Context {
        Context {
            phase,
            notice: "spot-interruption".into(),
            response: "drain".into(),
            action: Some("terminate".into()),
            response_id: "20261122T203343Z".into(),
            deadline: Timestamp::from_rfc3339("2026-11-22T20:35:43Z").unwrap(),
            left: Duration::from_millis(118_400),
            timeout: Duration::from_millis(29_900),
            node_name: Some("ip-10-0-1-7".into()),
            instance: Instance { id: Some("i-0ab1c2".into()), ..Instance::default() },
            pods_left: Some(3),
            pod_uids: vec!["u1".into(), "u2\0".into()],
            local_after: Some(Duration::from_millis(40_500)),
            rehearsal: false,
        }
    }

    fn environment(context: &Context) -> BTreeMap<String, String> {
        context.environment().into_iter().collect()
    }

    #[test]
    fn a_hook_is_told_the_response_in_its_environment() {
        let environment = environment(&context(Phase::PreDrain));
        let told = |name: &str| environment.get(&format!("SPOT_GUARD_{name}")).map(String::as_str);
        assert_eq!(told("PHASE"), Some("pre-drain"));
        assert_eq!(told("ACTION"), Some("terminate"));
        assert_eq!(told("DEADLINE"), Some("2026-11-22T20:35:43.000Z"));
        assert_eq!((told("SECONDS_LEFT"), told("TIMEOUT")), (Some("118"), Some("29")));
        assert_eq!((told("INSTANCE_ID"), told("INSTANCE_TYPE")), (Some("i-0ab1c2"), Some("")));
        assert_eq!(told("PODS_LEFT"), Some("3"));
        assert_eq!((told("POD_UIDS"), told("REHEARSAL")), (None, Some("")));
    }

    #[test]
    fn a_local_drain_hook_is_told_the_pods_of_its_wave() {
        let environment = environment(&context(Phase::LocalDrain));
        assert_eq!(environment.get("SPOT_GUARD_POD_UIDS").map(String::as_str), Some("u1 u2"));
        assert_eq!(environment.get("SPOT_GUARD_LOCAL_AFTER").map(String::as_str), Some("40"));
    }

    #[test]
    fn a_hook_carries_the_mark_of_its_response() {
        let variables = context(Phase::During).environment().into_iter().map(|(name, value)| format!("{name}={value}"));
        assert_eq!(variables.filter(|variable| *variable == mark("20261122T203343Z")).count(), 1);
    }

    #[test]
    fn a_rehearsal_says_so() {
        let environment = environment(&Context { rehearsal: true, ..context(Phase::PreDrain) });
        assert_eq!(environment.get("SPOT_GUARD_REHEARSAL").map(String::as_str), Some("1"));
    }
}
