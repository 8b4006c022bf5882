//! How soon hooks run, and what a hundred of them cost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};

use crate::report::{Report, median, spread};
use crate::{OWN_BINARY, Plan};

const HOOKS: usize = 100;
/// The first command of each hook: what the shell and `date` take to start is in the figures.
const TELL: &str = "date +%s.%N >>$OUT/began";

pub fn measure(plan: &Plan, report: &mut Report) {
    report.heading(
        "Hooks",
        "Hooks of `notice.d`, which are shell scripts of one line that tells the time: from the notice's being served to \
         the first of them, and to the last of a hundred.",
    );
    let one_after_another = |index: usize| format!("{index:02}-tell");
    let at_once = |index: usize| format!("50-tell-{index:02}");
    let rows = [
        row("one hook", plan, 1, one_after_another),
        row("a hundred, one after another", plan, HOOKS, one_after_another),
        row("a hundred at once", plan, HOOKS, at_once),
    ];
    report.table(&["", "first, ms", "last, ms", "a hook, ms"], &rows);
}

fn row(what: &str, plan: &Plan, count: usize, name: fn(usize) -> String) -> Vec<String> {
    let runs: Vec<Vec<f64>> = (0..plan.runs).map(|_| run(count, name)).collect();
    let first: Vec<f64> = runs.iter().map(|times| times[0]).collect();
    let last: Vec<f64> = runs.iter().map(|times| times[count - 1]).collect();
    let between = median(last.clone()) - median(first.clone());
    let each = if count > 1 { vec![between / (count - 1) as f64] } else { Vec::new() };
    vec![what.to_owned(), spread(first), spread(last), spread(each)]
}

/// Milliseconds from the notice's being served to the beginning of each hook, in that order.
fn run(count: usize, name: fn(usize) -> String) -> Vec<f64> {
    let imds = Imds::on_loopback();
    let mut setup = Setup::new(OWN_BINARY).imds(&imds).without_kubernetes();
    for index in 0..count {
        setup = setup.hook("notice", &name(index), TELL);
    }
    let guard = setup.start();
    let first_poll = || imds.log().iter().find(|asked| asked.path == SPOT).map(|_| ());
    guard.expect("IMDS is polled", Duration::from_secs(20), first_poll);
    imds.interrupt("terminate", Duration::from_secs(120));
    let served = imds.wait_served(SPOT, Duration::from_secs(20)).expect("the notice is served");
    let served = SystemTime::now() - served.elapsed();
    let mut times = began(&guard, count);
    times.sort_by(f64::total_cmp);
    let served = served.duration_since(UNIX_EPOCH).expect("a time of today").as_secs_f64();
    times.into_iter().map(|time| (time - served) * 1000.0).collect()
}

/// Seconds since the epoch.
fn began(guard: &Guard, count: usize) -> Vec<f64> {
    guard.expect("all hooks have run", Duration::from_secs(110), || {
        let told = guard.told("began");
        (told.len() == count).then(|| told.iter().map(|time| time.parse().expect("a time")).collect())
    })
}
