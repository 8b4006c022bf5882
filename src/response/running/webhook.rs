//! What a running response has its webhook told, and until when.

use std::time::Duration;

use super::Running;
use crate::record::Stage;
use crate::response::turn::Turn;

/// So long the webhook waits for what this machine is: which pool loses one is what most want to know.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(2);

impl Running {
    /// Has the webhook told, if there is one. A dry run tells nobody.
    pub(super) fn tell_webhook(&mut self, stage: Stage) {
        if self.terms.webhook && !self.terms.dry_run {
            self.webhook.tell(stage);
        }
    }

    pub(super) fn advance_webhook(&mut self, turn: &mut Turn) {
        let is_known = self.instance.kind.is_some() || turn.has_come(self.notice.first_seen + INSTANCE_PATIENCE);
        if !is_known {
            return;
        }
        let (deadline, closing) = (self.deadline.at, self.closing());
        let until = |stage| if stage == Stage::Notice { deadline } else { closing };
        for trouble in self.webhook.advance(turn, &until) {
            self.note_error(trouble);
            self.changed_urgently();
        }
    }
}
