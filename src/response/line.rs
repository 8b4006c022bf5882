//! The line to the API server: which requests are under way, and whether it has gone silent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use log::Level;

use super::action::{Action, Request};
use super::slots::{Away, Slots};
use super::turn::{Turn, tenths};
use crate::moment::Moment;
use crate::objects::Answer;

/// With no answer for this long, and three round trips more, the API server is silent: a new attempt starts each second
/// on new connections, beside those under way.
const SILENCE: Duration = Duration::from_secs(1);

/// An API server that takes new connections lives: what waits there waits in its queues, and more attempts make them
/// longer. So they come after 1, 2, 4, then every 8 s, until one comes to nothing or what is asked else is answered in time.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How long a round trip is taken to be before there was one.
const UNKNOWN_DISTANCE: Duration = Duration::from_millis(100);

/// What a request over a new connection takes: TCP, TLS, and itself.
const ROUND_TRIPS: u32 = 3;

/// A round trip longer than this is no distance, but a server that cannot cope.
const FARTHEST: Duration = Duration::from_secs(1);

/// Attempts that may be under way at once while it is silent; the oldest gives way to the next.
const ATTEMPTS: u32 = 5;

/// How many of the latest answers are looked at for how long an answer takes.
const LATEST: usize = 16;

/// What a request under way is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    ReadNode,
    PatchNode,
    AddTaints,
    RemoveTaints,
    WatchPods,
    WatchNode,
    /// Asking the pod of that UID.
    Ask(String),
    Mark(String),
    /// To know whether the API server still answers.
    Probe,
    Tell,
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Flight {
    pub purpose: Purpose,
    pub sent: Moment,
    afresh: bool,
}

/// The API server's flow control has a level for what nodes say of themselves, which is seldom full, and another for
/// what they ask of pods (kubernetes/kubernetes `pkg/apis/flowcontrol/bootstrap/default.go`): they wait apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Node,
    Pods,
}

impl Purpose {
    fn kind(&self) -> Kind {
        match self {
            Purpose::Ask(_) | Purpose::Mark(_) | Purpose::WatchPods | Purpose::Tell => Kind::Pods,
            _ => Kind::Node,
        }
    }
}

/// What waits on old connections while newer ones are answered.
#[derive(Clone, Copy, Debug)]
struct Overtaken {
    /// It went out before this moment.
    before: Moment,
    /// After so long it is given up.
    patience: Duration,
}

/// The requests under way and the silence between them.
#[derive(Debug)]
pub struct Line {
    last_number: u64,
    flights: BTreeMap<u64, Flight>,
    /// Since when something was asked and nothing answered.
    quiet_since: Option<Moment>,
    silent_since: Option<Moment>,
    /// The latest attempt; `None`: the next is made at once.
    last_attempt: Option<Moment>,
    /// Between two attempts.
    pause: Duration,
    overtaken: BTreeMap<Kind, Overtaken>,
    /// When something was last answered that had not been sent over a new connection.
    kept_answered: Moment,
    /// It is silent, and this is the turn of an attempt: of the node, the pods and one ask beside each other.
    attempts: bool,
    /// How long a small request took before all this began.
    pub distance: Option<Duration>,
    /// How long the latest answers took. The quickest of them shows how far away the API server is: the others may have
    /// waited for each other.
    latest_took: VecDeque<Duration>,
    /// Counts how often the connections were given up for new ones.
    renewals: u32,
    /// Of the requests that were answered, the latest went out then.
    answered_up_to: Moment,
    /// For asking pods.
    slots: Slots,
}

impl Default for Line {
    fn default() -> Line {
        Line::after(0)
    }
}

impl Line {
    /// Numbers its requests after those of another line, whose answers may still come.
    pub fn after(last_number: u64) -> Line {
        Line {
            last_number,
            flights: BTreeMap::new(),
            quiet_since: None,
            silent_since: None,
            last_attempt: None,
            pause: SILENCE,
            overtaken: BTreeMap::new(),
            kept_answered: Moment::default(),
            attempts: false,
            distance: None,
            latest_took: VecDeque::new(),
            renewals: 0,
            answered_up_to: Moment::default(),
            slots: Slots::default(),
        }
    }

    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Notices that the API server has gone silent. Comes first in each turn.
    pub fn listen(&mut self, turn: &mut Turn) {
        self.give_up_what_was_overtaken(turn);
        if let Some(quiet) = self.quiet_since
            && self.silent_since.is_none()
            && turn.has_come(quiet + self.patience().max(self.pause))
        {
            self.silent_since = Some(quiet);
            self.last_attempt = None;
            turn.say(Level::Warn, "the API server is silent; a new attempt is made each second");
        }
        self.attempts = self.silent() && self.last_attempt.is_none_or(|last| turn.has_come(last + self.pause));
    }

    /// Whether this is the turn of an attempt and nothing was sent yet that would tell whether it is answered.
    pub fn lacks_an_attempt(&self, turn: &Turn) -> bool {
        self.attempts && self.last_attempt != Some(turn.now)
    }

    /// How long an answer may take, as far away as the API server is.
    pub fn patience(&self) -> Duration {
        SILENCE + ROUND_TRIPS * self.round_trip().min(FARTHEST)
    }

    /// How long the quickest of the latest answers took.
    fn round_trip(&self) -> Duration {
        self.latest_took.iter().min().copied().or(self.distance).unwrap_or(UNKNOWN_DISTANCE)
    }

    fn away(&self) -> Away {
        let now = self.round_trip();
        Away { before: self.distance.unwrap_or(now), now }
    }

    pub fn silent(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Since when, if it is silent.
    pub fn silent_since(&self) -> Option<Moment> {
        self.silent_since
    }

    /// Whether a request can be sent now: always, but while the API server is silent only with an attempt.
    pub fn open(&self) -> bool {
        !self.silent() || self.attempts
    }

    /// A new connection to it came about.
    pub fn was_reached(&mut self) {
        if self.silent() {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// While it is silent the next attempt is made at once: there is reason to think that it will be answered.
    pub fn hurry(&mut self) {
        self.last_attempt = None;
    }

    /// Sends a request; gives the number that its answer will carry.
    pub fn send(&mut self, turn: &mut Turn, purpose: Purpose, request: Request) -> u64 {
        let afresh = self.silent();
        if afresh {
            self.last_attempt = Some(turn.now);
            self.flights.retain(|_, flight| !flight.afresh || turn.now < flight.sent + ATTEMPTS * SILENCE);
        }
        self.last_number += 1;
        self.flights.insert(self.last_number, Flight { purpose, sent: turn.now, afresh });
        self.quiet_since.get_or_insert(turn.now);
        turn.act(Action::Request { number: self.last_number, request, afresh });
        self.last_number
    }

    pub fn flying(&self, number: Option<u64>) -> bool {
        number.is_some_and(|number| self.flights.contains_key(&number))
    }

    pub fn under_way(&self, purpose: &Purpose) -> bool {
        self.flights.values().any(|flight| flight.purpose == *purpose)
    }

    /// Whether a request that went out at that moment or later was answered.
    pub fn answered_since(&self, moment: Moment) -> bool {
        self.answered_up_to >= moment
    }

    /// How many more asks may be sent now, where so many wait.
    pub fn free_slots(&mut self, waiting: usize) -> usize {
        let asks = self.flights.values().filter(|flight| matches!(flight.purpose, Purpose::Ask(_) | Purpose::Mark(_)));
        let taken = asks.count();
        self.slots.open(self.away(), waiting).saturating_sub(taken)
    }

    /// What the answer to an ask says of how many more the API server takes.
    pub fn ask_was_answered(&mut self, turn: &Turn, flight: &Flight, answer: &Answer) {
        match answer {
            Answer::Refused(refusal) if refusal.is_overload() => self.slots.refused(flight.sent, turn.now),
            // A connection that is refused at once says nothing of how quick answers are.
            Answer::Nothing(_) => {}
            _ => self.slots.answered(turn.now.since(flight.sent), self.away()),
        }
    }

    /// Counts how often the connections were given up for new ones: what lives on an older one may be dead.
    pub fn renewals(&self) -> u32 {
        self.renewals
    }

    /// The API server answered that request, or sent news on that watch. Gives what it was for, unless it had been
    /// given up.
    pub fn heard(&mut self, turn: &mut Turn, number: u64) -> Option<Flight> {
        let flight = self.flights.remove(&number);
        self.answered_up_to = flight.iter().map(|flight| flight.sent).fold(self.answered_up_to, Moment::max);
        if let Some(flight) = &flight {
            self.latest_took.push_back(turn.now.since(flight.sent));
            if self.latest_took.len() > LATEST {
                self.latest_took.pop_front();
            }
        }
        let ended = self.silent_since.take();
        if let Some(since) = ended {
            turn.say(Level::Info, format!("the API server answers again after {} s", tenths(turn.now.since(since))));
        }
        match &flight {
            Some(flight) if flight.afresh => self.has_overtaken(turn, flight, ended.is_some()),
            Some(flight) => {
                self.kept_answered = turn.now;
                if turn.now < flight.sent + self.patience() {
                    self.pause = SILENCE;
                }
            }
            None => {}
        }
        if let Some(answered) = &flight {
            // What was sent for the same beside it is of no more use.
            self.flights.retain(|_, other| other.purpose != answered.purpose);
        }
        self.quiet_since = self.flights.values().map(|_| turn.now).next();
        flight
    }

    /// A new connection was answered: what waits far longer on older ones waits on dead ones. Unless others of its kind
    /// still wait on the new ones too: then all may wait in a queue of the API server.
    fn has_overtaken(&mut self, turn: &mut Turn, by: &Flight, ended_the_silence: bool) {
        let is_older = |flight: &&Flight| flight.sent < by.sent;
        let kept_are_quiet = self.kept_answered < by.sent && !self.flights.values().any(|flight| is_older(&flight));
        if ended_the_silence && kept_are_quiet {
            self.connections_are_dead(turn);
        }
        let overtaken = Overtaken { before: by.sent, patience: SILENCE + ROUND_TRIPS * turn.now.since(by.sent) };
        for kind in [Kind::Node, Kind::Pods] {
            let mut newer = self.flights.values().filter(|flight| !is_older(flight));
            if kind == by.purpose.kind() || !newer.any(|flight| flight.purpose.kind() == kind) {
                self.overtaken.insert(kind, overtaken);
            }
        }
        self.give_up_what_was_overtaken(turn);
    }

    fn give_up_what_was_overtaken(&mut self, turn: &mut Turn) {
        let waiting = self.flights.len();
        self.flights.retain(|_, old| match self.overtaken.get(&old.purpose.kind()) {
            Some(Overtaken { before, patience }) => old.sent >= *before || !turn.has_come(old.sent + *patience),
            None => true,
        });
        if self.flights.len() < waiting {
            self.connections_are_dead(turn);
        }
    }

    fn connections_are_dead(&mut self, turn: &mut Turn) {
        self.renewals += 1;
        turn.act(Action::GoOnAfresh);
    }

    /// That request came to nothing. Gives what it was for, unless it had been given up.
    pub fn failed(&mut self, number: u64) -> Option<Flight> {
        let flight = self.flights.remove(&number)?;
        if flight.afresh {
            // It does not wait in a queue of the API server.
            self.pause = SILENCE;
        }
        Some(flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Turn {
        Turn::at(Moment::after_boot(Duration::from_millis(1_000_000 + ms)))
    }

    /// Sends a read of the node so many milliseconds after the start.
    fn send(line: &mut Line, ms: u64) -> u64 {
        send_for(line, ms, Purpose::ReadNode)
    }

    fn send_for(line: &mut Line, ms: u64, purpose: Purpose) -> u64 {
        let mut turn = at(ms);
        line.listen(&mut turn);
        line.send(&mut turn, purpose, Request::ReadNode)
    }

    fn heard(line: &mut Line, ms: u64, number: u64) {
        line.heard(&mut at(ms), number);
    }

    #[test]
    fn in_a_silence_five_attempts_are_under_way_at_most_beside_what_was_sent_before() {
        let mut line = Line::default();
        let before = send(&mut line, 0);
        let attempts: Vec<u64> = (2..=7).map(|second| send(&mut line, second * 1000)).collect();
        let flying = attempts.iter().filter(|number| line.flying(Some(**number))).count();
        assert_eq!((flying, line.flying(Some(attempts[0]))), (5, false));
        assert!(line.flying(Some(before)), "it may still be answered");
    }

    #[test]
    fn what_waits_on_old_connections_is_given_up_once_a_new_one_is_answered() {
        let mut line = Line::default();
        let old = [send_for(&mut line, 0, Purpose::PatchNode), send_for(&mut line, 10, Purpose::Probe)];
        let attempt = send(&mut line, 1300);
        heard(&mut line, 1310, old[0]);
        assert!(!line.silent() && line.flying(Some(old[1])));
        assert_eq!(line.renewals(), 0, "an old connection has answered");
        heard(&mut line, 1320, attempt);
        assert_eq!((line.flying(Some(old[1])), line.renewals()), (false, 1));
        let next = send(&mut line, 1400);
        heard(&mut line, 1410, next);
        assert_eq!(line.renewals(), 1, "nothing was overtaken");
    }

    #[test]
    fn connections_are_given_up_when_a_new_one_ends_a_silence_and_once_for_all_that_waited() {
        let mut line = Line::default();
        let old = send(&mut line, 0);
        let attempts = [send(&mut line, 1300), send(&mut line, 2300)];
        line.failed(old);
        assert!(!line.flying(Some(old)));
        heard(&mut line, 2400, attempts[0]);
        assert_eq!(line.renewals(), 1, "watches live on old connections too");
        heard(&mut line, 2500, attempts[1]);
        assert_eq!(line.renewals(), 1);
    }

    #[test]
    fn the_quickest_of_the_latest_sixteen_answers_shows_how_far_away_the_api_server_is() {
        let mut line = Line::default();
        let near = SILENCE + ROUND_TRIPS * Duration::from_millis(10);
        let far = SILENCE + ROUND_TRIPS * Duration::from_millis(500);
        for (answer, patience) in (0..17).map(|answer| (answer, if answer < 16 { near } else { far })) {
            let number = send(&mut line, answer * 1000);
            heard(&mut line, answer * 1000 + if answer == 0 { 10 } else { 500 }, number);
            assert_eq!(line.patience(), patience, "after {answer} more answers");
        }
    }

    #[test]
    fn what_was_answered_shows_that_the_api_server_lived_when_it_was_asked() {
        let mut line = Line::default();
        let [early, late] = [send(&mut line, 0), send(&mut line, 100)];
        heard(&mut line, 200, late);
        heard(&mut line, 300, early);
        let since = |ms| line.answered_since(at(ms).now);
        assert_eq!([0, 100, 101].map(since), [true, true, false]);
    }
}
