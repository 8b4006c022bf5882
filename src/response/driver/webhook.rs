//! Tells the webhook what the machine wants told, each attempt on a thread of its own: names, disks and servers may hang.

use super::{Driver, Message, spawn};
use crate::moment::Moment;
use crate::objects::Answer;
use crate::record::Stage;
use crate::response::Event;
use crate::webhook::{self, News};

impl Driver {
    /// Sends one message; what came of it arrives as an event.
    pub(super) fn tell_webhook(&self, number: u64, stage: Stage, until: Moment) {
        let Some(record) = self.guard.record() else { return };
        let (settings, to) = (self.settings.clone(), self.sender.clone());
        let work = move || {
            let left = Moment::now().until(crate::response::deadline(&record));
            let news = News { stage, record: &record, left };
            let answer = webhook::send(&settings.webhook, &news, Moment::now().until(until));
            drop(to.send(Message::Event(Event::Delivered { number, answer })));
        };
        if let Err(error) = spawn("webhook", work) {
            let answer = Answer::Nothing(format!("cannot start a thread: {error}"));
            drop(self.sender.send(Message::Event(Event::Delivered { number, answer })));
        }
    }
}
