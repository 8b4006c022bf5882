//! Thousands of made-up worlds, each from one seed, against the best possible outcome.
//!
//! The machine is the product's own; the world around it, its clock included, is made up. `make simulate` tries 20,000
//! worlds, `make simulate WORLDS=100000` another number, `make simulate SEED=17` tells the story of one.
#![forbid(unsafe_code)]

mod api_server;
mod containers;
mod history;
mod kubelet;
mod local_drain;
mod oracle;
mod scenario;
mod timeline;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use oracle::Tally;
use scenario::{Class, Scenario};
use world::World;

/// Worlds where nobody says how many: a glance, for a build that is not optimised.
const WORLDS: u64 = 100;

/// Failing seeds that are told of; the first is enough to begin with.
const TOLD: usize = 10;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}

/// What became of the worlds.
#[derive(Default)]
struct Sum {
    classes: BTreeMap<Class, (u64, Tally)>,
    failed: Vec<(u64, Class, Vec<String>)>,
}

fn live(seed: u64) -> (World, Result<Tally, Vec<String>>) {
    let mut world = World::new(Scenario::from_seed(seed));
    let ran = world.run();
    let judged = match ran {
        Ok(()) => oracle::judge(&world),
        Err(error) => Err(vec![error]),
    };
    (world, judged)
}

fn try_worlds(seeds: std::ops::Range<u64>) -> Sum {
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Sum::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end) {
                    let (world, judged) = live(seed);
                    sum.lock().unwrap().add(seed, world.scenario.class, judged);
                }
            });
        }
    });
    sum.into_inner().unwrap()
}

impl Sum {
    fn add(&mut self, seed: u64, class: Class, judged: Result<Tally, Vec<String>>) {
        match judged {
            Ok(tally) => {
                let (worlds, sum) = self.classes.entry(class).or_default();
                *worlds += 1;
                sum.pods += tally.pods;
                sum.graceful += tally.graceful;
                sum.savable += tally.savable;
            }
            Err(broken) => self.failed.push((seed, class, broken)),
        }
    }

    fn print(&self) {
        println!("{:<22}{:>8}{:>10}{:>10}{:>10}", "class", "worlds", "pods", "savable", "graceful");
        let mut all = (0, Tally::default());
        for (class, (worlds, tally)) in &self.classes {
            print_line(&format!("{class:?}"), *worlds, tally);
            all.0 += worlds;
            all.1.pods += tally.pods;
            all.1.graceful += tally.graceful;
            all.1.savable += tally.savable;
        }
        print_line("all", all.0, &all.1);
    }
}

fn print_line(name: &str, worlds: u64, tally: &Tally) {
    let share = |count: usize| 100.0 * count as f64 / tally.pods.max(1) as f64;
    println!("{name:<22}{worlds:>8}{:>10}{:>9.1}%{:>9.1}%", tally.pods, share(tally.savable), share(tally.graceful));
}

#[test]
fn every_pod_that_could_have_been_saved_is_saved() {
    if let Some(seed) = number("SPOT_GUARD_SIMULATE_SEED") {
        return tell(seed);
    }
    let first = number("SPOT_GUARD_SIMULATE_FROM").unwrap_or(0);
    let worlds = number("SPOT_GUARD_SIMULATE_WORLDS").unwrap_or(WORLDS);
    let mut sum = try_worlds(first..first + worlds);
    sum.print();
    sum.failed.sort_by_key(|(seed, ..)| *seed);
    for (seed, class, broken) in sum.failed.iter().take(TOLD) {
        println!("seed {seed} ({class:?}): {}\n    its story: make simulate SEED={seed}", broken.join("\n    "));
    }
    assert!(sum.failed.is_empty(), "{} of {worlds} worlds went wrong", sum.failed.len());
}

/// The story of one world.
fn tell(seed: u64) {
    let (world, judged) = live(seed);
    println!("{:#?}", world.scenario);
    for (at, told) in &world.history.notes {
        println!("{:>9.3} {told}", *at as f64 / 1000.0);
    }
    for pod in &world.pods {
        println!("{pod:?}");
    }
    println!("deadline {:?} ms", oracle::end(&world));
    if let Err(broken) = judged {
        panic!("seed {seed}: {}", broken.join("\n    "));
    }
}
