//! Races at every size, the contenders in turn, and what the report says of them.

use std::time::Duration;

use crate::Plan;
use crate::contender::Contender;
use crate::race::{Race, Way, run};
use crate::report::{Goal, Report, median, spread};
use crate::shell;

/// With a delay, each way.
const FAR: Duration = Duration::from_millis(500);

/// The most pods with which it is raced where that takes long.
const FEW: usize = 110;

const HEAD: [&str; 9] = [
    "pods, who",
    "cordoned, ms",
    "first asked, ms",
    "last asked, ms",
    "last gone, s",
    "requests",
    "refused",
    "KiB a pod",
    "peak, MiB",
];

/// All races of one contender on a node of one size.
struct Field {
    pods: usize,
    contender: Contender,
    races: Vec<Race>,
}

pub fn plain(plan: &Plan, report: &mut Report) {
    report.heading(
        "From the notice to the last pod gone",
        "Since the notice was served by IMDS, as the API server's audit log has it: median (least–most). The limit keeps \
         64 warm connections, polls every 5 ms, lists the pods when the notice comes and evicts all at once; it keeps no \
         record and knows no deadline. The shell polls each second, then runs kubectl drain, and sets no label; it is \
         raced once and with few pods, since kubectl takes its time. A pod takes 5 s to stop. Bytes are counted, with TLS, \
         in one race more, through a proxy.",
    );
    let few: Vec<usize> = plan.sizes.iter().copied().filter(|pods| *pods <= FEW).collect();
    let mut fields = race(plan.runs, &plan.sizes, &[Contender::SpotGuard, Contender::Limit], Way::Direct);
    if shell::is_possible() {
        fields.extend(race(1, &few, &[Contender::Shell], Way::Direct));
    }
    let counted = few.last().copied();
    for field in fields.iter_mut().filter(|field| Some(field.pods) == counted) {
        let bytes = run(field.contender, field.pods, Way::Proxy(Duration::ZERO)).bytes;
        field.races.iter_mut().for_each(|race| race.bytes = bytes);
    }
    fields.sort_by_key(|field| field.pods);
    table(report, &fields);
    let mut goals = times_the_limit(&fields, 1.5);
    for field in fields.iter().filter(|field| field.contender == Contender::SpotGuard) {
        let pods = field.pods;
        goals.push(Goal::new(&format!("{pods} pods: cordoned"), "ms", field.median(|race| race.cordoned), 40.0));
        let others = field.median(|race| race.requests) - pods as f64;
        goals.push(Goal::new(&format!("{pods} pods: requests beside one a pod"), "", others, 15.0));
        goals.extend(field.memory_goal(8.0));
    }
    report.goals(&goals);
}

pub fn delayed(plan: &Plan, report: &mut Report) {
    report.heading(
        "With half a second of delay each way",
        "The same, raced once, through a proxy that holds back all between contender and API server for half a second, \
         each way.",
    );
    let fields = race(1, &plan.sizes, &[Contender::SpotGuard, Contender::Limit], Way::Proxy(FAR));
    table(report, &fields);
    let mut goals = times_the_limit(&fields, 2.0);
    goals.extend(fields.iter().filter_map(|field| field.memory_goal(10.0)));
    report.goals(&goals);
}

pub fn throttled(plan: &Plan, report: &mut Report) {
    report.heading(
        "With an API server that throttles",
        "The same, raced once and with few pods, where priority and fairness gives the node one share of concurrency, and \
         429 for what is more. The limit asks again after 50 ms, whatever it is told.",
    );
    let few: Vec<usize> = plan.sizes.iter().copied().filter(|pods| *pods <= FEW).collect();
    let fields = race(1, &few, &[Contender::SpotGuard, Contender::Limit], Way::Throttled);
    table(report, &fields);
}

/// The contenders in turn, so that what else the machine does is shared among them.
fn race(runs: usize, sizes: &[usize], contenders: &[Contender], way: Way) -> Vec<Field> {
    let mut fields = Vec::new();
    for &pods in sizes {
        let first = fields.len();
        fields.extend(contenders.iter().map(|&contender| Field { pods, contender, races: Vec::new() }));
        for _ in 0..runs {
            for field in &mut fields[first..] {
                let race = run(field.contender, pods, way);
                eprintln!("{pods} pods, {}: {race:.1?}", field.contender.name());
                field.races.push(race);
            }
        }
    }
    fields
}

fn table(report: &mut Report, fields: &[Field]) {
    report.table(&HEAD, &fields.iter().map(Field::row).collect::<Vec<_>>());
}

/// spot-guard against the limit, at each size.
fn times_the_limit(fields: &[Field], most: f64) -> Vec<Goal> {
    let of = |contender: Contender, pods: usize| {
        fields.iter().find(|field| field.contender == contender && field.pods == pods)
    };
    let own = fields.iter().filter(|field| field.contender == Contender::SpotGuard);
    let goal = |field: &Field| {
        let limit = of(Contender::Limit, field.pods)?.median(|race| race.last_asked);
        let times = field.median(|race| race.last_asked) / limit;
        Some(Goal::new(&format!("{} pods: last asked, against the limit", field.pods), "times", times, most))
    };
    own.filter_map(goal).collect()
}

impl Field {
    fn all(&self, of: impl Fn(&Race) -> f64) -> Vec<f64> {
        self.races.iter().map(of).collect()
    }

    fn median(&self, of: impl Fn(&Race) -> f64) -> f64 {
        median(self.all(of))
    }

    fn row(&self) -> Vec<String> {
        let pods = self.pods as f64;
        let known = |of: fn(&Race) -> Option<f64>| self.races.iter().filter_map(of).collect::<Vec<f64>>();
        let a_pod: Vec<f64> = known(|race| race.bytes).into_iter().map(|bytes| bytes / 1024.0 / pods).collect();
        vec![
            format!("{}, {}", self.pods, self.contender.name()),
            spread(self.all(|race| race.cordoned)),
            spread(self.all(|race| race.first_asked)),
            spread(self.all(|race| race.last_asked)),
            spread(self.all(|race| race.gone / 1000.0)),
            spread(self.all(|race| race.requests)),
            spread(self.all(|race| race.refused)),
            spread(a_pod),
            spread(known(|race| race.peak)),
        ]
    }

    /// What spot-guard may take at the most: 4 MiB up to 110 pods, `large` above.
    fn memory_goal(&self, large: f64) -> Option<Goal> {
        let most = if self.pods <= 110 { 4.0 } else { large };
        let peak = median(self.races.iter().filter_map(|race| race.peak).collect());
        let goal = || Goal::new(&format!("{} pods: peak memory", self.pods), "MiB", peak, most);
        (self.contender == Contender::SpotGuard).then(goal)
    }
}
