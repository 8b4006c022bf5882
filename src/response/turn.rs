//! One turn of the machine: the time it is, what is to be done, and when to look again.

use std::time::Duration;

use log::Level;

use super::action::Action;
use crate::moment::Moment;

/// Handed through every decision of one turn. A decision that says "not yet" leaves the moment here at which it
/// would say otherwise, so that nothing has to be decided twice.
pub struct Turn {
    pub now: Moment,
    pub actions: Vec<Action>,
    wake: Option<Moment>,
}

impl Turn {
    pub fn at(now: Moment) -> Turn {
        Turn { now, actions: Vec::new(), wake: None }
    }

    pub fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub fn say(&mut self, level: Level, text: impl Into<String>) {
        self.actions.push(Action::Say(level, text.into()));
    }

    /// Whether `moment` has come; if not, the machine is woken then.
    pub fn has_come(&mut self, moment: Moment) -> bool {
        if self.now >= moment {
            return true;
        }
        self.wake = Some(self.wake.map_or(moment, |wake| wake.min(moment)));
        false
    }

    /// When to look again if nothing happens before.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wake
    }
}

/// Seconds with one decimal, for a person.
pub fn tenths(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
