//! How AWS words each kind of notice; times are by the stand-in's own `Date`.

use std::time::Duration;

use time::OffsetDateTime;

use super::answer::day_and_time;
use super::{Date, Imds, rfc3339};

/// The path of a Spot interruption's notice, below `/latest/`.
pub const SPOT: &str = "meta-data/spot/instance-action";

/// The path of a rebalance recommendation.
pub const REBALANCE: &str = "meta-data/events/recommendations/rebalance";

/// The path of the scheduled events.
pub const SCHEDULED: &str = "meta-data/events/maintenance/scheduled";

/// The path of the state that the Auto Scaling group wants the instance to be in.
pub const LIFECYCLE_STATE: &str = "meta-data/autoscaling/target-lifecycle-state";

/// An event that EC2 has scheduled.
#[derive(Clone, Copy, Debug)]
pub struct ScheduledEvent<'a> {
    /// `instance-event-0d59937288b749b32`
    pub id: &'a str,
    /// `system-reboot`, `instance-retirement`, …
    pub code: &'a str,
    /// `active`, `canceled`, `completed`
    pub state: &'a str,
    /// When it begins, from now on.
    pub after: Duration,
}

impl ScheduledEvent<'_> {
    /// The item of this event.
    pub fn words(&self, now: OffsetDateTime) -> String {
        let ScheduledEvent { id, code, state, after } = self;
        let begins = now + *after;
        let ends = begins + Duration::from_secs(1000);
        let (begins, ends) = (day_and_time(begins), day_and_time(ends));
        let prefix = match *state {
            "completed" => "[Completed] ",
            "canceled" => "[Canceled] ",
            _ => "",
        };
        format!(
            "{{\n  \"NotBefore\" : \"{begins}\",\n  \"Code\" : \"{code}\",\n  \"Description\" : \"{prefix}scheduled event\",\n  \
             \"EventId\" : \"{id}\",\n  \"NotAfter\" : \"{ends}\",\n  \"State\" : \"{state}\"\n}}"
        )
    }
}

impl Imds {
    /// Announces a Spot interruption that comes `after` from now and gives back the time that the notice names (IMDS
    /// knows whole seconds only).
    pub fn interrupt(&self, action: &str, after: Duration) -> OffsetDateTime {
        self.interrupt_at(action, self.now() + after)
    }

    /// Announces a Spot interruption at `time`, which may be past.
    pub fn interrupt_at(&self, action: &str, time: OffsetDateTime) -> OffsetDateTime {
        let time = whole_seconds(time);
        self.set(SPOT, &format!(r#"{{"action":"{action}","time":"{}"}}"#, rfc3339(time)));
        time
    }

    /// Recommends a rebalance, and gives back the time at which it says that it did (EC2 User Guide, "EC2 instance
    /// rebalance recommendations").
    pub fn recommend_rebalance(&self) -> OffsetDateTime {
        let time = whole_seconds(self.now());
        self.set(REBALANCE, &format!(r#"{{"noticeTime":"{}"}}"#, rfc3339(time)));
        time
    }

    pub fn withdraw_rebalance(&self) {
        self.remove(REBALANCE);
    }

    /// Schedules these events and no others (EC2 User Guide, "View scheduled events": each item on a line of its own,
    /// with a space before the colon).
    pub fn schedule(&self, events: &[ScheduledEvent]) {
        let events: Vec<String> = events.iter().map(|event| event.words(self.now())).collect();
        self.set(SCHEDULED, &format!("[ {} ]", events.join(", ")));
    }

    /// As on an instance that never had an event: there is no such item.
    pub fn schedule_nothing(&self) {
        self.remove(SCHEDULED);
    }

    /// Auto Scaling wants the instance to be in this state: `InService`, `Terminated`, … (Amazon EC2 Auto Scaling User
    /// Guide, "Retrieve the target lifecycle state through instance metadata").
    pub fn set_lifecycle_state(&self, state: &str) {
        self.set(LIFECYCLE_STATE, state);
    }

    /// As on an instance of no group.
    pub fn leave_group(&self) {
        self.remove(LIFECYCLE_STATE);
    }

    /// The time of its `Date`.
    fn now(&self) -> OffsetDateTime {
        let ahead = if let Date::Ahead(seconds) = self.state().date { seconds } else { 0 };
        OffsetDateTime::now_utc() + time::Duration::seconds(ahead)
    }
}

fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).expect("0 is a nanosecond")
}
