//! What the keeper's thread does, round after round.
//!
//! Knows what is looked at and tried, and when again. What is said of it is in [`super::telling`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use log::info;

use super::telling::{Doubt, Telling};
use super::{Api, Shared};
use crate::config::{self, Mode};
use crate::kubernetes::client::Client;
use crate::kubernetes::credentials::Identity;
use crate::kubernetes::identify::{self, Found, Unusable};
use crate::kubernetes::kubeconfig;
use crate::kubernetes::link::Link;
use crate::kubernetes::node::{is_another_instances, names_an_instance};
use crate::moment::Moment;
use crate::objects::{Answer, Standing};

/// Between two looks at the files: while there is nothing yet or something is wrong, and once something is kept.
const SEARCHING: Duration = Duration::from_secs(1);
const KEEPING: Duration = Duration::from_secs(5);

/// Between two requests that keep the connection. The server closes what is idle for 90 s.
const WARM: Duration = Duration::from_secs(60);

/// The longest rest after a failure.
const REST: Duration = Duration::from_secs(10);

/// How long a node is not yet taken for this machine's because the metadata service has not said which instance this
/// is. A notice may be there before that; without the service there is none to come.
const NAMING: Duration = Duration::from_secs(3);

/// When something is tried next, later after each failure.
#[derive(Default)]
struct Due {
    /// `None`: not at all.
    at: Option<Moment>,
    failures: u32,
}

impl Due {
    fn now() -> Due {
        Due { at: Some(Moment::default()), failures: 0 }
    }

    fn come(&self, now: Moment, hurry: bool) -> bool {
        self.at.is_some_and(|at| at <= now || hurry)
    }

    /// After 1, 2, 4, 8, then every 10 s.
    fn failed(&mut self, now: Moment) {
        self.at = Some(now + Duration::from_secs(1 << self.failures.min(4)).min(REST));
        self.failures += 1;
    }
}

/// The keeper's thread.
pub struct Rounds<I, T> {
    settings: config::Kubernetes,
    dry_run: bool,
    instance_id: I,
    telling: Telling<T>,
    shared: Arc<Shared>,
    /// The kubeconfig that was last looked at.
    seen: Option<(PathBuf, Option<Identity>)>,
    /// When that is to be made into what is kept, and how far that came.
    setup: Due,
    tried: Option<Arc<Link>>,
    kept: Option<Kept>,
    born: Moment,
}

/// A connection that works, or did.
struct Kept {
    link: Arc<Link>,
    api: Arc<Api>,
    provider_id: Option<String>,
    /// The instance that the node was compared with.
    checked: Option<String>,
    warm: Due,
    /// It was handed out; what it replaces was until then.
    shown: bool,
}

impl<I: Fn() -> Option<String>, T: Fn(Standing)> Rounds<I, T> {
    pub fn new(
        settings: config::Kubernetes,
        dry_run: bool,
        instance_id: I,
        telling: Telling<T>,
        shared: Arc<Shared>,
    ) -> Rounds<I, T> {
        let (seen, setup, tried, kept, born) = (None, Due::default(), None, None, Moment::now());
        Rounds { settings, dry_run, instance_id, telling, shared, seen, setup, tried, kept, born }
    }

    /// Goes on until the handle is dropped.
    pub fn go(mut self) {
        let mut hurry = false;
        loop {
            self.round(hurry);
            match self.shared.wait(self.rest()) {
                Some(next) => hurry = next,
                None => return,
            }
        }
    }

    /// How long until the next round. While all is well nothing has to be quick: who needs more says so.
    fn rest(&self) -> Duration {
        match &self.kept {
            Some(kept) if kept.shown && kept.warm.failures == 0 && !self.telling.doubts() => KEEPING,
            _ => SEARCHING,
        }
    }

    fn round(&mut self, hurry: bool) {
        self.look();
        if self.setup.come(Moment::now(), hurry) {
            self.set_up();
        }
        self.check_instance();
        self.show();
        self.keep(hurry);
    }

    /// Looks for the kubeconfig, and whether it is still the one that was read.
    fn look(&mut self) {
        let places = kubeconfig::places(self.settings.kubeconfig.as_deref());
        match places.iter().find_map(|path| Some((path.clone(), Identity::of(path)?))) {
            Some((path, identity)) => {
                let seen = Some((path, Some(identity)));
                if self.seen != seen {
                    self.seen = seen;
                    (self.setup, self.tried) = (Due::now(), None);
                }
            }
            None => self.nothing_found(&places),
        }
    }

    fn nothing_found(&mut self, places: &[PathBuf]) {
        let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
        let text = format!("there is no kubeconfig ({})", places.join(", "));
        self.seen = None;
        self.setup = Due::default();
        if self.kept.is_some() {
            // What is kept is kept, whatever becomes of the file.
            self.telling.doubt(Doubt::Kubeconfig, Some(text));
        } else if self.settings.mode == Mode::Required {
            self.telling.unready(text);
        } else {
            self.telling.none(text);
        }
    }

    /// Makes the kubeconfig that was found into what is kept. What was kept before stays until that works.
    fn set_up(&mut self) {
        let Some(path) = self.seen.as_ref().map(|(path, _)| path.clone()) else { return };
        let attempt = self.link(&path).and_then(|link| {
            let client = Client::new(link.clone());
            let checked = (self.instance_id)();
            let found = identify::find(&client, self.settings.node_name.as_deref(), checked.as_deref())?;
            Ok((link, client, found, checked))
        });
        match attempt {
            Ok((link, client, Found { name, provider_id }, checked)) => {
                info!("{}: node {name} of {}", path.display(), link.server);
                let api = Arc::new(Api::new(client, name, self.dry_run));
                let warm = Due::now();
                (self.setup, self.tried) = (Due::default(), None);
                self.telling.doubt(Doubt::Kubeconfig, None);
                self.kept = Some(Kept { link, api, provider_id, checked, warm, shown: false });
                self.show();
            }
            Err(Unusable::ForNow(text)) => {
                self.setup.failed(Moment::now());
                if self.kept.is_some() {
                    self.telling.doubt(Doubt::Kubeconfig, Some(text));
                } else {
                    self.telling.unready(text);
                }
            }
            Err(Unusable::Another(text)) => self.give_up(text),
        }
    }

    /// The way to the server that the kubeconfig names: that of the last attempt, so that a plugin is not run again for
    /// each, brought up to date.
    fn link(&mut self, path: &Path) -> Result<Arc<Link>, Unusable> {
        if let Some(link) = &self.tried {
            // What is still wrong shows when the server is asked.
            let _ = (link.refresh(), link.look_up());
            return Ok(link.clone());
        }
        let config = kubeconfig::load(path).map_err(|e| Unusable::ForNow(e.to_string()))?;
        let link = Link::new(config, self.settings.proxy.as_deref());
        let link = link.map_err(|e| Unusable::ForNow(format!("kubeconfig {}: {e}", path.display())))?;
        Ok(self.tried.insert(Arc::new(link)).clone())
    }

    /// The node is another instance's: nothing may be done to it.
    fn give_up(&mut self, text: String) {
        *self.shared.api.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.kept = None;
        // It may yet be registered anew under this instance's id.
        self.setup.failed(Moment::now());
        self.telling.none(text);
    }

    /// Compares the node with the instance, if that is known only now.
    fn check_instance(&mut self) {
        let Some(kept) = &mut self.kept else { return };
        let Some(id) = (self.instance_id)() else { return };
        if kept.checked.as_ref() == Some(&id) {
            return;
        }
        if is_another_instances(kept.provider_id.as_deref(), &id) {
            let text = identify::another(kept.api.node_name(), kept.provider_id.as_deref(), &id);
            self.give_up(text);
        } else {
            kept.checked = Some(id);
        }
    }

    /// Hands out what is kept, once the node is not waiting to be compared with the instance.
    fn show(&mut self) {
        let Some(kept) = &mut self.kept else { return };
        if kept.shown {
            return;
        }
        let to_be_compared = kept.checked.is_none() && names_an_instance(kept.provider_id.as_deref());
        if to_be_compared && Moment::now() < self.born + NAMING {
            return;
        }
        kept.shown = true;
        *self.shared.api.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept.api.clone());
        self.ready();
    }

    /// Reads credentials again where that is due, and sees that the server still answers.
    fn keep(&mut self, hurry: bool) {
        let Some(kept) = &mut self.kept else { return };
        let renewal = kept.link.refresh();
        let failing = kept.warm.failures > 0;
        let is_due = renewal.changed || kept.warm.come(Moment::now(), hurry && failing);
        self.telling.doubt(Doubt::Credentials, renewal.trouble.map(|trouble| trouble.to_string()));
        if is_due {
            self.warm();
        }
    }

    /// Asks the server something small.
    fn warm(&mut self) {
        let Some(kept) = &mut self.kept else { return };
        // A server that moved is found again before the request; one that answers is asked first.
        let failing = kept.warm.failures > 0;
        let mut looked_up = if failing { kept.link.look_up() } else { Ok(()) };
        match kept.api.warm() {
            Answer::Accepted => {
                kept.warm = Due { at: Some(Moment::now() + WARM), failures: 0 };
                looked_up = kept.link.look_up();
                self.telling.doubt(Doubt::Addresses, looked_up.err().map(|error| error.to_string()));
                self.ready();
            }
            answer => {
                kept.warm.failed(Moment::now());
                let name = kept.api.node_name();
                let text = match answer {
                    Answer::Refused(refusal) => {
                        format!("the API server answered {} for node {name}: {}", refusal.status, refusal.message)
                    }
                    Answer::Nothing(why) => why,
                    Answer::Accepted => String::new(),
                };
                self.telling.doubt(Doubt::Addresses, looked_up.err().map(|error| error.to_string()));
                self.telling.unready(text);
            }
        }
    }

    fn ready(&mut self) {
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.shown) {
            self.telling.ready(kept.api.node_name());
        }
    }
}
