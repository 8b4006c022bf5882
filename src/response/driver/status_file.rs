//! Tells systemd and the status file what the daemon sees and does.

use super::{Driver, STOP_EXTENSION};
use crate::moment::{Moment, Timestamp};
use crate::notice::Sighting;
use crate::observe::status::{self, Health, Kubernetes, Notice, Status};
use crate::record::VERSION;
use crate::response::State;

impl Driver {
    /// Tells what is new, if anything is.
    pub(super) fn tell_status(&mut self) {
        let words = self.words();
        if words != self.status_words {
            self.notifier.status(&words);
            self.status_words = words;
            self.status_changed = true;
        }
        if self.guard.is_leaving() {
            self.notifier.extend_timeout(STOP_EXTENSION);
        }
        if self.status_changed {
            self.metrics.stale = true;
            // What could not be written is written again next time around.
            self.status_changed = !self.write_status();
        }
    }

    /// What is going on, in one line for a person. That no notice would be seen comes first: such a line may be cut.
    pub(super) fn words(&self) -> String {
        let words = self.guard.words(Moment::now());
        match self.imds_trouble() {
            Some(trouble) if self.guard.state() == State::Watching => {
                format!("the metadata service fails: {trouble}; {words}")
            }
            _ => words,
        }
    }

    fn imds_trouble(&self) -> Option<String> {
        let troubles: Vec<String> = self.imds_trouble.clone().into_iter().chain(self.unreadable.first()).collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }

    /// False where the status could not be written.
    fn write_status(&mut self) -> bool {
        let runtime = &self.settings.folders.runtime;
        match status::write(runtime, &self.status()) {
            Ok(()) => {
                if self.status_trouble.over(Moment::now()).is_some() {
                    log::info!("the status is written again");
                }
                true
            }
            Err(error) => {
                if let Some(extent) = self.status_trouble.came(&error.to_string(), Moment::now()) {
                    log::warn!("cannot write the status into {}: {error}{}", runtime.display(), extent.in_brackets());
                }
                false
            }
        }
    }

    pub(super) fn status(&self) -> Status {
        let imds_trouble = self.imds_trouble();
        Status {
            version: VERSION,
            at: Timestamp::now(),
            pid: std::process::id(),
            state: self.guard.state().name().to_owned(),
            words: self.status_words.clone(),
            dry_run: self.settings.dry_run,
            instance: self.guard.instance().clone(),
            notices: self.guard.notices().map(notice).collect(),
            imds: Health { ok: imds_trouble.is_none(), trouble: imds_trouble },
            kubernetes: Kubernetes::of(self.guard.standing(), self.settings.kubernetes.mode),
            record: self.disk.health(),
            configuration_problems: self.problems.iter().map(ToString::to_string).collect(),
            response: self.guard.record(),
        }
    }
}

fn notice(sighting: &Sighting) -> Notice {
    let Sighting { kind, action, event_id, time, .. } = sighting;
    Notice { kind: *kind, action: *action, event_id: event_id.clone(), time: *time }
}
