//! What happens, line by line as it happens: from the metadata service, the API server's audit log and its watch, and
//! what spot-guard's hooks say.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use stand_ins::cluster::Audited;
use time::OffsetDateTime;

use crate::scene::{Scene, WINDOW};

/// Sources are read at different moments, so a line waits this long for earlier ones.
const HOLD: Duration = Duration::from_millis(300);

/// Something that happened, to one pod or to several in the same moment.
enum Happening {
    Asked(Vec<String>),
    Refused(Vec<String>),
    Forced(Vec<String>),
    Other(String),
}

impl Happening {
    /// Adds what happened to another pod, if it is the same.
    fn join(&mut self, other: &Happening) -> bool {
        let (names, more) = match (self, other) {
            (Happening::Asked(names), Happening::Asked(more))
            | (Happening::Refused(names), Happening::Refused(more))
            | (Happening::Forced(names), Happening::Forced(more)) => (names, more),
            _ => return false,
        };
        names.extend_from_slice(more);
        names.sort();
        true
    }

    fn text(&self) -> String {
        match self {
            Happening::Asked(names) if names.len() == 1 => format!("1 pod asked to stop: {}", names.join(" ")),
            Happening::Asked(names) => format!("{} pods asked to stop: {}", names.len(), names.join(" ")),
            Happening::Refused(names) => {
                format!("{}: held by their disruption budget, asked again", names.join(" "))
            }
            Happening::Forced(names) => {
                format!("{}: forced past the budget, the last moment for a whole grace", names.join(" "))
            }
            Happening::Other(text) => text.clone(),
        }
    }
}

/// What happens to several pods within so many seconds is one line.
const MOMENT: f64 = 0.1;

pub struct Timeline {
    /// When the notice was first served, on both clocks.
    notice: Instant,
    notice_time: OffsetDateTime,
    /// Seconds since the notice, and what happened then.
    waiting: Vec<(f64, Happening)>,
    requests_seen: usize,
    lines_seen: usize,
    /// Pods whose budget was named already.
    refused: HashSet<String>,
    pods: Receiver<(Instant, String)>,
}

impl Timeline {
    /// Announces the interruption.
    pub fn begin(scene: &Scene) -> Timeline {
        let pods = watch_pods(scene);
        let announced = scene.world.imds.interrupt("terminate", WINDOW);
        let notice = scene.world.interrupt_seen(&scene.guard);
        let notice_time = OffsetDateTime::now_utc() - notice.elapsed();
        let (hour, minute, second) = announced.to_hms();
        println!(" seconds  what happened");
        let first =
            format!("metadata service: terminate at {hour:02}:{minute:02}:{second:02}, in {} s", WINDOW.as_secs());
        Timeline {
            notice,
            notice_time,
            waiting: vec![(0.0, Happening::Other(first))],
            requests_seen: 0,
            lines_seen: 0,
            refused: HashSet::new(),
            pods,
        }
    }

    /// Shows what happens until the response has ended; its record.
    pub fn follow(&mut self, scene: &Scene, at_most: Duration) -> Option<Value> {
        let end = Instant::now() + at_most;
        loop {
            self.look(scene);
            self.show(false);
            let record = scene.guard.record().filter(|record| !record["outcome"].is_null());
            if record.is_some() || Instant::now() >= end {
                thread::sleep(HOLD);
                self.look(scene);
                let (at, outcome) = (self.notice.elapsed() - HOLD, record.as_ref().map(|r| r["outcome"].clone()));
                self.add_after(at, format!("done: {}", outcome.as_ref().and_then(Value::as_str).unwrap_or("not yet")));
                self.show(true);
                return record;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn look(&mut self, scene: &Scene) {
        let requests = scene.world.audit();
        let new: Vec<&Audited> = requests.iter().skip(self.requests_seen).collect();
        self.requests_seen = requests.len();
        for request in new {
            let at = (request.at - self.notice_time).as_seconds_f64();
            if let Some(happening) = self.told(request).filter(|_| at > 0.0) {
                self.waiting.push((at, happening));
            }
        }
        let lines = scene.guard.lines();
        for line in lines.iter().skip(self.lines_seen) {
            let said = line.text.split_once(" hook ").map(|(_, said)| format!("hook {said}"));
            if let (Some(said), Some(at)) = (said, line.at.checked_duration_since(self.notice)) {
                self.add_after(at, said);
            }
        }
        self.lines_seen = lines.len();
        while let Ok((at, text)) = self.pods.try_recv() {
            self.add_after(at.saturating_duration_since(self.notice), text);
        }
    }

    /// What a request to the API server means; nothing for one that is of no interest here.
    fn told(&mut self, request: &Audited) -> Option<Happening> {
        let name = || vec![request.name.clone()];
        match (request.what().as_str(), request.code) {
            ("patch nodes", 200) => {
                Some(Happening::Other("node cordoned and out of load balancers, by one request".into()))
            }
            ("create pods/eviction", 201) => Some(Happening::Asked(name())),
            ("create pods/eviction", 429) if self.refused.insert(request.name.clone()) => {
                Some(Happening::Refused(name()))
            }
            ("delete pods", 200) => Some(Happening::Forced(name())),
            _ => None,
        }
    }

    fn add_after(&mut self, after: Duration, text: String) {
        self.waiting.push((after.as_secs_f64(), Happening::Other(text)));
    }

    /// Prints what can have nothing before it any more.
    fn show(&mut self, all: bool) {
        let settled = (self.notice.elapsed().saturating_sub(HOLD)).as_secs_f64();
        self.waiting.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut count = if all { self.waiting.len() } else { self.waiting.partition_point(|(at, _)| *at <= settled) };
        // Never between two that belong to one line.
        while self.waiting.get(count).is_some_and(|next| count > 0 && next.0 - self.waiting[count - 1].0 < MOMENT) {
            count -= 1;
        }
        let mut lines: Vec<(f64, Happening)> = Vec::new();
        for (at, happening) in self.waiting.drain(..count) {
            let mut just_before = lines.iter_mut().rev().take_while(|(before, _)| at - before < MOMENT);
            if !just_before.any(|(_, line)| line.join(&happening)) {
                lines.push((at, happening));
            }
        }
        lines.iter().for_each(|(at, happening)| say(&format!("{at:>+8.3}"), &happening.text()));
    }
}

/// A line of at most 80 columns; what is longer goes on in the next.
fn say(at: &str, text: &str) {
    let mut line = String::new();
    let mut out = std::io::stdout().lock();
    let mut first = at.to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > 69 {
            // Nobody may be reading any more.
            let _ = writeln!(out, "{first:>8} {line}");
            (first, line) = (String::new(), " ".to_owned());
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{first:>8} {line}");
    if out.is_terminal() {
        let _ = out.flush();
    }
}

/// What the API server shows of the pods: which get less than their own grace, and how each ends.
fn watch_pods(scene: &Scene) -> Receiver<(Instant, String)> {
    let (tell, pods) = channel();
    let (admin, node) = (scene.world.cluster.admin.clone(), scene.world.node.name.clone());
    let path = format!("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{node}");
    let mut asked = HashSet::new();
    thread::spawn(move || {
        admin.watch(&path, |event| {
            let pod = &event["object"];
            let text = match event["type"].as_str() {
                Some("DELETED") => Some(ended(pod)),
                _ if pod["metadata"].get("deletionTimestamp").is_none() => None,
                _ => Some(pod).filter(|pod| asked.insert(pod["metadata"]["uid"].to_string())).and_then(fitted),
            };
            text.is_none_or(|text| tell.send((Instant::now(), text)).is_ok())
        })
    });
    pods
}

/// What is said of a pod that gets less than its own grace.
fn fitted(pod: &Value) -> Option<String> {
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_u64()?;
    let given = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().filter(|given| *given < own)?;
    let name = pod["metadata"]["name"].as_str()?;
    Some(format!("{name} wants {own} s of grace; it gets the {given} s that fit, at once"))
}

fn ended(pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let code = &pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"];
    if *code == 0 {
        format!("{name} has stopped by itself")
    } else {
        format!("{name} was killed at the end of its grace")
    }
}
