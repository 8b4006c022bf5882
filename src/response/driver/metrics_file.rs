//! The metrics as the driver gives them out: when, and where to.

use std::path::PathBuf;
use std::time::Duration;

use super::Driver;
use crate::moment::Moment;
use crate::observe::metrics;
use crate::observe::textfile::Textfile;

/// The file is renewed so often, whether anything has changed or not: by its age a daemon that is dead, or hangs, is seen.
const RENEWED_EVERY: Duration = Duration::from_secs(10);

/// What changes is in it so soon.
const CHANGED_EVERY: Duration = Duration::from_secs(1);

/// How long the daemon's end waits for the file to say so.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// The file of `metrics.textfile`, if one is to be written.
#[derive(Default)]
pub struct MetricsFile {
    file: Option<Textfile>,
    given_at: Moment,
    /// Something has changed since.
    pub stale: bool,
}

impl MetricsFile {
    fn write_to(&mut self, path: Option<PathBuf>) {
        if self.file.as_ref().map(Textfile::path) == path.as_deref() {
            return;
        }
        // What nobody renews would look like a daemon that has died.
        self.file.take().into_iter().for_each(Textfile::remove);
        self.given_at = Moment::default();
        let Some(path) = path else { return };
        match Textfile::at(&path) {
            Ok(file) => self.file = Some(file),
            Err(error) => log::warn!("no metrics are written to {}: cannot start a thread: {error}", path.display()),
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        let age = now.since(self.given_at);
        age >= RENEWED_EVERY || (self.stale && age >= CHANGED_EVERY)
    }
}

impl Driver {
    pub(super) fn write_metrics_into_the_file_of_the_settings(&mut self) {
        self.metrics.write_to(self.settings.metrics.textfile.clone());
    }

    /// Renews the file where that is due.
    pub(super) fn tell_metrics(&mut self) {
        let now = Moment::now();
        let Some(file) = &mut self.metrics.file else { return };
        file.look(now);
        if !self.metrics.is_due(now) {
            return;
        }
        (self.metrics.given_at, self.metrics.stale) = (now, false);
        let text = self.metrics_text();
        if let Some(file) = &self.metrics.file {
            file.write(text);
        }
    }

    pub(super) fn metrics_text(&mut self) -> String {
        let counts = self.poll.counts();
        (self.counted.imds_requests, self.counted.imds_last_success) = (counts.requests, counts.last_success);
        let latest = self.requests.last_success();
        self.counted.kubernetes_last_success = latest.or(self.counted.kubernetes_last_success);
        metrics::text(&self.status(), &self.counted)
    }

    /// The file stays and says that the daemon has ended.
    pub(super) fn end_metrics(&self) {
        if let Some(file) = &self.metrics.file {
            file.write_last(metrics::ended(self.guard.instance()), LAST_PATIENCE);
        }
    }
}
