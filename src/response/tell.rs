//! What is told on the Node: events and the condition, one at a time, after everything that matters more.

use std::collections::VecDeque;
use std::time::Duration;

use super::action::{Request, Told};
use super::line::{Line, Purpose};
use super::running::Notice;
use super::turn::Turn;
use crate::instance::Instance;
use crate::moment::Moment;
use crate::notice::Kind;
use crate::objects::Answer;

/// What a kind of notice is called in events and conditions. The users of AWS Node Termination Handler know these names
/// from its events (aws-node-termination-handler `pkg/observability/k8s-events.go`).
pub fn reason(kind: Kind) -> &'static str {
    match kind {
        Kind::SpotInterruption => "SpotInterruption",
        Kind::AutoscalingTermination => "ASGLifecycle",
        Kind::Maintenance => "ScheduledEvent",
        Kind::RebalanceRecommendation => "RebalanceRecommendation",
        Kind::ByHand => "ByHand",
    }
}

/// What a notice says, and of which pool: `EC2 is going to terminate this m5.large in eu-west-1a`.
pub fn notice_words(notice: &Notice, instance: &Instance) -> String {
    let kind = instance.kind.as_deref().unwrap_or("instance");
    let zone = instance.availability_zone.as_deref().map(|zone| format!(" in {zone}")).unwrap_or_default();
    let at = notice.time.map(|time| format!(" at {time}")).unwrap_or_default();
    let action = notice.action.name();
    match notice.kind {
        Kind::SpotInterruption => format!("EC2 is going to {action} this {kind}{zone}"),
        Kind::AutoscalingTermination => format!("the Auto Scaling group is going to {action} this {kind}{zone}"),
        Kind::Maintenance => {
            let id = notice.event_id.as_deref().unwrap_or_default();
            format!("EC2 has scheduled to {action} this {kind}{zone}{at} ({id})")
        }
        Kind::RebalanceRecommendation => format!("EC2 says that this {kind}{zone} is at a higher risk of interruption"),
        Kind::ByHand => format!("this {kind}{zone} is drained by hand"),
    }
}

/// Nothing is told more often than this.
const TRIES: u32 = 3;

const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Tell {
    queue: VecDeque<Request>,
    tries: u32,
    not_before: Moment,
}

impl Tell {
    pub fn event(&mut self, reason: &'static str, message: impl Into<String>, warning: bool) {
        self.queue.push_back(Request::CreateEvent(Told { reason, message: message.into(), warning }));
    }

    pub fn condition(&mut self, reason: &'static str, message: impl Into<String>) {
        self.queue.push_back(Request::SetCondition(Told { reason, message: message.into(), warning: true }));
    }

    /// The condition again, now that there is no notice any more.
    pub fn no_notice(&mut self, reason: &'static str, message: impl Into<String>) {
        self.queue.push_back(Request::ClearCondition(Told { reason, message: message.into(), warning: false }));
    }

    /// Whether all was told.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends the next one. While the API server is silent there is nothing to tell it.
    pub fn advance(&mut self, turn: &mut Turn, line: &mut Line) {
        if line.silent() || line.under_way(&Purpose::Tell) || !turn.has_come(self.not_before) {
            return;
        }
        if let Some(request) = self.queue.front() {
            self.tries += 1;
            line.send(turn, Purpose::Tell, request.clone());
        }
    }

    /// What was told was taken, or not: then it is told again, a few times.
    pub fn answered(&mut self, turn: &Turn, answer: &Answer) {
        let final_answer = match answer {
            Answer::Accepted => true,
            // What these credentials may not do they may not do later either.
            Answer::Refused(refusal) => matches!(refusal.status, 400..=428) || self.tries >= TRIES,
            Answer::Nothing(_) => self.tries >= TRIES,
        };
        if final_answer {
            self.queue.pop_front();
            self.tries = 0;
        } else {
            self.not_before = turn.now + AGAIN_AFTER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Refusal;

    /// When something is told, in seconds, if each time this is the answer; until it is given up.
    fn told_at(answer: &Answer) -> Vec<u64> {
        let (mut tell, mut line, mut told) = (Tell::default(), Line::default(), Vec::new());
        tell.event("Cordon", "cordoned", false);
        for second in 0..10 {
            let mut turn = Turn::at(Moment::after_boot(Duration::from_secs(1000 + second)));
            tell.advance(&mut turn, &mut line);
            if !turn.actions.is_empty() {
                told.push(second);
                line.heard(&mut turn, told.len() as u64);
                tell.answered(&turn, answer);
                // Not sooner, even if something else happens.
                tell.advance(&mut turn, &mut line);
                assert_eq!(turn.actions.len(), 1);
            }
        }
        assert!(tell.is_empty());
        told
    }

    #[test]
    fn what_is_not_taken_is_told_three_times_and_what_is_forbidden_once() {
        let refused =
            |status| Answer::Refused(Refusal { status, message: "no".into(), causes: Vec::new(), retry_after: None });
        assert_eq!(told_at(&Answer::Accepted), [0]);
        assert_eq!(told_at(&refused(403)), [0]);
        assert_eq!(told_at(&refused(500)), [0, 1, 2]);
        assert_eq!(told_at(&Answer::Nothing("reset".into())), [0, 1, 2]);
    }
}
