//! What the daemon used, second by second, and whether that stays as it is.

use std::time::{Duration, Instant};

use stand_ins::guard::Usage;

/// The daemon at one second.
struct Sample {
    at: Duration,
    /// Nothing is wrong and nothing is announced.
    calm: bool,
    usage: Usage,
}

/// All samples of one life of the daemon.
pub struct Samples {
    began: Instant,
    all: Vec<Sample>,
    /// Where the present line of the table begins.
    line: usize,
}

/// As a number of each sample.
type Of = fn(&Usage) -> u64;

const MEASURES: [(&str, Of, u64); 3] = [
    ("memory, KiB", |usage| usage.resident, 192),
    ("descriptors", |usage| usage.descriptors as u64, 1),
    ("threads", |usage| usage.threads, 0),
];

impl Samples {
    pub fn new() -> Samples {
        Samples { began: Instant::now(), all: Vec::new(), line: 0 }
    }

    pub fn take(&mut self, usage: Usage, calm: bool) {
        self.all.push(Sample { at: self.began.elapsed(), calm, usage });
    }

    pub fn head() {
        println!(
            "{:>6}  {:<34} {:>9} {:>9} {:>6} {:>8} {:>6}",
            "minute", "", "MiB calm", "MiB most", "files", "threads", "lines"
        );
    }

    /// A line of the table: what was used since the last.
    pub fn show(&mut self, what: &str, log_lines: usize) {
        let since = &self.all[self.line..];
        let most = |of: Of| since.iter().map(|sample| of(&sample.usage)).max().unwrap_or(0);
        let calm = median(since, MEASURES[0].1).map_or(String::new(), mebibytes);
        println!(
            "{:>6.1}  {what:<34} {calm:>9} {:>9} {:>6} {:>8} {log_lines:>6}",
            self.began.elapsed().as_secs_f64() / 60.0,
            mebibytes(most(MEASURES[0].1)),
            most(MEASURES[1].1),
            most(MEASURES[2].1),
        );
        self.line = self.all.len();
    }

    /// Compares the second quarter with the last; what has grown.
    pub fn verdict(&self) -> Vec<String> {
        let end = self.began.elapsed();
        let within = |from: u32, to: u32| {
            let range = end * from / 4..end * to / 4;
            move |sample: &&Sample| range.contains(&sample.at)
        };
        let mut grown = Vec::new();
        println!();
        for (name, of, allowed) in MEASURES {
            let early: Vec<&Sample> = self.all.iter().filter(within(1, 2)).collect();
            let late: Vec<&Sample> = self.all.iter().filter(within(3, 4)).collect();
            let (Some(early), Some(late)) = (median(early, of), median(late, of)) else {
                grown.push(format!("{name}: too few samples"));
                continue;
            };
            let slope = self.slope(of);
            let flat = late <= early + allowed;
            println!(
                "{name:<12} {early:>6} in the second quarter, {late:>6} in the last, {slope:+.1} an hour{}",
                if flat { "" } else { "  GROWS" }
            );
            if !flat {
                grown.push(format!("{name} grew from {early} to {late}"));
            }
        }
        grown
    }

    /// Of the line through all calm samples but those of the first quarter (least squares), an hour.
    fn slope(&self, of: Of) -> f64 {
        let warm = self.began.elapsed() / 4;
        let points = self.all.iter().filter(|sample| sample.calm && sample.at >= warm);
        let points: Vec<(f64, f64)> =
            points.map(|sample| (sample.at.as_secs_f64() / 3600.0, of(&sample.usage) as f64)).collect();
        let mean =
            |values: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(values).sum::<f64>() / points.len().max(1) as f64;
        let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        if spread == 0.0 { 0.0 } else { points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread }
    }
}

/// Of the calm samples.
fn median<'a>(samples: impl IntoIterator<Item = &'a Sample>, of: Of) -> Option<u64> {
    let mut values: Vec<u64> =
        samples.into_iter().filter(|sample| sample.calm).map(|sample| of(&sample.usage)).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{:.2}", kibibytes as f64 / 1024.0)
}
