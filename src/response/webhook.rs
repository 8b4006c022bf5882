//! What a webhook is told: a notice at first sight and the end, one after the other, each until it was taken or its time
//! is over. Beside everything else: nothing waits for it that saves a pod.

use std::time::Duration;

use log::Level;

use super::action::Action;
use super::plan;
use super::turn::{Turn, tenths};
use crate::moment::Moment;
use crate::objects::{Answer, Refusal};
use crate::record::Stage;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// After so much more an attempt that nothing was heard of is given up: the disk hangs that holds the address, say.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// No Retry-After is longer.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3600);

/// Something to tell, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub stage: Stage,
    pub attempts: u32,
    pub delivered_at: Option<Moment>,
    /// Why it is not tried any more.
    pub given_up: Option<String>,
}

impl Message {
    fn is_open(&self) -> bool {
        self.delivered_at.is_none() && self.given_up.is_none()
    }
}

/// What there is to tell of one response.
#[derive(Debug, Default)]
pub struct Webhook {
    pub messages: Vec<Message>,
    last_number: u64,
    under_way: Option<Attempt>,
    not_before: Moment,
    /// The server wants nothing before.
    closed_until: Moment,
    /// Why the latest attempt came to nothing.
    trouble: Option<String>,
}

#[derive(Debug)]
struct Attempt {
    number: u64,
    /// It has had its time then.
    until: Moment,
}

impl Webhook {
    /// What an earlier life of the daemon had told already. What was under way then is sent again.
    pub fn taken_up(messages: Vec<Message>) -> Webhook {
        Webhook { messages, ..Webhook::default() }
    }

    /// Numbers its attempts after those of another response, whose answers may still come.
    pub fn after(self, last_number: u64) -> Webhook {
        Webhook { last_number, ..self }
    }

    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Has something to tell. A notice that was not delivered yet is of no more interest once there is another.
    pub fn tell(&mut self, stage: Stage) {
        if stage == Stage::Notice {
            for message in self.messages.iter_mut().filter(|message| message.is_open()) {
                message.given_up = Some("another notice has taken over".to_owned());
            }
            (self.under_way, self.not_before, self.trouble) = (None, Moment::default(), None);
        }
        self.messages.push(Message { stage, attempts: 0, delivered_at: None, given_up: None });
    }

    /// Whether all was delivered or given up.
    pub fn is_done(&self) -> bool {
        !self.messages.iter().any(Message::is_open)
    }

    /// Sends what is due. `until`: the time of each stage. Gives what could not be told.
    pub fn advance(&mut self, turn: &mut Turn, until: &dyn Fn(Stage) -> Moment) -> Vec<String> {
        let mut troubles = Vec::new();
        while let Some(message) = self.messages.iter_mut().find(|message| message.is_open()) {
            let end = until(message.stage);
            if turn.has_come(end) {
                (self.under_way, self.not_before) = (None, turn.now);
                let why = self.trouble.take().unwrap_or_else(|| "there was no time for it".to_owned());
                troubles.push(give_up(turn, message, format!("{why}; its time is over")));
                continue;
            }
            if self.under_way.take_if(|attempt| turn.has_come(attempt.until + LOST_AFTER)).is_some() {
                self.answered(turn, &Answer::Nothing("no answer in time".to_owned()));
            }
            if self.under_way.is_none() && turn.has_come(self.not_before.max(self.closed_until)) {
                self.send(turn, end);
            }
            break;
        }
        troubles
    }

    fn send(&mut self, turn: &mut Turn, end: Moment) {
        let Some(message) = self.messages.iter_mut().find(|message| message.is_open()) else { return };
        message.attempts += 1;
        self.last_number += 1;
        let until = end.min(turn.now + ATTEMPT);
        self.under_way = Some(Attempt { number: self.last_number, until });
        turn.act(Action::SendWebhook { number: self.last_number, stage: message.stage, until });
    }

    /// What came of an attempt. Gives what is not tried again.
    pub fn heard(&mut self, turn: &mut Turn, number: u64, answer: &Answer) -> Option<String> {
        self.under_way.take_if(|attempt| attempt.number == number)?;
        self.answered(turn, answer)
    }

    fn answered(&mut self, turn: &mut Turn, answer: &Answer) -> Option<String> {
        let message = self.messages.iter_mut().find(|message| message.is_open())?;
        let stage = message.stage.name();
        let (why, rest) = match answer {
            Answer::Accepted => {
                message.delivered_at = Some(turn.now);
                self.not_before = turn.now;
                let level = if message.attempts > 1 { Level::Info } else { Level::Debug };
                self.trouble = None;
                turn.say(level, format!("webhook: {stage} delivered, attempt {}", message.attempts));
                return None;
            }
            Answer::Refused(refusal) if !may_pass(refusal) => {
                self.trouble = None;
                return Some(give_up(turn, message, refusal.message.clone()));
            }
            Answer::Refused(refusal) => (&refusal.message, refusal.retry_after.unwrap_or_default()),
            Answer::Nothing(why) => (why, Duration::ZERO),
        };
        let luck = u64::try_from(turn.now.uptime().as_nanos()).unwrap_or_default();
        self.not_before = turn.now + plan::repeat_after(message.attempts, luck);
        self.closed_until = turn.now + rest.min(LONGEST_REST);
        let again = tenths(turn.now.until(self.not_before.max(self.closed_until)));
        let level = if self.trouble.as_ref() == Some(why) { Level::Debug } else { Level::Warn };
        turn.say(level, format!("webhook: {stage} not delivered: {why}; tried again in {again} s"));
        self.trouble = Some(why.clone());
        None
    }
}

/// Whether what was refused may be taken later.
fn may_pass(refusal: &Refusal) -> bool {
    matches!(refusal.status, 408 | 425 | 429 | 500..)
}

fn give_up(turn: &mut Turn, message: &mut Message, why: String) -> String {
    let trouble = format!("webhook: {} not delivered: {why}", message.stage.name());
    turn.say(Level::Error, trouble.clone());
    message.given_up = Some(why);
    trouble
}
