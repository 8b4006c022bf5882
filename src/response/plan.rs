//! The drain's plan: which pods are to stop, when each can be asked at the latest, and with what grace.
//!
//! Pure functions of a pod, the settings and the time.

use std::time::Duration;

use crate::config::Selector;
use crate::moment::Moment;
use crate::objects::Pod;

/// How long before the deadline the drain ends: what is left for the last status updates and a slow answer.
pub const DRAIN_MARGIN: Duration = Duration::from_secs(2);

/// How long before the deadline the post-drain hooks start at the latest, where nothing else is set.
pub const DEFAULT_RESERVE: Duration = Duration::from_secs(15);

/// From this priority on a pod is critical: `system-cluster-critical` and `system-node-critical`
/// (kubernetes/kubernetes `pkg/apis/scheduling/types.go`, `SystemCriticalPriority`).
pub const CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// How long before its force time a critical pod is no longer held at the end of the queue.
const CRITICAL_LEAD: Duration = Duration::from_secs(5);

/// How long before the last moment a pod is asked: a grace is given in whole seconds, so that a moment too late would
/// cost a second of it.
pub const ASKING_TAKES: Duration = Duration::from_millis(200);

/// What is to become of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is asked to stop.
    Stops,
    /// Its DaemonSet would only start it again, and others may need it to stop (CNI, CSI).
    DaemonSet,
    /// A static pod: the API server holds only its mirror.
    Static,
    /// `drain.skip` names it.
    Skipped,
    /// It has ended; there is nothing to stop.
    Finished,
}

/// What is to become of `pod`, where `skip` is the selector of pods to leave alone.
pub fn role(pod: &Pod, skip: Option<&Selector>) -> Role {
    if pod.mirror {
        Role::Static
    } else if pod.daemon_set {
        Role::DaemonSet
    } else if pod.finished {
        Role::Finished
    } else if skip.is_some_and(|selector| selector.matches(&pod.labels)) {
        Role::Skipped
    } else {
        Role::Stops
    }
}

/// The moment by which every pod should be gone.
pub fn drain_end(deadline: Moment) -> Moment {
    deadline - DRAIN_MARGIN
}

/// The last moment at which a pod with this grace can be asked to stop and still use its whole grace before
/// `drain_end`, the asking included.
///
/// In the past when the grace is longer than what is left: such a pod is asked at once, with the grace that fits.
/// The first ask sets the kubelet's timer (seen on 1.36 with containerd 1.6), so what fits is decided once, there.
/// A pod without a grace (0) can be asked up to a second before the end, as 1 s is the least that is asked for.
pub fn force_time(grace: Duration, drain_end: Moment) -> Moment {
    drain_end - grace.max(Duration::from_secs(1)) - ASKING_TAKES
}

/// The grace to ask with: the pod's own where it fits, else what is left until `drain_end`, in whole seconds and at
/// least 1 s. Never 0: that removes the pod from the API server without telling the kubelet.
pub fn fitted_grace(grace: Duration, drain_end: Moment, now: Moment) -> Duration {
    let left = Duration::from_secs(now.until(drain_end).as_secs());
    grace.min(left).max(Duration::from_secs(1))
}

/// How long to wait before an ask is repeated that was refused `refusals` times: 1, 2, 4, then every 5 s, each up to
/// a fifth longer or shorter by `luck` (any number), so that the nodes of a fleet do not knock together.
pub fn repeat_after(refusals: u32, luck: u64) -> Duration {
    let base = match refusals {
        0 | 1 => 1000,
        2 => 2000,
        3 => 4000,
        _ => 5000,
    };
    Duration::from_millis(base * 4 / 5 + luck % (base * 2 / 5 + 1))
}

/// The order in which pods get a free slot: smaller first. The nearest force time leads; critical pods come last in
/// the burst, but are not held back when their own force time is near.
pub fn turn(critical: bool, force_time: Moment, now: Moment) -> (bool, Moment) {
    (critical && force_time > now + CRITICAL_LEAD, force_time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::PodId;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn pod() -> Pod {
        let id = PodId { namespace: "web".into(), name: "api".into(), uid: "u".into() };
        Pod {
            id,
            priority: 0,
            grace: Duration::from_secs(30),
            labels: [("app".to_owned(), "api".to_owned())].into(),
            mirror: false,
            daemon_set: false,
            finished: false,
            stopping: false,
            cut: false,
            claims: Vec::new(),
            bare: false,
            local_data: false,
        }
    }

    #[test]
    fn daemon_set_static_skipped_and_finished_pods_stay() {
        let skip = Selector::parse("app=api").unwrap();
        assert_eq!(role(&pod(), None), Role::Stops);
        assert_eq!(role(&pod(), Some(&skip)), Role::Skipped);
        assert_eq!(role(&Pod { daemon_set: true, ..pod() }, None), Role::DaemonSet);
        assert_eq!(role(&Pod { mirror: true, ..pod() }, None), Role::Static);
        assert_eq!(role(&Pod { finished: true, ..pod() }, None), Role::Finished);
    }

    #[test]
    fn a_grace_that_fits_is_kept_and_one_that_does_not_is_cut_to_what_is_left() {
        let fitted = |grace, now| fitted_grace(Duration::from_secs(grace), at(100), at(now)).as_secs();
        assert_eq!(fitted(30, 0), 30);
        assert_eq!(fitted(30, 70), 30);
        assert_eq!(fitted(30, 71), 29);
        assert_eq!(fitted(300, 0), 100);
        assert_eq!(fitted(0, 0), 1);
        assert_eq!(fitted(30, 100), 1);
        assert_eq!(fitted(30, 200), 1);
    }

    #[test]
    fn critical_pods_come_last_until_their_force_time_is_near() {
        assert!(turn(true, at(50), at(0)) > turn(false, at(90), at(0)));
        assert!(turn(true, at(50), at(46)) < turn(false, at(90), at(46)));
        assert_eq!(turn(true, at(51), at(46)), (false, at(51)));
    }

    #[test]
    fn repeats_come_after_1_2_4_and_then_5_seconds_give_or_take_a_fifth() {
        for (refusals, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (40, 5.0)] {
            for luck in [0, 1, 399, 12_345, u64::MAX] {
                let after = repeat_after(refusals, luck).as_secs_f64();
                assert!((seconds * 0.8..=seconds * 1.2).contains(&after), "{refusals} {luck} {after}");
            }
        }
        assert_eq!([0, 400, 401].map(|luck| repeat_after(1, luck).as_millis()), [800, 1200, 800]);
        assert_eq!([0, 2000, 2001].map(|luck| repeat_after(4, luck).as_millis()), [4000, 6000, 4000]);
    }

    proptest! {
        #[test]
        fn no_grace_is_below_a_second_or_reaches_beyond_the_drains_end(grace in 0u64..4000, end in 0u64..4000, now_ms in 0u64..4_000_000) {
            let now = Moment::after_boot(Duration::from_millis(now_ms));
            let fitted = fitted_grace(Duration::from_secs(grace), at(end), now);
            prop_assert!(fitted >= Duration::from_secs(1));
            prop_assert!(fitted == Duration::from_secs(1) || now + fitted <= at(end));
            prop_assert!(fitted <= Duration::from_secs(grace.max(1)));
        }

        #[test]
        fn a_pod_asked_at_its_force_time_or_a_moment_after_keeps_its_whole_grace(grace in 0u64..4000, end in 4002u64..9000, late_ms in 0u64..200) {
            let grace = Duration::from_secs(grace);
            let fitted = fitted_grace(grace, at(end), force_time(grace, at(end)) + Duration::from_millis(late_ms));
            prop_assert_eq!(fitted, grace.max(Duration::from_secs(1)));
        }
    }
}
