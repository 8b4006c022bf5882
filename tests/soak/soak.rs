//! Beside everything that fails, one thing after another: the daemon goes on, recovers each time, and uses no more in
//! the end than in the beginning. `make soak` runs it on the release.
//!
//! Each thing has a minute, most of which it lasts; every seventh is a response, with one more thing in its middle. The
//! last response is cut by a crash. A run of less than ten minutes has that one only, and seconds for each thing.
#![forbid(unsafe_code)]

mod samples;
mod subject;
mod troubles;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use samples::Samples;
use subject::{FORGOTTEN, Subject, WINDOW, not_graceful};
use troubles::{Act, IN_A_RESPONSE, TROUBLES};

/// How soon all has to be well again; a plugin that hangs may take 11 s, and rests 10 s.
const RECOVERY: Duration = Duration::from_secs(45);

const SECOND: Duration = Duration::from_secs(1);

/// How the time of a run is shared out.
struct Pace {
    /// How long each thing lasts, and how long nothing is wrong then, in seconds.
    trouble: u64,
    calm: u64,
    /// Whether there is time for a response every seven minutes.
    responses: bool,
    end: Instant,
}

struct Soak {
    subject: Subject,
    pace: Pace,
    samples: Samples,
    /// When the next notice would be responded to.
    responds_from: Instant,
    /// The id of the last record.
    record: Option<String>,
    log_lines: usize,
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    let minutes = std::env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok()).unwrap_or(60.0);
    let long = minutes >= 10.0;
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let (trouble, calm) = if long { (40, 15) } else { (6, 1) };
    let pace = Pace { trouble, calm, responses: long, end };
    let mut soak = Soak {
        subject: Subject::start(),
        pace,
        samples: Samples::new(),
        responds_from: Instant::now(),
        record: None,
        log_lines: 0,
        wrong: Vec::new(),
    };
    Samples::head();
    soak.first_life();
    let grown = soak.samples.verdict();
    soak.wrong.extend(grown);
    soak.crash();
    let log = soak.subject.guard.log();
    if log.contains("panicked") {
        soak.wrong.push("it panicked".to_owned());
    }
    println!();
    if soak.wrong.is_empty() {
        println!("all is well: it went on, recovered each time, and uses no more than it did");
        return ExitCode::SUCCESS;
    }
    println!("{log}");
    soak.wrong.iter().for_each(|wrong| println!("WRONG: {wrong}"));
    ExitCode::FAILURE
}

impl Soak {
    fn first_life(&mut self) {
        let (mut troubles, mut others) = (TROUBLES.iter().cycle(), IN_A_RESPONSE.iter().cycle());
        while Instant::now() < self.pace.end && self.lives() {
            if self.pace.responses && Instant::now() >= self.responds_from {
                others.next().into_iter().for_each(|trouble| self.respond(*trouble));
            } else {
                troubles.next().into_iter().for_each(|trouble| self.endure(*trouble));
            }
        }
    }

    /// One thing that goes wrong, and the calm after it.
    fn endure(&mut self, (name, act): (&str, Act)) {
        for second in 0..self.pace.trouble {
            act(&self.subject, second);
            self.second(false);
        }
        self.subject.mend();
        self.recover(name);
        (0..self.pace.calm).for_each(|_| self.second(true));
        self.show(name);
    }

    /// One response, and one thing that goes wrong in it.
    fn respond(&mut self, (name, act): (&str, Act)) {
        let name = format!("response: {name}");
        self.subject.interrupt();
        (0..3).for_each(|_| self.second(false));
        for second in 0..5 {
            act(&self.subject, second);
            self.second(false);
        }
        self.subject.mend();
        self.ended(&name);
        self.recover(&name);
        self.show(&name);
    }

    /// The end of a response, with all of its pods.
    fn ended(&mut self, name: &str) {
        let patience = Instant::now() + WINDOW + SECOND * 10;
        let record = loop {
            if let Some(record) = self.subject.ended(self.record.as_deref()) {
                break record;
            }
            if Instant::now() > patience || !self.lives() {
                return self.wrong.push(format!("{name}: no end of the response is recorded"));
            }
            self.second(false);
        };
        self.record = record["id"].as_str().map(str::to_owned);
        self.wrong.extend(not_graceful(&record).map(|wrong| format!("{name}: {wrong}")));
        self.responds_from = Instant::now() + WINDOW + FORGOTTEN;
    }

    fn recover(&mut self, name: &str) {
        let patience = Instant::now() + RECOVERY;
        while !self.subject.is_well() && self.lives() {
            if Instant::now() > patience {
                let status = self.subject.guard.status().unwrap_or_default();
                return self.wrong.push(format!("{name}: not well {RECOVERY:?} later: {status}"));
            }
            self.second(false);
        }
    }

    /// A crash in the middle of a response, and a second life.
    fn crash(&mut self) {
        if !self.lives() {
            return self.wrong.push("it ended by itself".to_owned());
        }
        let wait = self.responds_from.saturating_duration_since(Instant::now());
        println!(
            "\n{} s until the next notice would be responded to; then a response that is cut by a crash",
            wait.as_secs()
        );
        std::thread::sleep(wait);
        self.subject.interrupt();
        (0..3).for_each(|_| self.second(false));
        self.subject.guard.kill();
        self.samples = Samples::new();
        self.subject.guard.start_again();
        self.ended("crash");
        self.recover("crash");
        (0..self.pace.calm).for_each(|_| self.second(true));
        self.show("second life, after a crash");
    }

    fn lives(&mut self) -> bool {
        self.subject.guard.is_running()
    }

    fn second(&mut self, calm: bool) {
        std::thread::sleep(SECOND);
        if self.lives() {
            self.samples.take(self.subject.guard.usage(), calm);
        }
    }

    fn show(&mut self, what: &str) {
        let lines = self.subject.guard.lines().len();
        self.samples.show(what, lines - self.log_lines);
        self.log_lines = lines;
    }
}
