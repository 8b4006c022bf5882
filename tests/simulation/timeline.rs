//! How the world was at every moment, worked out once it is over.

use spot_guard::notice::InstanceAction;

use crate::history::Told;
use crate::scenario::{Budget, Link, Ms};
use crate::world::World;

/// The world is looked at this often.
pub const GRAIN: Ms = 50;

/// The drain ends so long before the deadline.
const MARGIN: Ms = 2_000;

/// How long a daemon needs after its start to know its node again.
const READY_TAKES: Ms = 1_500;

/// A watch that says nothing is replaced after half a minute; sooner where a request notices that the connection is dead.
const DEAD_WATCH: Ms = 31_000;

/// What must be done by when, as the metadata service's answers said at one time.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    pub first_seen: Ms,
    pub at: Ms,
    /// Nothing is waited for: the time has passed, or the machine is being frozen already.
    pub hurries: bool,
}

impl Deadline {
    pub fn drain_end(&self) -> Ms {
        self.at.saturating_sub(MARGIN)
    }
}

/// Whether something held, every [`GRAIN`].
pub struct Held {
    /// How often it did not hold up to there.
    failures: Vec<u32>,
}

impl Held {
    fn of(length: usize, holds: impl Fn(Ms) -> bool) -> Held {
        let mut failures = vec![0];
        for index in 0..length {
            let failed = u32::from(!holds(index as Ms * GRAIN));
            failures.push(failures[index] + failed);
        }
        Held { failures }
    }

    /// Whether it held throughout.
    pub fn throughout(&self, from: Ms, until: Ms) -> bool {
        let last = self.failures.len() - 1;
        let (from, until) = ((from / GRAIN) as usize, (until.div_ceil(GRAIN) + 1) as usize);
        self.failures[from.min(last)] == self.failures[until.min(last)]
    }
}

pub struct Timeline {
    /// The API server answers, over the connections that are in use.
    pub answers: Held,
    /// The daemon is there, gets a processor, and knows its node.
    pub is_up: Held,
    /// The API server does not refuse what has nothing to do with a pod, and has not asked for a pause.
    pub takes: Held,
    /// By budget: it lets a pod go.
    pub budgets: Vec<Held>,
    round_trips: Vec<Ms>,
    /// The deadline as it was known from each moment on.
    deadlines: Vec<(Ms, Deadline)>,
}

impl Timeline {
    /// `None` for a world in which no notice was seen.
    pub fn of(world: &World) -> Option<Timeline> {
        let deadlines = deadlines(world);
        let (_, last) = deadlines.last()?;
        let length = (last.at / GRAIN) as usize + 2;
        let links: Vec<Link> = (0..length).map(|index| link_at(world, index as Ms * GRAIN)).collect();
        let at = |moment: Ms| links[((moment / GRAIN) as usize).min(length - 1)];
        let pause = longest_pause(world);
        Some(Timeline {
            answers: Held::of(length, |moment| matches!(at(moment), Link::Answers { .. }) && !is_dead(world, moment)),
            is_up: Held::of(length, |moment| is_up(world, moment, at(moment))),
            takes: Held::of(length, |moment| {
                !(moment.saturating_sub(pause)..=moment)
                    .step_by(GRAIN as usize)
                    .any(|at_| matches!(at(at_), Link::Fails { .. }))
            }),
            budgets: (0..world.scenario.budgets.len())
                .map(|budget| Held::of(length, |moment| budget_was_open(world, budget, moment)))
                .collect(),
            round_trips: links
                .iter()
                .map(|link| if let Link::Answers { round_trip } = link { *round_trip } else { 0 })
                .collect(),
            deadlines,
        })
    }

    pub fn longest_round_trip(&self, from: Ms, until: Ms) -> Ms {
        let span = self.round_trips.iter().skip((from / GRAIN) as usize).take(((until - from) / GRAIN) as usize + 2);
        span.max().copied().unwrap_or(0)
    }

    /// The deadline that counted in the end.
    pub fn deadline(&self) -> Deadline {
        self.known(Ms::MAX)
    }

    /// The deadline as it was known at that moment.
    pub fn known(&self, moment: Ms) -> Deadline {
        let before = self.deadlines.iter().rev().find(|(from, _)| *from <= moment);
        before.or(self.deadlines.first()).map(|(_, deadline)| *deadline).unwrap_or_else(|| unreachable!("there is one"))
    }

    pub fn first_seen(&self) -> Ms {
        self.deadlines[0].0
    }
}

/// The notice's time less the date of the same answer, never more than two minutes, and only ever nearer.
fn deadlines(world: &World) -> Vec<(Ms, Deadline)> {
    let mut deadlines: Vec<(Ms, Deadline)> = Vec::new();
    for (at, sighting) in &world.history.sightings {
        let left = sighting.time.and_then(|time| time.later_than(sighting.date));
        let ends = *at + left.map_or(120_000, |left| u64::try_from(left.as_millis()).unwrap_or(0).min(120_000));
        let hurries = left.is_none() || sighting.action == InstanceAction::Hibernate;
        let next = match deadlines.last() {
            None => Deadline { first_seen: *at, at: ends, hurries },
            Some((_, former)) if *at >= former.at => break,
            Some((_, former)) => Deadline { at: former.at.min(ends), hurries: former.hurries || hurries, ..*former },
        };
        deadlines.push((*at, next));
    }
    deadlines
}

fn link_at(world: &World, moment: Ms) -> Link {
    let dead = world.scenario.dies_after_asks.is_some_and(|most| {
        let asked = world.pods.iter().filter(|pod| pod.asked.is_some_and(|(at, _)| at <= moment));
        asked.count() >= most
    });
    let stretches = world.scenario.links.iter().take_while(|stretch| stretch.from <= moment);
    if dead { Link::Silent } else { stretches.last().map_or(Link::Silent, |stretch| stretch.link) }
}

fn longest_pause(world: &World) -> Ms {
    let pauses = world.scenario.links.iter().filter_map(|stretch| match stretch.link {
        Link::Fails { retry_after, .. } => Some(retry_after.unwrap_or(0) * 1000),
        _ => None,
    });
    pauses.max().unwrap_or(0)
}

/// The connections in use are dead, and nobody could have known it yet.
fn is_dead(world: &World, moment: Ms) -> bool {
    let Some(died) = world.scenario.connections_die else { return false };
    let afresh = |(at, told): &(Ms, Told)| (*at >= died && matches!(told, Told::Sent(_, _, true))).then_some(*at + 100);
    let renewed = world.history.notes.iter().find_map(afresh).unwrap_or(Ms::MAX).min(died + DEAD_WATCH);
    (died..renewed).contains(&moment)
}

fn is_up(world: &World, moment: Ms, link: Link) -> bool {
    let ready_takes = READY_TAKES + if let Link::Answers { round_trip } = link { 3 * round_trip } else { 0 };
    let down = |(from, until): &(Ms, Ms)| (*from..until.saturating_add(ready_takes)).contains(&moment);
    let stalled = |(from, takes): &(Ms, Ms)| (*from..from + takes).contains(&moment);
    !world.history.down.iter().any(down) && !world.scenario.stalls.iter().any(stalled)
}

fn budget_was_open(world: &World, budget: usize, moment: Ms) -> bool {
    match world.scenario.budgets[budget] {
        Budget::OpensAt(opens) => opens.is_some_and(|opens| opens <= moment),
        Budget::OneAtATime { replaced_after } => world.pods.iter().all(|other| {
            let free_again = other.gone.map(|gone| gone + replaced_after);
            other.plan.budget != Some(budget)
                || other.asked.is_none_or(|(asked, _)| moment < asked || free_again.is_some_and(|free| moment >= free))
        }),
        Budget::Two => false,
    }
}
