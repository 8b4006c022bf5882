//! The records as the driver has them on disk, and what is wrong with that disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use super::{Message, spawn};
use crate::moment::Moment;
use crate::observe::status::Health;
use crate::record::{Error, Newest, Record, Store, Writer};
use crate::response::Event;
use crate::trouble::Trouble;

/// How long the newest record may take to be read. The daemon waits for it when it starts.
const READ_PATIENCE: Duration = Duration::from_secs(2);

pub struct Disk {
    store: Store,
    writer: Writer,
    /// Why records cannot be written, while that is so.
    trouble: Option<String>,
    said: Trouble,
    /// What was wrong with the newest record, until the next is written.
    unread: Option<String>,
}

impl Disk {
    /// # Errors
    /// When the thread that writes cannot be started.
    pub fn start(state: &Path, to: Sender<Message>) -> io::Result<Disk> {
        let store = Store::new(state);
        let tell = move |revision, result| drop(to.send(told(revision, result)));
        let writer = Writer::start(store.clone(), tell)?;
        Ok(Disk { store, writer, trouble: None, said: Trouble::default(), unread: None })
    }

    /// The record that an earlier life of the daemon left, and older ones, unless they cannot be read within 2 s.
    pub fn newest(&mut self, boot_id: &str) -> (Option<Record>, Vec<Record>) {
        let (give, take) = mpsc::channel();
        let (store, boot) = (self.store.clone(), boot_id.to_owned());
        let newest = match spawn("record", move || drop(give.send(store.newest(&boot)))) {
            Ok(()) => take.recv_timeout(READ_PATIENCE).ok(),
            Err(_) => Some(self.store.newest(boot_id)),
        };
        let (record, others, troubles) = match newest {
            Some(Newest { record, others, troubles }) => {
                (record, others, troubles.iter().map(ToString::to_string).collect())
            }
            None => (None, Vec::new(), vec![self.hanging("read")]),
        };
        for trouble in troubles {
            log::error!("{trouble}; if a response was under way, it is begun anew");
            self.unread.get_or_insert(trouble);
        }
        (record, others)
    }

    /// Where the record of this id lies, once it is written.
    pub fn file(&self, id: &str) -> PathBuf {
        self.store.file(id)
    }

    fn hanging(&self, what: &str) -> String {
        let folder = self.store.folder().display();
        format!("cannot {what} the records in {folder}: the disk has not answered for 2 s")
    }

    pub fn write(&self, revision: u64, record: &Record) {
        match serde_json::to_vec(record) {
            Ok(text) => self.writer.write(revision, record.id.clone(), text),
            Err(error) => log::error!("cannot write the record {}: {error}", record.id),
        }
    }

    /// Looks whether the disk answers; says whether that has changed.
    pub fn look(&mut self, now: Moment) -> bool {
        if !self.writer.hangs(now) {
            return false;
        }
        let trouble = self.hanging("write");
        self.trouble.as_ref() != Some(&trouble) && self.not_written(trouble, now)
    }

    /// A record could not be written; says whether that is news.
    pub fn not_written(&mut self, trouble: String, now: Moment) -> bool {
        if let Some(extent) = self.said.came(&trouble, now) {
            log::error!(
                "{trouble}{}; responses go on without, but a restart would lose what was done",
                extent.in_brackets()
            );
        }
        let news = self.trouble.as_ref() != Some(&trouble);
        self.trouble = Some(trouble);
        news
    }

    /// A record was written, or could be (revision 0); says whether that is news.
    pub fn written(&mut self, revision: u64, now: Moment) -> bool {
        if let Some(extent) = self.said.over(now) {
            log::info!("records are written again, after {} s", extent.time.as_secs());
        }
        let read = if revision > 0 { self.unread.take() } else { None };
        self.trouble.take().is_some() || read.is_some()
    }

    pub fn health(&self) -> Health {
        let trouble = self.trouble.clone().or_else(|| self.unread.clone());
        Health { ok: trouble.is_none(), trouble }
    }
}

fn told(revision: u64, result: Result<(), Error>) -> Message {
    match result {
        Ok(()) => Message::Event(Event::Recorded { revision }),
        Err(error) => Message::NotRecorded(error.to_string()),
    }
}
