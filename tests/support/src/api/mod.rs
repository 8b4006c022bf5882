//! A small API server over mTLS that speaks what spot-guard, a kubelet and an administrator of a test say.
//!
//! Its answers follow those of a real API server 1.36; where the two differ, the real one is right. It keeps objects
//! in memory, runs no controller but what is computed on the way (budgets, the taint of a cordoned node), and writes
//! an audit log in the real one's format.

mod admit;
mod audit;
mod authorize;
mod evict;
mod failure;
mod handle;
mod patch;
mod pods;
mod resources;
mod selectors;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;

pub use authorize::User;

use crate::certificates::Authority;
use crate::folder::Folder;
use audit::Audit;
use store::Store;

/// How this server differs from the real one of today.
#[derive(Clone, Debug)]
pub struct Switches {
    /// Nodes see only what their field selector names, and a GET of a pod that is gone is 403 (since 1.32).
    pub selectors: bool,
    /// A watch may begin with all that is there (`sendInitialEvents`, on by default since 1.34).
    pub streamed_lists: bool,
    /// SelfSubjectReview is served (since 1.28); 404 without.
    pub self_subject_review: bool,
    /// The disruption controller keeps up; without, budgets are answered 429 with Retry-After.
    pub budgets_observed: bool,
    /// How long each answer takes, beside what it takes anyhow.
    pub delay: Duration,
}

/// An answer that is given in the place of the right one, a number of times.
#[derive(Clone, Debug)]
pub struct Canned {
    /// What the request must be: verb and what the resource (with its subresource, `pods/eviction`) is.
    pub verb: &'static str,
    pub resource: &'static str,
    pub times: usize,
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: &'static str,
}

/// The running stand-in. Its folder has what a real cluster's has for tests: `server` (its URL), `ca.crt`, `ca.key`,
/// `admin.crt`, `admin.key`, `audit.log`. All ends, and the folder goes, when this is dropped.
pub struct ApiServer {
    address: SocketAddr,
    folder: Folder,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicBool,
    verifier: Arc<dyn ClientCertVerifier>,
    audit: Audit,
}

pub(crate) struct State {
    store: Store,
    switches: Switches,
    tokens: BTreeMap<String, User>,
    canned: VecDeque<Canned>,
    connections: Vec<TcpStream>,
}

impl ApiServer {
    /// Listens on a free port of 127.0.0.1, with the namespaces that every cluster has.
    pub fn start() -> ApiServer {
        ApiServer::try_start().expect("start the API server's stand-in")
    }

    fn try_start() -> io::Result<ApiServer> {
        let folder = Folder::new("api-server");
        let authority = Authority::new("cluster");
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        write_files(folder.path(), &authority, address)?;
        let (tls, verifier) = server::tls(&authority);
        let switches = Switches {
            selectors: true,
            streamed_lists: true,
            self_subject_review: true,
            budgets_observed: true,
            delay: Duration::ZERO,
        };
        let state = State {
            store: Store::default(),
            switches,
            tokens: BTreeMap::new(),
            canned: VecDeque::new(),
            connections: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
            verifier,
            audit: Audit::create(&folder.path().join("audit.log"))?,
        });
        handle::make_namespaces(&shared);
        let accepting = Arc::clone(&shared);
        thread::spawn(move || server::accept(&listener, &tls, &accepting));
        Ok(ApiServer { address, folder, shared })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its URL, certificates and audit log are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Changes how it differs from the real one.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.shared.state().switches);
    }

    /// Takes requests with this bearer token for those of `user`.
    pub fn accept_token(&self, token: &str, user: User) {
        self.shared.state().tokens.insert(token.to_owned(), user);
    }

    /// Answers 401 to this bearer token from now on.
    pub fn revoke_token(&self, token: &str) {
        self.shared.state().tokens.remove(token);
    }

    /// Gives a prepared answer in the place of the right one.
    pub fn answer_next(&self, canned: Canned) {
        self.shared.state().canned.push_back(canned);
    }

    /// Forgets all changes so far: who watches from before is told that its version is too old.
    pub fn compact(&self) {
        self.shared.state().store.compact();
    }

    /// Closes all connections; new ones are taken.
    pub fn cut_connections(&self) {
        for connection in self.shared.state().connections.drain(..) {
            // One that is closed already is what is wanted.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        self.cut_connections();
        // Wakes the accept, which then sees the end.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most so long.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }
}

fn write_files(folder: &Path, authority: &Authority, address: SocketAddr) -> io::Result<()> {
    let admin = authority.client("admin", "system:masters", Duration::from_secs(86400));
    let files: [(&str, &str); 5] = [
        ("ca.crt", &authority.certificate_pem),
        ("ca.key", &authority.key_pem),
        ("admin.crt", &admin.certificate_pem),
        ("admin.key", &admin.key_pem),
        ("server", &format!("https://{address}\n")),
    ];
    files.iter().try_for_each(|(name, content)| fs::write(PathBuf::from(folder).join(name), content))
}
