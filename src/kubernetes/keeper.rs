//! Keeps credentials and a connection to the API server warm, so that nothing is fetched or first tried after a notice.
//!
//! Knows when to look for a kubeconfig, when to read it again, and which node is this machine's. Knows nothing of
//! notices.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use log::{error, info, warn};

use super::credentials::Identity;
use super::identify::{Found, Unusable, find};
use super::kubeconfig::{self, KNOWN_PLACES};
use super::link::Link;
use super::node::{is_another_instances, names_an_instance};
use super::{Api, Client};
use crate::config::{self, Mode};
use crate::moment::Moment;
use crate::objects::{Answer, Standing};

/// Between two looks at the files: while there is nothing yet, and once something is kept.
const SEARCHING: Duration = Duration::from_secs(1);
const KEEPING: Duration = Duration::from_secs(5);

/// Between two requests that keep the connection. The server closes what is idle for 90 s.
const WARM: Duration = Duration::from_secs(60);

/// The longest rest after a failure.
const REST: Duration = Duration::from_secs(10);

/// How long a node is not yet taken for this machine's because the metadata service has not said which instance this
/// is. A notice may be there before that; without the service there is none to come.
const NAMING: Duration = Duration::from_secs(3);

/// Enough for a TLS handshake several times over, in bytes.
const STACK: usize = 256 << 10;

/// Finds the kubeconfig, keeps credentials and the connection warm, in a thread of its own that never gives up.
pub struct Keeper {
    shared: Arc<Shared>,
}

/// What the keeper's thread and its handle share.
#[derive(Default)]
struct Shared {
    api: Mutex<Option<Arc<Api>>>,
    wake: Mutex<Wake>,
    awake: Condvar,
}

#[derive(Default)]
struct Wake {
    hurry: bool,
    over: bool,
}

impl Keeper {
    /// Starts keeping. For `Mode::Off` no thread is started: [`Standing::None`] is told at once.
    ///
    /// `instance_id` gives the instance's id once the metadata service has told it. Until then the node is accepted by
    /// its name; it is checked again when the id is there. `tell` is called from the keeper's thread.
    pub fn start(
        settings: &config::Kubernetes,
        dry_run: bool,
        instance_id: impl Fn() -> Option<String> + Send + 'static,
        tell: impl Fn(Standing) + Send + 'static,
    ) -> Keeper {
        let shared = Arc::new(Shared::default());
        let keeper = Keeper { shared: shared.clone() };
        if settings.mode == Mode::Off {
            tell(Standing::None("kubernetes.mode is off".to_owned()));
            return keeper;
        }
        let rounds = Rounds {
            settings: settings.clone(),
            dry_run,
            instance_id,
            tell,
            shared,
            told: None,
            seen: None,
            setup: Due::default(),
            kept: None,
            complaint: None,
            born: Moment::now(),
        };
        let thread = thread::Builder::new().name("keeper".to_owned()).stack_size(STACK);
        if let Err(e) = thread.spawn(move || rounds.go()) {
            error!("cannot start the thread that keeps the API server's connection: {e}; pods will not be drained");
        }
        keeper
    }

    /// The API as it stands now, if [`Standing::Ready`] was reached at least once and the node was not found to be
    /// another instance's since. Take it anew for each use.
    pub fn api(&self) -> Option<Arc<Api>> {
        self.shared.api.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tries again now instead of at the next tick (a response has begun and there is no API yet).
    pub fn hurry(&self) {
        self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner).hurry = true;
        self.shared.awake.notify_all();
    }
}

/// The thread ends with the handle, as soon as it is done with what it does.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.shared.awake.notify_all();
    }
}

impl Shared {
    /// Waits for the next round; whether there is a hurry. `None`: it is over.
    fn wait(&self, tick: Duration) -> Option<bool> {
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.awake.wait_timeout_while(wake, tick, |wake| !wake.hurry && !wake.over);
        let (mut wake, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!wake.over).then(|| std::mem::take(&mut wake.hurry))
    }
}

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
struct Rounds<I, T> {
    settings: config::Kubernetes,
    dry_run: bool,
    instance_id: I,
    tell: T,
    shared: Arc<Shared>,
    told: Option<Standing>,
    /// The kubeconfig that was last looked at.
    seen: Option<(PathBuf, Option<Identity>)>,
    /// When that is to be made into what is kept.
    setup: Due,
    kept: Option<Kept>,
    /// The last thing that was complained about in the log, so that it is said once.
    complaint: Option<String>,
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
    fn go(mut self) {
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
            Some(kept) if kept.shown && kept.warm.failures == 0 && self.setup.at.is_none() => KEEPING,
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
        let places: Vec<PathBuf> = match &self.settings.kubeconfig {
            Some(path) => vec![path.clone()],
            None => KNOWN_PLACES.iter().map(PathBuf::from).collect(),
        };
        match places.iter().find_map(|path| Some((path.clone(), Identity::of(path)?))) {
            Some((path, identity)) => {
                let seen = Some((path, Some(identity)));
                if self.seen != seen {
                    self.seen = seen;
                    self.setup = Due::now();
                }
            }
            // What is kept is kept, whatever becomes of the file.
            None if self.kept.is_some() => (),
            None => {
                self.seen = None;
                self.setup = Due::default();
                let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
                let text = format!("there is no kubeconfig ({})", places.join(", "));
                self.say(if self.settings.mode == Mode::Required {
                    Standing::Unready(text)
                } else {
                    Standing::None(text)
                });
            }
        }
    }

    /// Makes the kubeconfig that was found into what is kept. What was kept before stays until that works.
    fn set_up(&mut self) {
        let Some((path, _)) = &self.seen else { return };
        let attempt = kubeconfig::load(path).map_err(|e| Unusable::ForNow(e.to_string())).and_then(|config| {
            let link = Link::new(config, self.settings.proxy.as_deref())
                .map_err(|e| Unusable::ForNow(format!("kubeconfig {}: {e}", path.display())))?;
            let link = Arc::new(link);
            let client = Client::new(link.clone());
            let checked = (self.instance_id)();
            let found = find(&client, self.settings.node_name.as_deref(), checked.as_deref())?;
            Ok((link, client, found, checked))
        });
        match attempt {
            Ok((link, client, Found { name, provider_id }, checked)) => {
                info!("{}: node {name} of {}", path.display(), link.server);
                let api = Arc::new(Api::new(client, name, self.dry_run));
                let warm = Due { at: Some(Moment::now() + WARM), failures: 0 };
                self.setup = Due::default();
                self.kept = Some(Kept { link, api, provider_id, checked, warm, shown: false });
                self.show();
            }
            Err(Unusable::ForNow(text)) => {
                self.setup.failed(Moment::now());
                if self.kept.is_some() {
                    self.complain(format!("{text}; going on with the former credentials"));
                } else {
                    self.say(Standing::Unready(text));
                }
            }
            Err(Unusable::Another(text)) => self.give_up(text),
        }
    }

    /// The node is another instance's: nothing may be done to it.
    fn give_up(&mut self, text: String) {
        *self.shared.api.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.kept = None;
        // It may yet be registered anew under this instance's id.
        self.setup.failed(Moment::now());
        self.say(Standing::None(text));
    }

    /// Compares the node with the instance, if that is known only now.
    fn check_instance(&mut self) {
        let Some(kept) = &mut self.kept else { return };
        let Some(id) = (self.instance_id)() else { return };
        if kept.checked.as_ref() == Some(&id) {
            return;
        }
        if is_another_instances(kept.provider_id.as_deref(), &id) {
            let text = super::identify::another(kept.api.node_name(), kept.provider_id.as_deref(), &id);
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
        let renewed = kept.link.refresh();
        let failing = kept.warm.failures > 0;
        if !(matches!(renewed, Ok(true)) || kept.warm.come(Moment::now(), hurry && failing)) {
            if let Err(e) = renewed {
                self.complain(format!("{e}; going on with the former credentials"));
            }
            return;
        }
        // A server that moved is found again before the request; one that answers is asked first.
        let looked_up = if failing { kept.link.look_up() } else { Ok(()) };
        match kept.api.warm() {
            Answer::Accepted => {
                kept.warm = Due { at: Some(Moment::now() + WARM), failures: 0 };
                if let Err(e) = kept.link.look_up() {
                    self.complain(format!("{e}; going on with the addresses known"));
                }
                self.ready();
            }
            answer => {
                kept.warm.failed(Moment::now());
                let name = kept.api.node_name();
                let mut text = match answer {
                    Answer::Refused(refusal) => {
                        format!("the API server answered {} for node {name}: {}", refusal.status, refusal.message)
                    }
                    Answer::Nothing(why) => why,
                    Answer::Accepted => String::new(),
                };
                for problem in [renewed.err().map(|e| e.to_string()), looked_up.err().map(|e| e.to_string())] {
                    text.extend(problem.map(|problem| format!("; {problem}")));
                }
                self.say(Standing::Unready(text));
            }
        }
    }

    fn ready(&mut self) {
        if let Some(kept) = &self.kept {
            let node_name = kept.api.node_name().to_owned();
            self.say(Standing::Ready { node_name });
        }
    }

    fn say(&mut self, standing: Standing) {
        if self.told.as_ref() != Some(&standing) {
            self.complaint = None;
            self.told = Some(standing.clone());
            (self.tell)(standing);
        }
    }

    fn complain(&mut self, text: String) {
        if self.complaint.as_ref() != Some(&text) {
            warn!("{text}");
            self.complaint = Some(text);
        }
    }
}
