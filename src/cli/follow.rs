//! Follows a response to its end: asks its doer again and again, and shows what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::doer::{Doer, Error};
use super::screen::Screen;
use crate::control::{Answer, Request};
use crate::moment::Moment;
use crate::observe::status::Status;
use crate::record::{self, Record};
use crate::signals::{Caught, Signal};

/// How often is asked.
const EVERY: Duration = Duration::from_millis(250);

/// A daemon that restarts is silent for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What following came to.
pub enum Followed {
    ToTheEnd(Box<Record>),
    /// Why it is followed no more. The response may go on.
    NoMore(String),
}

/// Follows the response of this id, and what takes its place, until `is_over` of its record. `signals` end that, where
/// they do not end the response.
pub fn follow(
    doer: Doer,
    id: String,
    record: &Path,
    is_over: &dyn Fn(&Record) -> bool,
    mut screen: Screen,
    signals: Option<Caught>,
) -> Followed {
    let stop = stop(signals);
    let mut seen = Seen { id, file: record.to_owned(), heard: Moment::now() };
    let followed = loop {
        let status = doer.ask(Request::Status);
        // One that is done here and answers no more is about to end.
        if doer.has_ended() || matches!(status, Err(Error::Unanswered(_))) {
            break ended_here(doer, &seen, is_over);
        }
        match seen.take(status, is_over) {
            Progress::Goes(words) => screen.show(&words),
            // What is done here has last words, and its end is to be on disk, before this process ends.
            Progress::Over(record) => {
                let last = doer.end().filter(is_over);
                break Followed::ToTheEnd(last.map_or(record, Box::new));
            }
            Progress::Lost(why) => break Followed::NoMore(why),
        }
        if stop.load(Ordering::Relaxed) {
            break Followed::NoMore(format!("response {} goes on; {} tells of its end", seen.id, seen.file.display()));
        }
        thread::sleep(EVERY);
    };
    screen.clear();
    followed
}

/// Set when a signal asks for the end.
pub fn stop(signals: Option<Caught>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&stop);
    if let Some(signals) = signals {
        // Without that thread a signal is not heard, and the response is followed to its end.
        let _ = signals.tell(move |signal| {
            theirs.fetch_or(signal == Signal::Terminate, Ordering::Relaxed);
        });
    }
    stop
}

fn ended_here(doer: Doer, seen: &Seen, is_over: &dyn Fn(&Record) -> bool) -> Followed {
    let last = doer.end().or_else(|| seen.on_disk());
    match last.filter(is_over) {
        Some(record) => Followed::ToTheEnd(Box::new(record)),
        None => Followed::NoMore(format!(
            "response {} was cut; until its deadline a daemon that is started, or the same command again, goes on \
             with it",
            seen.id
        )),
    }
}

enum Progress {
    Goes(String),
    Over(Box<Record>),
    Lost(String),
}

/// What is followed, and when it was last heard of.
struct Seen {
    id: String,
    file: PathBuf,
    heard: Moment,
}

impl Seen {
    fn take(&mut self, answer: Result<Answer, Error>, is_over: &dyn Fn(&Record) -> bool) -> Progress {
        match answer {
            Ok(Answer::Status(status)) => {
                self.heard = Moment::now();
                self.take_status(*status, is_over)
            }
            Ok(_) => self.look_on_disk("it answers something else".to_owned(), is_over),
            Err(error) => self.look_on_disk(error.to_string(), is_over),
        }
    }

    fn take_status(&mut self, status: Status, is_over: &dyn Fn(&Record) -> bool) -> Progress {
        match status.response {
            Some(record) if record.id == self.id && is_over(&record) => Progress::Over(Box::new(record)),
            Some(record) if record.id == self.id => Progress::Goes(status.words),
            other => match self.on_disk().filter(is_over) {
                Some(record) => Progress::Over(Box::new(record)),
                None => self.follow_another(other, status.words),
            },
        }
    }

    /// It has gone without an end: what runs now has taken its place.
    fn follow_another(&mut self, other: Option<Record>, words: String) -> Progress {
        let Some(other) = other else {
            let file = self.file.display();
            return Progress::Lost(format!("response {} runs no more and has no end in {file}", self.id));
        };
        self.file.set_file_name(format!("{}.json", other.id));
        self.id = other.id;
        Progress::Goes(words)
    }

    fn look_on_disk(&self, why: String, is_over: &dyn Fn(&Record) -> bool) -> Progress {
        match self.on_disk().filter(is_over) {
            Some(record) => Progress::Over(Box::new(record)),
            None if Moment::now().since(self.heard) < PATIENCE => Progress::Goes(why),
            None => Progress::Lost(format!("{why}; {} tells what became of the response", self.file.display())),
        }
    }

    fn on_disk(&self) -> Option<Record> {
        record::read(&fs::read(&self.file).ok()?).ok()
    }
}
