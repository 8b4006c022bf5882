//! What the best possible response to a world would have done, worked out in hindsight.
//!
//! Uses nothing of the machine's own decisions: the rules are written here a second time, from the documentation.

use spot_guard::hooks::Phase;
use spot_guard::objects::PodId;
use spot_guard::response::Request;

use crate::containers::Pod;
use crate::history::Told;
use crate::scenario::Ms;
use crate::timeline::{GRAIN, Held, Timeline};
use crate::world::World;

/// How long the world must be well from a moment on for a pod to be asked in it: as the promise says.
const ENOUGH: Ms = 2_000;

/// An ask that was refused is repeated after 5 s and a fifth at most, before its pod's force time.
const PACE: Ms = 6_000;

/// Round trips that a response needs from an API server's return to an ask: an attempt, the list, the ask.
const ROUND_TRIPS: Ms = 3;

/// Two more to pass over a budget: an eviction that is refused, and the mark that it is a disruption.
const PAST_A_BUDGET: Ms = 2;

/// A response is over so long after its deadline.
const CLOSED_AFTER: Ms = 5_000;

/// Requests a second for anything but pods; there are always fewer.
const MOST_IN_A_SECOND: usize = 30;

/// How one world ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Pods that were to stop.
    pub pods: usize,
    pub graceful: usize,
    pub savable: usize,
}

struct Oracle<'a> {
    world: &'a World,
    timeline: Timeline,
}

/// Checks all that is promised of a world that is over.
///
/// # Errors
/// Each promise that was broken, in words.
pub fn judge(world: &World) -> Result<Tally, Vec<String>> {
    // What a daemon had not written down before it died it cannot know.
    if world.history.forgot {
        return Ok(Tally::default());
    }
    let Some(timeline) = Timeline::of(world) else { return Ok(Tally::default()) };
    let oracle = Oracle { world, timeline };
    let mut broken = Vec::new();
    let tally = oracle.count(&mut broken);
    oracle.look_at_asks(&mut broken);
    oracle.look_at_the_load(&mut broken);
    oracle.look_at_the_end(&mut broken);
    oracle.look_at_post_drain(&mut broken);
    if broken.is_empty() { Ok(tally) } else { Err(broken) }
}

impl Oracle<'_> {
    fn count(&self, broken: &mut Vec<String>) -> Tally {
        let end = self.timeline.deadline().at;
        let mut tally = Tally::default();
        for pod in self.world.pods.iter().filter(|pod| pod.is_to_stop() && pod.plan.appears < end) {
            let graceful = pod.was_graceful(end);
            tally.pods += 1;
            tally.graceful += usize::from(graceful);
            if let Some((moment, how)) = self.savable_at(pod) {
                tally.savable += 1;
                if !graceful {
                    broken.push(format!("{} could have been {how} at {moment} ms: {pod:?}", pod.plan.uid));
                }
            }
        }
        tally
    }

    /// The pod's own grace, capped as the operator wants it.
    fn grace(&self, pod: &Pod) -> Ms {
        let limit = self.world.scenario.settings.drain.grace_period_limit.map_or(u64::MAX, |limit| limit.as_secs());
        pod.plan.grace.min(limit) * 1000
    }

    /// The last moment at which it can be asked and still have its grace, as the deadline was known at `moment`.
    fn force_time(&self, pod: &Pod, moment: Ms) -> Ms {
        self.timeline.known(moment).drain_end().saturating_sub(self.grace(pod).max(1000))
    }

    /// A moment at which stopping that pod would have been allowed and enough, and how.
    fn savable_at(&self, pod: &Pod) -> Option<(Ms, &'static str)> {
        let stop = pod.plan.pre_stop + pod.plan.works;
        if stop > self.grace(pod) || self.was_held_in_pre_stop(pod) {
            return None;
        }
        let last = self.timeline.deadline().drain_end().checked_sub(stop + ENOUGH)?;
        let from = pod.plan.appears.max(self.timeline.first_seen()).next_multiple_of(GRAIN);
        (from..=last).step_by(GRAIN as usize).find_map(|moment| match () {
            () if self.may_be_asked(pod, moment) => Some((moment, "asked")),
            () if self.may_be_stopped_locally(pod, moment) => Some((moment, "stopped locally")),
            () => None,
        })
    }

    /// A kubelet that is frozen for other pods comes late to the end of a preStop hook, and the grace runs on.
    fn was_held_in_pre_stop(&self, pod: &Pod) -> bool {
        let Some(heard) = pod.heard.filter(|_| pod.plan.pre_stop > 0) else { return false };
        let over = heard + pod.plan.pre_stop;
        self.world.history.frozen.iter().any(|(from, until)| *from < over && over < *until)
    }

    fn may_be_asked(&self, pod: &Pod, moment: Ms) -> bool {
        let timeline = &self.timeline;
        // What takes longer than the promise's two seconds is promised as so many round trips.
        let round_trips = ROUND_TRIPS + if pod.plan.budget.is_some() { PAST_A_BUDGET } else { 0 };
        let until = moment + ENOUGH.max(1000 + round_trips * timeline.longest_round_trip(moment, moment + ENOUGH));
        if timeline.deadline().drain_end() < until + pod.plan.pre_stop + pod.plan.works {
            return false;
        }
        if !timeline.answers.throughout(moment, until) || !timeline.is_up.throughout(moment, until) {
            return false;
        }
        if moment >= self.force_time(pod, moment) || timeline.known(moment).hurries {
            return true;
        }
        let since = moment.saturating_sub(PACE).max(timeline.first_seen());
        let known = moment >= pod.plan.appears + pod.plan.unknown_for + 1000;
        let waits = self.world.scenario.settings.drain.respect_budgets;
        let budget = pod.plan.budget.filter(|_| waits).and_then(|budget| timeline.budgets.get(budget));
        moment >= self.rules_open()
            && known
            && timeline.takes.throughout(since, until)
            && budget.is_none_or(|budget| budget.throughout(since, until))
    }

    /// With a hook for it, what the API server cannot be asked is done on the machine itself.
    fn may_be_stopped_locally(&self, pod: &Pod, moment: Ms) -> bool {
        let timeline = &self.timeline;
        let hook_is_there = self.world.scenario.local_drain.is_some();
        let in_time = moment >= self.force_time(pod, moment) || timeline.known(moment).hurries;
        let until = moment + ENOUGH;
        let cut_off = (moment..=until).step_by(GRAIN as usize).all(|at| !timeline.answers.throughout(at, at));
        hook_is_there && in_time && self.is_known(pod) && timeline.is_up.throughout(moment, until) && cut_off
    }

    /// The daemon could know of that pod: it was there from the start, or the API server answered when it came.
    fn is_known(&self, pod: &Pod) -> bool {
        let (appears, timeline) = (pod.plan.appears, &self.timeline);
        let told = |held: &Held| held.throughout(appears, appears + ENOUGH);
        // Pods are listed when a response begins, be it for another notice.
        let other = self.world.scenario.other.map_or(Ms::MAX, |(_, from)| from);
        appears <= timeline.first_seen().min(other) || (told(&timeline.answers) && told(&timeline.is_up))
    }

    /// From when on pods may be asked before their force times.
    fn rules_open(&self) -> Ms {
        let (settings, first_seen) = (&self.world.scenario.settings, self.timeline.first_seen());
        let window = self.timeline.known(first_seen).at.saturating_sub(first_seen);
        let limit = settings.hooks.pre_drain_limit.map_or(window / 4, |limit| limit.as_millis() as Ms);
        let has_hooks = self.world.scenario.hooks.iter().any(|hook| hook.phase == Phase::PreDrain);
        let over = self.world.history.pre_drain_over.unwrap_or(if has_hooks { Ms::MAX } else { first_seen });
        let delay = settings.drain.delay.as_millis() as Ms;
        let out = self.world.history.cordoned.unwrap_or(first_seen + 1000);
        over.min(first_seen + limit).max(out + delay)
    }

    fn look_at_asks(&self, broken: &mut Vec<String>) {
        let mut life = 0;
        for (at, told) in &self.world.history.notes {
            let (id, by_delete) = match told {
                Told::Sent(_, Request::Evict { pod, .. }, _) => (pod, false),
                Told::Sent(_, Request::Delete { pod, .. }, _) => (pod, true),
                Told::Dies => {
                    life += 1;
                    continue;
                }
                _ => continue,
            };
            broken.extend(self.wrong_ask(life, *at, id, by_delete));
        }
    }

    /// Whatever comes back, the API server is not asked in a tight loop.
    fn look_at_the_load(&self, broken: &mut Vec<String>) {
        let mut sent: Vec<Ms> = Vec::new();
        for (at, told) in &self.world.history.notes {
            let Told::Sent(_, request, _) = told else { continue };
            if !matches!(request, Request::Evict { .. } | Request::Delete { .. } | Request::MarkDisrupted(_)) {
                sent.push(*at);
            }
        }
        let burst = sent.windows(MOST_IN_A_SECOND).find(|window| window[MOST_IN_A_SECOND - 1] < window[0] + 1000);
        broken.extend(
            burst.map(|window| format!("more than {MOST_IN_A_SECOND} requests in a second at {} ms", window[0])),
        );
    }

    fn wrong_ask(&self, life: u64, at: Ms, id: &PodId, by_delete: bool) -> Option<String> {
        let (world, uid) = (self.world, &id.uid);
        let pod = world.pods.iter().find(|pod| pod.plan.uid == *uid)?;
        if !pod.is_to_stop() {
            return Some(format!("{uid} was asked at {at} ms, and it is to stay"));
        }
        if world.history.knew_stopping.get(&(life, uid.clone())).is_some_and(|since| *since < at) {
            return Some(format!("{uid} was asked at {at} ms, and was known to be stopping"));
        }
        if self.is_another_response(at) {
            return None;
        }
        if at > self.timeline.deadline().at {
            return Some(format!("{uid} was asked at {at} ms, after the deadline"));
        }
        let may_force = self.timeline.known(at).hurries || !world.scenario.settings.drain.respect_budgets;
        // The machine asks 200 ms before the last moment, as a grace has whole seconds.
        if by_delete && !may_force && at + 200 < self.force_time(pod, at) {
            return Some(format!("{uid} was deleted at {at} ms, before its force time"));
        }
        None
    }

    /// A machine that outlives its interruption responds to what else stands.
    fn is_another_response(&self, moment: Ms) -> bool {
        self.world.scenario.other.is_some() && moment >= self.timeline.deadline().at + CLOSED_AFTER
    }

    /// A daemon that is not there, or gets no processor, can do nothing; after that it is a moment late.
    fn excused(&self, moment: Ms) -> bool {
        !self.timeline.is_up.throughout(moment.saturating_sub(1000), moment + 100)
    }

    fn look_at_the_end(&self, broken: &mut Vec<String>) {
        let end = self.timeline.deadline().at;
        if self.excused(end) {
            return;
        }
        match self.world.history.ended {
            Some(at) if at <= end + 50 => {}
            ended => broken.push(format!("the response was to end by {end} ms, and did at {ended:?}")),
        }
        let first_seen = self.timeline.first_seen();
        // What began for another notice before is stopped at the new deadline.
        let starts = self.world.history.hook_starts.iter();
        let for_this = starts.filter(|hook| hook.at >= first_seen && !self.is_another_response(hook.at));
        let beyond = for_this.into_iter().find(|hook| hook.ends > self.timeline.known(hook.at).at);
        broken.extend(beyond.map(|hook| format!("{}/{} had time beyond the deadline", hook.phase.name(), hook.name)));
    }

    fn look_at_post_drain(&self, broken: &mut Vec<String>) {
        let (world, deadline) = (self.world, self.timeline.deadline());
        let reserve = if deadline.hurries { 0 } else { 15_000 };
        let reserve = world.scenario.settings.drain.reserve.map_or(reserve, |reserve| reserve.as_millis() as Ms);
        let by = deadline.at.saturating_sub(reserve).min(deadline.drain_end()).max(deadline.first_seen);
        let has_hooks = world.scenario.hooks.iter().any(|hook| hook.phase == Phase::PostDrain);
        // A deadline that came nearer after that could not be known.
        if !has_hooks || self.excused(by) || self.timeline.known(by).at != deadline.at {
            return;
        }
        let first = world.history.hook_starts.iter().find(|start| start.phase == Phase::PostDrain);
        // Its start is recorded first, for which a disk has 200 ms.
        if first.is_none_or(|start| start.at > by + 300) {
            broken.push(format!("post-drain hooks were to start by {by} ms, and did at {first:?}"));
        }
    }
}

/// The deadline that counted in the end, for the story.
pub fn end(world: &World) -> Option<Ms> {
    Timeline::of(world).map(|timeline| timeline.deadline().at)
}
