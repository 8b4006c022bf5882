//! When others did not answer: kept for whoever reads the record.

use super::{ERRORS_KEPT, Running};
use crate::moment::Moment;
use crate::record::Other;
use crate::response::turn::Turn;

/// A reason longer than this is cut: it is somebody else's text.
const REASON_KEPT: usize = 300;

/// A while in which another did not answer, or not as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub with: Other,
    pub since: Moment,
    /// `None` while it lasts.
    pub ended_at: Option<Moment>,
    pub reason: Option<String>,
}

impl Running {
    /// Notes that the API server has gone silent, or answers again.
    pub(super) fn note_silence(&mut self, turn: &Turn) {
        match self.line.silent_since() {
            Some(since) => self.trouble_begins(Other::ApiServer, since, None),
            None => self.trouble_ends(Other::ApiServer, turn.now),
        }
    }

    /// Notes that the metadata service does not answer as it should, or does again.
    pub(super) fn note_metadata_service(&mut self, turn: &Turn, trouble: Option<String>) {
        match trouble {
            Some(reason) => self.trouble_begins(Other::MetadataService, turn.now, Some(reason)),
            None => self.trouble_ends(Other::MetadataService, turn.now),
        }
    }

    fn trouble_begins(&mut self, with: Other, since: Moment, reason: Option<String>) {
        if self.lasting(with).is_some() || self.phases.ended.is_some() {
            return;
        }
        let latest = self.troubles.iter_mut().rfind(|trouble| trouble.with == with);
        if let Some(latest) = latest.filter(|trouble| trouble.ended_at.is_some_and(|ended| ended >= since)) {
            // One answer among many that are missing ends nothing.
            latest.ended_at = None;
        } else if self.troubles.len() < ERRORS_KEPT {
            let reason = reason.map(|reason| reason.chars().take(REASON_KEPT).collect());
            self.troubles.push(Trouble { with, since, ended_at: None, reason });
        }
        self.changed();
    }

    fn trouble_ends(&mut self, with: Other, now: Moment) {
        if let Some(trouble) = self.lasting(with) {
            trouble.ended_at = Some(now);
            self.changed();
        }
    }

    fn lasting(&mut self, with: Other) -> Option<&mut Trouble> {
        self.troubles.iter_mut().find(|trouble| trouble.with == with && trouble.ended_at.is_none())
    }
}
