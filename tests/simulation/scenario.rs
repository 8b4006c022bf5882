//! What a world is like before anything happens in it: drawn from one seed, whole.

use std::time::Duration;

use fastrand::Rng;
use spot_guard::config::{self, Reaction, Settings};
use spot_guard::hooks::Phase;
use spot_guard::notice::{InstanceAction, Kind};

/// Milliseconds after the moment at which EC2 announces the interruption.
pub type Ms = u64;

/// What the world's trouble is. One a world, so that a failure says where to look; the last has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Calm,
    LateNotice,
    Hibernation,
    Silence,
    SilenceForGood,
    Refusal,
    SlowAnswers,
    Throttling,
    ServerErrors,
    CutAnswers,
    DeadConnections,
    DiesAfterSomeAsks,
    Crashes,
    Stalls,
    BrokenDisk,
    StrangeNotices,
    TwoNotices,
    ManyAtOnce,
}

pub const CLASSES: [Class; 18] = [
    Class::Calm,
    Class::LateNotice,
    Class::Hibernation,
    Class::Silence,
    Class::SilenceForGood,
    Class::Refusal,
    Class::SlowAnswers,
    Class::Throttling,
    Class::ServerErrors,
    Class::CutAnswers,
    Class::DeadConnections,
    Class::DiesAfterSomeAsks,
    Class::Crashes,
    Class::Stalls,
    Class::BrokenDisk,
    Class::StrangeNotices,
    Class::TwoNotices,
    Class::ManyAtOnce,
];

/// How the API server behaves towards this machine for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It answers; a round trip takes so long.
    Answers { round_trip: Ms },
    /// What is sent is swallowed.
    Silent,
    /// What is sent arrives and is done, but no answer comes back.
    SilentThoughDone,
    /// Connections are refused.
    Refuses,
    /// Every request is answered with this status.
    Fails { status: u16, retry_after: Option<u64> },
    /// What is sent is done, and the connection is cut in the middle of the answer.
    Cuts,
}

/// From then on the link is like this.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub from: Ms,
    pub link: Link,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Lets pods go from then on; `None`: never.
    OpensAt(Option<Ms>),
    /// Lets one pod go at a time; the next when the former's replacement is up, so long after it is gone.
    OneAtATime { replaced_after: Ms },
    /// A second budget on each of its pods: answered with 500.
    Two,
}

#[derive(Clone, Debug)]
pub struct PodPlan {
    pub name: String,
    pub uid: String,
    pub grace: u64,
    /// How long its preStop hook takes.
    pub pre_stop: Ms,
    /// How long its containers work after TERM.
    pub works: Ms,
    pub critical: bool,
    pub daemon_set: bool,
    pub mirror: bool,
    pub finished: bool,
    /// Of `Scenario::budgets`.
    pub budget: Option<usize>,
    pub appears: Ms,
    /// Evictions of it give a false 404 for so long.
    pub unknown_for: Ms,
    /// Its volume is released so long after it is gone; `None` within: never.
    pub volume: Option<Option<Ms>>,
}

#[derive(Clone, Debug)]
pub struct HookPlan {
    pub phase: Phase,
    pub name: String,
    pub takes: Ms,
    pub exit: i32,
}

/// What one poll of the metadata service shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// The notice, as it was announced.
    Notice,
    /// The notice with another time, so many milliseconds later (or earlier).
    Moved(i64),
    Changed(InstanceAction),
    /// 404.
    Nothing,
    /// No answer, or an error.
    Trouble,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub class: Class,
    pub action: InstanceAction,
    /// From the announcement to what the notice says; `None`: it says a time in the past.
    pub announced: Option<Ms>,
    /// The first poll that shows it.
    pub seen: Ms,
    pub date_header: bool,
    /// The polls after the first sight, one a second.
    pub polls: Vec<Poll>,
    /// A notice of another kind, with a later deadline, and when it is first seen.
    pub other: Option<(Kind, Ms)>,
    pub pods: Vec<PodPlan>,
    pub budgets: Vec<Budget>,
    pub links: Vec<Stretch>,
    /// Connections made before then are dead from then on.
    pub connections_die: Option<Ms>,
    /// The API server dies for good when it has accepted so many asks.
    pub dies_after_asks: Option<usize>,
    /// The kubelet reaches the API server by the same link.
    pub kubelet_shares_link: bool,
    /// The daemon dies then and is up again so much later.
    pub crashes: Vec<(Ms, Ms)>,
    /// The daemon gets no processor from then on, for so long.
    pub stalls: Vec<(Ms, Ms)>,
    /// The disk does not answer from then, until then.
    pub disk_hangs: Option<(Ms, Ms)>,
    pub hooks: Vec<HookPlan>,
    /// How long the shipped kind of local-drain hook takes until it has stopped a wave; `None`: there is none.
    pub local_drain: Option<Ms>,
    /// Statuses that a PATCH of the node is answered with before it is accepted.
    pub patch_refusals: Vec<u16>,
    pub settings: Settings,
}

impl Scenario {
    /// The one world of that seed.
    pub fn from_seed(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let class = CLASSES[rng.usize(..CLASSES.len())];
        let all = class == Class::ManyAtOnce;
        let is = |rng: &mut Rng, one: Class| class == one || (all && rng.u8(..4) == 0);
        let mut scenario = Scenario::calm(seed, class, &mut rng);
        if is(&mut rng, Class::LateNotice) {
            let left = [0, 1, 5, 20, 45, 45, 60, 90, 108][rng.usize(..9)];
            scenario.announced = (left > 0).then_some(left * 1000);
        }
        if class == Class::Hibernation || (all && rng.u8(..20) == 0) {
            scenario.action = InstanceAction::Hibernate;
        }
        if is(&mut rng, Class::TwoNotices) {
            scenario.have_another_notice(&mut rng);
        }
        let end = scenario.seen + 120_000;
        for (one, draw) in LINKS {
            if is(&mut rng, *one) {
                draw(&mut scenario, &mut rng, end);
            }
        }
        scenario.links.sort_by_key(|stretch| stretch.from);
        if is(&mut rng, Class::DeadConnections) {
            scenario.connections_die = Some(rng.u64(..end));
        }
        if is(&mut rng, Class::DiesAfterSomeAsks) {
            scenario.dies_after_asks = Some(rng.usize(..20));
        }
        if is(&mut rng, Class::Crashes) {
            scenario.crashes = spans(&mut rng, 1..4, end, 100..3000);
        }
        if is(&mut rng, Class::Stalls) {
            scenario.stalls = spans(&mut rng, 1..4, end, 100..15_000);
        }
        if is(&mut rng, Class::BrokenDisk) {
            let from = rng.u64(..end);
            scenario.disk_hangs = Some((from, from + rng.u64(..end)));
            if rng.bool() {
                scenario.crashes = spans(&mut rng, 1..2, end, 100..3000);
            }
        }
        if is(&mut rng, Class::StrangeNotices) {
            scenario.polls = (0..130).map(|_| strange_poll(&mut rng)).collect();
        }
        scenario
    }

    /// Before the interruption one that passes over no budget: its force times are not the interruption's.
    fn have_another_notice(&mut self, rng: &mut Rng) {
        let response = &mut self.settings.responses.rebalance_recommendation;
        response.reaction = [Reaction::Observe, Reaction::Cordon, Reaction::Drain][rng.usize(..3)];
        self.other = Some(if rng.bool() {
            let before = rng.u64(1..40_000);
            self.seen += before;
            ([Kind::ByHand, Kind::RebalanceRecommendation][rng.usize(..2)], self.seen - before)
        } else {
            (Kind::ALL[rng.usize(1..Kind::ALL.len())], self.seen + rng.u64(..100_000))
        });
    }

    fn calm(seed: u64, class: Class, rng: &mut Rng) -> Scenario {
        let budgets: Vec<Budget> = (0..rng.usize(..4)).map(|_| budget(rng)).collect();
        let most = if rng.u8(..10) == 0 { 120 } else { 24 };
        let pods = (0..rng.usize(..most)).map(|index| pod(rng, index, budgets.len())).collect();
        let round_trip = [1, 2, 5, 5, 20, 80, 200][rng.usize(..7)];
        Scenario {
            seed,
            class,
            action: [InstanceAction::Terminate, InstanceAction::Stop][rng.usize(..2)],
            announced: Some(120_000),
            seen: rng.u64(..1000),
            date_header: rng.u8(..5) > 0,
            polls: vec![Poll::Notice; 130],
            other: None,
            pods,
            budgets,
            links: vec![Stretch { from: 0, link: Link::Answers { round_trip } }],
            connections_die: None,
            dies_after_asks: None,
            kubelet_shares_link: rng.bool(),
            crashes: Vec::new(),
            stalls: Vec::new(),
            disk_hangs: None,
            hooks: hooks(rng),
            local_drain: (rng.u8(..4) > 0).then(|| rng.u64(20..400)),
            patch_refusals: patch_refusals(rng),
            settings: settings(rng),
        }
    }
}

type Draw = fn(&mut Scenario, &mut Rng, Ms);

/// The classes of trouble with the link, and how each is drawn.
const LINKS: &[(Class, Draw)] = &[
    (Class::Silence, |scenario, rng, end| {
        let link = [Link::Silent, Link::Silent, Link::SilentThoughDone][rng.usize(..3)];
        trouble_for_a_while(scenario, rng, end, link);
    }),
    (Class::SilenceForGood, |scenario, rng, end| {
        let from = if rng.bool() { 0 } else { rng.u64(..end) };
        let link = [Link::Silent, Link::SilentThoughDone, Link::Refuses][rng.usize(..3)];
        scenario.links.push(Stretch { from, link });
    }),
    (Class::Refusal, |scenario, rng, end| trouble_for_a_while(scenario, rng, end, Link::Refuses)),
    (Class::SlowAnswers, |scenario, rng, end| {
        let round_trip = rng.u64(200..4000);
        trouble_for_a_while(scenario, rng, end, Link::Answers { round_trip });
    }),
    (Class::Throttling, |scenario, rng, end| {
        let retry_after = rng.bool().then(|| rng.u64(1..15));
        trouble_for_a_while(scenario, rng, end, Link::Fails { status: 429, retry_after });
    }),
    (Class::ServerErrors, |scenario, rng, end| {
        let status = [500, 502, 503, 504][rng.usize(..4)];
        trouble_for_a_while(scenario, rng, end, Link::Fails { status, retry_after: None });
    }),
    (Class::CutAnswers, |scenario, rng, end| trouble_for_a_while(scenario, rng, end, Link::Cuts)),
];

/// A few stretches of that trouble, the link as it was in between.
fn trouble_for_a_while(scenario: &mut Scenario, rng: &mut Rng, end: Ms, link: Link) {
    let Some(well) = scenario.links.first().map(|stretch| stretch.link) else { return };
    for (from, takes) in spans(rng, 1..4, end, 300..70_000) {
        scenario.links.push(Stretch { from, link });
        scenario.links.push(Stretch { from: from + takes, link: well });
    }
}

/// So many spans of such lengths that begin before `end`, one after another.
fn spans(rng: &mut Rng, count: std::ops::Range<usize>, end: Ms, lengths: std::ops::Range<Ms>) -> Vec<(Ms, Ms)> {
    let mut from = if rng.u8(..3) == 0 { 0 } else { rng.u64(..end) };
    let mut spans = Vec::new();
    for _ in 0..rng.usize(count) {
        let takes = rng.u64(lengths.clone());
        spans.push((from, takes));
        from += takes + rng.u64(500..40_000);
    }
    spans
}

fn budget(rng: &mut Rng) -> Budget {
    match rng.u8(..8) {
        0..3 => Budget::OpensAt(Some(rng.u64(..130_000))),
        3 => Budget::OpensAt(None),
        4..7 => Budget::OneAtATime { replaced_after: rng.u64(100..20_000) },
        _ => Budget::Two,
    }
}

fn pod(rng: &mut Rng, index: usize, budgets: usize) -> PodPlan {
    let grace = [0, 1, 5, 10, 30, 30, 30, 60, 90, 115, 118, 120, 300, 3600][rng.usize(..14)];
    let within = (grace.min(130) * 1000).max(100);
    // Most pods stop well within their grace; some use all of it, some do not keep to it.
    let stop = match rng.u8(..10) {
        0..5 => rng.u64(..(within / 4).max(1)),
        5..8 => rng.u64(..within),
        8 => within,
        _ => within + rng.u64(1..60_000),
    };
    let pre_stop = if rng.u8(..6) == 0 { rng.u64(..stop.max(1)) } else { 0 };
    let kind = rng.u8(..24);
    let late = rng.u8(..8) == 0;
    PodPlan {
        // Some have the name of one that was there before them, as those of a StatefulSet have.
        name: if late && index > 0 && rng.bool() { format!("p{}", rng.usize(..index)) } else { format!("p{index}") },
        uid: format!("u{index}"),
        grace,
        pre_stop,
        works: stop - pre_stop,
        critical: rng.u8(..10) == 0,
        daemon_set: kind < 2,
        mirror: kind == 2,
        finished: kind == 3,
        budget: (budgets > 0 && rng.u8(..3) == 0).then(|| rng.usize(..budgets)),
        appears: if late { rng.u64(..125_000) } else { 0 },
        unknown_for: if rng.bool() { 0 } else { rng.u64(..600) },
        volume: (rng.u8(..8) == 0).then(|| (rng.u8(..4) > 0).then(|| rng.u64(..30_000))),
    }
}

fn hooks(rng: &mut Rng) -> Vec<HookPlan> {
    let mut hooks = Vec::new();
    for phase in [Phase::Notice, Phase::During, Phase::PreDrain, Phase::PostDrain] {
        if rng.bool() {
            continue;
        }
        for index in 0..rng.usize(1..4) {
            let takes = if rng.u8(..6) == 0 { rng.u64(..90_000) } else { rng.u64(20..3000) };
            let exit = [0, 0, 0, 1, 75][rng.usize(..5)];
            hooks.push(HookPlan { phase, name: format!("{}0-h{index}", index + 1), takes, exit });
        }
    }
    hooks
}

fn patch_refusals(rng: &mut Rng) -> Vec<u16> {
    if rng.u8(..6) > 0 {
        return Vec::new();
    }
    (0..rng.usize(1..4)).map(|_| [403, 403, 409, 422, 500][rng.usize(..5)]).collect()
}

fn settings(rng: &mut Rng) -> Settings {
    let mut settings = config::built_in();
    let seconds = |rng: &mut Rng, range| Duration::from_secs(rng.u64(range));
    if rng.u8(..6) == 0 {
        settings.drain.delay = seconds(rng, 0..40);
    }
    if rng.u8(..6) == 0 {
        settings.drain.reserve = Some(seconds(rng, 0..40));
    }
    if rng.u8(..6) == 0 {
        settings.drain.grace_period_limit = Some(seconds(rng, 5..100));
    }
    if rng.u8(..12) == 0 {
        settings.drain.local_after = Some(seconds(rng, 5..100));
    }
    if rng.u8(..6) == 0 {
        settings.hooks.pre_drain_limit = Some(seconds(rng, 0..60));
    }
    settings.drain.respect_budgets = rng.u8(..12) > 0;
    settings.drain.volumes = rng.u8(..6) > 0;
    settings
}

fn strange_poll(rng: &mut Rng) -> Poll {
    match rng.u8(..40) {
        0..10 => Poll::Nothing,
        10..16 => Poll::Trouble,
        16..18 => Poll::Moved(rng.i64(-60_000..60_000)),
        18 => Poll::Changed([InstanceAction::Stop, InstanceAction::Hibernate][rng.usize(..2)]),
        _ => Poll::Notice,
    }
}
