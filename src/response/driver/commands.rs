//! What is asked over the control socket.

use super::Driver;
use crate::control::{Answer, Command, Drain, Request, Wrong};
use crate::moment::{Moment, Timestamp};
use crate::response::Event;

impl Driver {
    /// Does what is asked and answers, unless nobody waits for it any more.
    pub(super) fn take_command(&mut self, command: Command) {
        if command.is_stale(Moment::now()) {
            return;
        }
        let answer = match &command.request {
            Request::Drain(drain) => self.drain(drain).unwrap_or_else(|wrong| Answer::Wrong { why: wrong.to_string() }),
            Request::Uncordon => self.uncordon(),
            Request::Status => Answer::Status(Box::new(self.status())),
            Request::Metrics => Answer::Metrics { text: self.metrics_text() },
        };
        self.was_asked |= !matches!(command.request, Request::Status | Request::Metrics);
        command.answer(answer);
    }

    fn drain(&mut self, drain: &Drain) -> Result<Answer, Wrong> {
        let usual = self.settings.responses.of(drain.notice).window;
        let sighting = drain.sighting(usual, Timestamp::now(), Moment::now())?;
        log::warn!("{}", drain.told());
        let former = self.guard.running().map(|running| running.id.clone());
        self.feed(Event::Noticed(sighting));
        Ok(match self.guard.record() {
            Some(record) => Answer::Responding {
                joined: former.as_deref() == Some(&record.id),
                deadline: record.deadline,
                record: self.disk.file(&record.id),
                id: record.id,
            },
            None => Answer::Refused { why: self.why_nothing_came_of(drain) },
        })
    }

    fn why_nothing_came_of(&self, drain: &Drain) -> String {
        let kind = drain.notice.name();
        let reaction = self.settings.responses.of(drain.notice).reaction.name();
        format!(
            "no response has begun: responses.{kind}.action is {reaction}, and the guard says: {}",
            self.guard.words(Moment::now())
        )
    }

    fn uncordon(&mut self) -> Answer {
        if let Some(why) = self.guard.refuses_uncordon() {
            return Answer::Refused { why };
        }
        log::warn!("uncordon by hand");
        self.feed(Event::Uncordon);
        match self.guard.record() {
            Some(record) => Answer::Uncordoning { record: self.disk.file(&record.id), id: record.id },
            None => Answer::Refused { why: "the daemon is ending".to_owned() },
        }
    }
}
