//! A TCP proxy that behaves badly when it is told to.
//!
//! Knows nothing of what passes through it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::{self, setsockopt, shutdown, sockopt};
use time::OffsetDateTime;

/// What happens to connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Pass,
    /// New connections are refused, those that stand were reset.
    Refuse,
    /// Connections are taken, and what is sent is swallowed until the fault is healed.
    Hang,
    Ended,
}

/// The running proxy; it ends when this is dropped.
pub struct Faults {
    address: SocketAddr,
    /// Where the accept cannot be woken by a connection: what it listens on.
    elsewhere: Option<TcpListener>,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

/// Whether the time has come.
type When = Arc<dyn Fn() -> bool + Send + Sync>;

#[derive(Default)]
struct State {
    mode: Mode,
    delay: Duration,
    /// The next answers are cut after so many bytes.
    cut_after: Option<usize>,
    /// All hangs from the first answer on before which this is so.
    hang_when: Option<When>,
    connections: Vec<TcpStream>,
    accepted: usize,
    /// So many connections, the first, hang whatever the mode.
    dead: usize,
    last_answer: Option<OffsetDateTime>,
    /// How many bytes were passed on, both ways together.
    passed: usize,
}

impl Faults {
    /// Passes everything on to `upstream` (`https://127.0.0.1:6443` or `127.0.0.1:6443`) until it is told otherwise.
    pub fn before(upstream: &str) -> Faults {
        Faults::start(TcpListener::bind("127.0.0.1:0").expect("listen on 127.0.0.1"), None, upstream)
    }

    /// As [`Faults::before`], for what connects to this listener, which may be in another network. It refuses nothing.
    pub fn on(listener: TcpListener, upstream: &str) -> Faults {
        let elsewhere = listener.try_clone().expect("the same listener");
        Faults::start(listener, Some(elsewhere), upstream)
    }

    fn start(listener: TcpListener, elsewhere: Option<TcpListener>, upstream: &str) -> Faults {
        let upstream = upstream.trim_start_matches("https://").parse().expect("an address and a port");
        let address = listener.local_addr().expect("the address that is listened on");
        let shared = Arc::new(Shared { upstream, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(listener, &accepting));
        Faults { address, elsewhere, shared }
    }

    /// `https://127.0.0.1:PORT`
    pub fn server(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Resets all connections and refuses new ones.
    pub fn refuse(&self) {
        // First those that hang, so that nothing of what was swallowed is passed on.
        self.reset();
        self.set(Mode::Refuse);
        self.reset();
        // Wakes the accept, which then closes its socket.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
        crate::wait::expect("connections are refused", Duration::from_secs(5), || {
            TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).err()
        });
    }

    /// Swallows all that is sent, on old and new connections; it is passed on when healed.
    pub fn hang(&self) {
        self.set(Mode::Hang);
    }

    /// Hangs as [`Faults::hang`] does as soon as `when` says so, which is asked before each answer is passed on: none
    /// passes after that.
    pub fn hang_when(&self, when: impl Fn() -> bool + Send + Sync + 'static) {
        self.shared.state().hang_when = Some(Arc::new(when));
    }

    /// Whether all that is sent is swallowed.
    pub fn hangs(&self) -> bool {
        self.shared.state().mode == Mode::Hang
    }

    /// Holds back all that is sent, each way, for so long.
    pub fn delay(&self, each_way: Duration) {
        self.shared.state().delay = each_way;
    }

    /// Resets each connection once so many bytes were answered on it from now on.
    pub fn cut_answers_after(&self, bytes: usize) {
        self.shared.state().cut_after = Some(bytes);
    }

    /// Resets all connections that stand.
    pub fn reset(&self) {
        for connection in self.shared.state().connections.drain(..) {
            reset(&connection);
        }
    }

    /// All is well again.
    pub fn heal(&self) {
        {
            let mut state = self.shared.state();
            (state.delay, state.cut_after, state.hang_when) = (Duration::ZERO, None, None);
        }
        self.set(Mode::Pass);
        crate::wait::expect("connections are taken again", Duration::from_secs(5), || {
            TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).ok()
        });
    }

    /// All is well for new connections. What hangs goes on hanging, as where a router on the way has forgotten it.
    pub fn heal_new_connections(&self) {
        {
            let mut state = self.shared.state();
            state.dead = state.accepted;
        }
        self.heal();
    }

    /// How many connections were taken so far.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// When an answer was passed on for the last time.
    pub fn last_answer(&self) -> Option<OffsetDateTime> {
        self.shared.state().last_answer
    }

    /// How many bytes were passed on so far, both ways together.
    pub fn passed(&self) -> usize {
        self.shared.state().passed
    }

    fn set(&self, mode: Mode) {
        self.shared.state().mode = mode;
        self.shared.changed.notify_all();
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.set(Mode::Ended);
        self.reset();
        match &self.elsewhere {
            Some(listener) => drop(shutdown(listener.as_raw_fd(), socket::Shutdown::Both)),
            None => drop(TcpStream::connect_timeout(&self.address, Duration::from_millis(200))),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new connection, counted from 1; none if it is refused. Looks and notes it down in one, so that none
    /// slips past a reset.
    fn take(&self, stream: &TcpStream) -> Option<usize> {
        let mut state = self.state();
        let kept = stream.try_clone().ok().filter(|_| state.mode != Mode::Refuse);
        let Some(kept) = kept else {
            reset(stream);
            return None;
        };
        state.connections.push(kept);
        state.accepted += 1;
        Some(state.accepted)
    }

    fn wait_while_refusing(&self) {
        drop(self.changed.wait_while(self.state(), |state| state.mode == Mode::Refuse));
    }

    fn hang_if_the_time_has_come(&self) {
        let when = self.state().hang_when.clone();
        if when.is_some_and(|when| when()) {
            let mut state = self.state();
            state.hang_when = None;
            if state.mode == Mode::Pass {
                state.mode = Mode::Hang;
            }
        }
    }

    /// Waits while that connection (counted from 1) hangs; whether it is to go on.
    fn wait_while_hanging(&self, connection: usize) -> bool {
        let hangs = |state: &mut State| match state.mode {
            Mode::Ended => false,
            mode => mode == Mode::Hang || connection <= state.dead,
        };
        let waited = self.changed.wait_while(self.state(), hangs);
        waited.unwrap_or_else(PoisonError::into_inner).mode != Mode::Ended
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let address = listener.local_addr().expect("the address that is listened on");
    let mut listener = Some(listener);
    loop {
        let mode = shared.state().mode;
        match mode {
            Mode::Ended => return,
            Mode::Refuse => {
                listener = None;
                shared.wait_while_refusing();
            }
            Mode::Pass | Mode::Hang => {
                let bound = listener.get_or_insert_with(|| TcpListener::bind(address).expect("listen again"));
                let Ok((stream, _)) = bound.accept() else { continue };
                let Some(number) = shared.take(&stream) else { continue };
                let shared = Arc::clone(shared);
                thread::spawn(move || connect(stream, number, &shared).ok());
            }
        }
    }
}

fn connect(downstream: TcpStream, number: usize, shared: &Arc<Shared>) -> io::Result<()> {
    if !shared.wait_while_hanging(number) {
        return Ok(());
    }
    let upstream = TcpStream::connect_timeout(&shared.upstream, Duration::from_secs(10))?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    shared.state().connections.push(upstream.try_clone()?);
    let way = |answers| Way { shared: Arc::clone(shared), connection: number, answers };
    pass_on(downstream.try_clone()?, upstream.try_clone()?, way(false));
    pass_on(upstream, downstream, way(true));
    Ok(())
}

/// One direction of a connection (counted from 1).
struct Way {
    shared: Arc<Shared>,
    connection: usize,
    answers: bool,
}

/// One direction: one thread reads, another writes when the time has come.
fn pass_on(from: TcpStream, to: TcpStream, way: Way) {
    let (give, take) = channel();
    let reading = Arc::clone(&way.shared);
    thread::spawn(move || read(from, &give, &reading));
    thread::spawn(move || write(to, &take, &way));
}

fn read(mut from: TcpStream, give: &Sender<(Instant, Vec<u8>)>, shared: &Shared) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let due = Instant::now() + shared.state().delay;
        if give.send((due, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn write(mut to: TcpStream, take: &Receiver<(Instant, Vec<u8>)>, way: &Way) {
    let mut answered = 0;
    while let Ok((due, bytes)) = take.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if way.answers {
            way.shared.hang_if_the_time_has_come();
        }
        way.shared.wait_while_hanging(way.connection);
        answered += bytes.len();
        let cut = way.shared.state().cut_after.filter(|limit| way.answers && answered > *limit);
        let whole = cut.map_or(bytes.len(), |limit| bytes.len().saturating_sub(answered - limit));
        way.shared.state().passed += whole;
        if to.write_all(&bytes[..whole]).is_err() {
            break;
        }
        if way.answers {
            way.shared.state().last_answer = Some(OffsetDateTime::now_utc());
        }
        if cut.is_some() {
            return reset(&to);
        }
    }
    // The other side has ended its half.
    let _ = to.shutdown(Shutdown::Write);
}

/// Closes a connection at once, for both halves.
fn reset(connection: &TcpStream) {
    // One that is closed already is what is wanted.
    let _ = setsockopt(connection, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
    let _ = connection.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Echoes lines for ever.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
            }
        });
        address
    }

    fn say(stream: &mut TcpStream, text: &[u8], within: Duration) -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(within))?;
        stream.write_all(text)?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).map(|()| answer)
    }

    #[test]
    fn each_fault_shows_and_heals() {
        let faults = Faults::before(&echo().to_string());
        let second = Duration::from_secs(1);
        let connect = || TcpStream::connect(faults.address);
        let mut stream = connect().unwrap();
        assert_eq!(say(&mut stream, b"hello", second).unwrap(), b"hello");
        assert_eq!(faults.passed(), 10);

        faults.hang();
        assert!(say(&mut stream, b"quiet", Duration::from_millis(100)).is_err());
        let mut another = connect().unwrap();
        assert!(say(&mut another, b"quiet", Duration::from_millis(100)).is_err());
        faults.heal();
        let mut late = [0; 5];
        another.set_read_timeout(Some(second)).unwrap();
        another.read_exact(&mut late).unwrap();
        assert_eq!(&late, b"quiet", "what was swallowed is passed on when healed");

        faults.hang();
        faults.heal_new_connections();
        assert!(say(&mut another, b"quiet", Duration::from_millis(100)).is_err());
        assert_eq!(say(&mut connect().unwrap(), b"hello", second).unwrap(), b"hello");

        let (answers, pass) = (Arc::new(AtomicUsize::new(0)), 2);
        let counted = Arc::clone(&answers);
        faults.hang_when(move || counted.fetch_add(1, Ordering::SeqCst) >= pass);
        let mut dying = connect().unwrap();
        assert_eq!(say(&mut dying, b"one", second).unwrap(), b"one");
        assert_eq!(say(&mut dying, b"two", second).unwrap(), b"two");
        assert!(!faults.hangs());
        assert!(say(&mut dying, b"three", Duration::from_millis(100)).is_err());
        assert!(faults.hangs());
        faults.heal();

        faults.delay(Duration::from_millis(60));
        let start = Instant::now();
        say(&mut connect().unwrap(), b"slow", second).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(120));
        faults.heal();

        faults.cut_answers_after(3);
        let mut cut = connect().unwrap();
        assert!(say(&mut cut, b"hello", second).is_err());
        faults.heal();

        faults.refuse();
        assert!(say(&mut stream, b"gone", second).is_err());
        assert!(connect().is_err());
        faults.heal();
        assert_eq!(say(&mut connect().unwrap(), b"back", second).unwrap(), b"back");
    }
}
