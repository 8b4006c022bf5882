//! A metadata service, version 2 only, whose items and faults a test sets while it runs.
//!
//! Knows the manners of IMDS (tokens, 401, 404, one connection a request). Knows nothing of what the items mean,
//! except how notices are worded.

mod answer;
mod notices;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use time::OffsetDateTime;

use crate::http::Request;

pub use notices::{LIFECYCLE_STATE, REBALANCE, SCHEDULED, SPOT, ScheduledEvent};

/// Something that goes wrong with every request that it applies to, until it is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, with a body that is no item.
    Status(u16),
    /// The request is taken and never answered.
    Hang,
    /// The connection is reset.
    Reset,
    /// 200, but the body is a web page, as from a captive portal.
    Html,
    /// 200 with a body of so many bytes.
    BigBody(usize),
    /// The right answer, one byte at a time, with this wait before each.
    SlowBytes(Duration),
}

impl std::str::FromStr for Fault {
    type Err = String;

    /// `status 503`, `hang`, `reset`, `html`, `big 20000000` (bytes), `slow 100` (milliseconds a byte).
    fn from_str(text: &str) -> Result<Fault, String> {
        let wrong = || format!("no such fault: {text:?}");
        let (word, number) = text.trim().split_once(' ').unwrap_or((text.trim(), "0"));
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        match word {
            "status" => u16::try_from(number).map(Fault::Status).map_err(|_| wrong()),
            "hang" => Ok(Fault::Hang),
            "reset" => Ok(Fault::Reset),
            "html" => Ok(Fault::Html),
            "big" => usize::try_from(number).map(Fault::BigBody).map_err(|_| wrong()),
            "slow" => Ok(Fault::SlowBytes(Duration::from_millis(number))),
            _ => Err(wrong()),
        }
    }
}

/// What the `Date` header of each answer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Date {
    /// The time of this machine's clock.
    #[default]
    Right,
    /// That time and so many seconds, to show a machine whose own clock is wrong.
    Ahead(i64),
    Absent,
}

/// A request that was answered (or left hanging).
#[derive(Clone, Debug)]
pub struct Asked {
    /// When the request had arrived.
    pub at: Instant,
    pub method: String,
    /// Below `/latest/`.
    pub path: String,
    /// 0 where no status was sent.
    pub status: u16,
}

/// The running stand-in; it ends when this is dropped.
pub struct Imds {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled after each request.
    asked: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    items: BTreeMap<String, String>,
    /// Where items are looked for before `items`: one file each, read at each request.
    folder: Option<PathBuf>,
    tokens: HashMap<String, Instant>,
    /// Beginning of the path → fault; the first that fits counts.
    faults: Vec<(String, Fault)>,
    date: Date,
    log: Vec<Asked>,
    first_served: HashMap<String, Instant>,
    echo: bool,
}

impl Imds {
    /// Listens on `address` (port 0: any free one) as a Spot instance without a notice.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(address: impl ToSocketAddrs) -> io::Result<Imds> {
        let listener = TcpListener::bind(address)?;
        let imds = Imds { address: listener.local_addr()?, shared: Arc::default() };
        imds.become_instance(&fresh_instance_id());
        let shared = Arc::clone(&imds.shared);
        thread::spawn(move || answer::accept(&listener, &shared));
        Ok(imds)
    }

    /// The stand-in on a free port of 127.0.0.1.
    pub fn on_loopback() -> Imds {
        Imds::start("127.0.0.1:0").expect("listen on 127.0.0.1")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `--imds-endpoint` wants.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets all that names the instance.
    pub fn become_instance(&self, id: &str) {
        let document = format!(
            r#"{{"accountId":"000000000000","availabilityZone":"eu-west-1a","instanceId":"{id}","instanceType":"m5.large","privateIp":"10.0.1.7","region":"eu-west-1"}}"#
        );
        self.set("meta-data/instance-id", id);
        self.set("meta-data/instance-type", "m5.large");
        self.set("meta-data/placement/availability-zone", "eu-west-1a");
        self.set("meta-data/placement/region", "eu-west-1");
        self.set("meta-data/instance-life-cycle", "spot");
        self.set("dynamic/instance-identity/document", &document);
    }

    pub fn instance_id(&self) -> String {
        self.state().items.get("meta-data/instance-id").cloned().unwrap_or_default()
    }

    /// Serves `body` at `path` (below `/latest/`) from now on.
    pub fn set(&self, path: &str, body: &str) {
        self.state().items.insert(path.to_owned(), body.to_owned());
    }

    /// Answers 404 at `path` from now on.
    pub fn remove(&self, path: &str) {
        self.state().items.remove(path);
    }

    /// Reads items from files under `folder` (`FOLDER/meta-data/spot/instance-action`) before all that was set, and a
    /// fault for everything from `FOLDER/fault`; looked at afresh at each request.
    pub fn serve_folder(&self, folder: PathBuf) {
        self.state().folder = Some(folder);
    }

    /// Prints each request on standard output.
    pub fn echo(&self) {
        self.state().echo = true;
    }

    /// Everything goes wrong in this way.
    pub fn fault(&self, fault: Fault) {
        self.fault_at("", fault);
    }

    /// What begins with `path` (below `/latest/`; the token is at `api/token`) goes wrong in this way.
    pub fn fault_at(&self, path: &str, fault: Fault) {
        self.state().faults.insert(0, (path.to_owned(), fault));
    }

    /// Nothing goes wrong any more; what hangs is closed.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Every token given out so far is answered 401.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    pub fn set_date(&self, date: Date) {
        self.state().date = date;
    }

    /// All requests so far, in the order in which they were answered.
    pub fn log(&self) -> Vec<Asked> {
        self.state().log.clone()
    }

    /// When the item at `path` was first given out, with 200.
    pub fn first_served(&self, path: &str) -> Option<Instant> {
        self.state().first_served.get(path).copied()
    }

    /// Waits until the item at `path` was given out; `None` if that takes longer than `within`.
    pub fn wait_served(&self, path: &str, within: Duration) -> Option<Instant> {
        self.wait(within, |state| state.first_served.get(path).copied())
    }

    /// Waits until so many requests were answered in all, whatever for.
    pub fn wait_requests(&self, count: usize, within: Duration) -> bool {
        self.wait(within, |state| (state.log.len() >= count).then_some(())).is_some()
    }

    fn wait<T>(&self, within: Duration, seen: impl Fn(&State) -> Option<T>) -> Option<T> {
        let state = self.state();
        let waited = self.shared.asked.wait_timeout_while(state, within, |state| seen(state).is_none());
        seen(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Imds {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the accept, which then sees the end.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault_of(&self, path: &str) -> Option<Fault> {
        let state = self.state();
        let file = state.folder.as_ref().and_then(|folder| std::fs::read_to_string(folder.join("fault")).ok());
        let from_file = file.and_then(|text| text.parse().ok());
        from_file.or_else(|| state.faults.iter().find(|(start, _)| path.starts_with(start)).map(|(_, fault)| *fault))
    }

    fn note(&self, at: Instant, request: &Request, path: &str, status: u16) {
        let mut state = self.state();
        if state.echo {
            println!("{} {} {path} {status}", rfc3339(OffsetDateTime::now_utc()), request.method);
        }
        if status == 200 && request.method == "GET" {
            state.first_served.entry(path.to_owned()).or_insert_with(Instant::now);
        }
        state.log.push(Asked { at, method: request.method.clone(), path: path.to_owned(), status });
        drop(state);
        self.asked.notify_all();
    }
}

/// RFC 3339 in UTC, whole seconds, as IMDS writes times.
pub fn rfc3339(time: OffsetDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

fn fresh_instance_id() -> String {
    format!("i-0{:016x}", fresh_number())
}

/// Another number at each call, in each process.
fn fresh_number() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let nanoseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    (u64::from(std::process::id()) << 40) ^ (u64::from(nanoseconds) << 10) ^ calls
}

#[cfg(test)]
mod tests;
