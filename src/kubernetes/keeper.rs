//! Keeps credentials and a connection to the API server warm, so that nothing is fetched or first tried after a notice.
//!
//! Knows when to look for a kubeconfig, when to read it again, and which node is this machine's. Knows nothing of
//! notices.

mod rounds;
mod telling;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use log::error;

use self::rounds::Rounds;
use self::telling::Telling;
use super::Api;
use crate::config::{self, Mode};
use crate::objects::Standing;

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
        let wanted = shared.clone();
        // What comes of an attempt that outlives the handle is no longer true: another keeper may be at work.
        let tell = move |standing| {
            if !wanted.is_over() {
                tell(standing)
            }
        };
        let rounds = Rounds::new(settings.clone(), dry_run, instance_id, Telling::new(tell), shared);
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
    fn is_over(&self) -> bool {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).over
    }

    /// Waits for the next round; whether there is a hurry. `None`: it is over.
    fn wait(&self, tick: Duration) -> Option<bool> {
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.awake.wait_timeout_while(wake, tick, |wake| !wake.hurry && !wake.over);
        let (mut wake, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!wake.over).then(|| std::mem::take(&mut wake.hurry))
    }
}
