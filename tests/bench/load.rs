//! A load of HTTP requests by clients that try each one once, and an honest count of those that failed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stand_ins::network;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clients that do nothing but this, each on a connection that it keeps.
pub struct Kind {
    pub clients: usize,
    pub path: &'static str,
    /// What must come, byte for byte.
    pub body: Arc<[u8]>,
    /// From one answer to the next request.
    pub pause: Duration,
}

/// What became of the requests.
#[derive(Default)]
pub struct Outcome {
    pub answered: usize,
    /// By what went wrong.
    pub failed: BTreeMap<String, usize>,
}

/// The running load.
pub struct Load {
    ended: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Outcome>>,
}

impl Load {
    /// Asks the server at `address` of this network, until [`Load::end`].
    pub fn begin(network: &File, address: &'static str, kinds: &[Kind]) -> Load {
        let ended = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for kind in kinds {
            for _ in 0..kind.clients {
                let (network, ended) = (network.try_clone().expect("a descriptor"), Arc::clone(&ended));
                let mut client = Client { address, path: kind.path, body: Arc::clone(&kind.body), connection: None };
                let pause = kind.pause;
                clients.push(thread::spawn(move || {
                    network::enter(&network);
                    client.ask_until(&ended, pause)
                }));
            }
        }
        Load { ended, clients }
    }

    /// No request begins any more; those in flight are still counted.
    pub fn end(self) -> Outcome {
        self.ended.store(true, Ordering::SeqCst);
        let mut all = Outcome::default();
        for client in self.clients {
            all.add(client.join().expect("a client"));
        }
        all
    }
}

impl Outcome {
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    fn add(&mut self, other: Outcome) {
        self.answered += other.answered;
        for (because, count) in other.failed {
            *self.failed.entry(because).or_default() += count;
        }
    }
}

struct Client {
    address: &'static str,
    path: &'static str,
    body: Arc<[u8]>,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    fn ask_until(&mut self, ended: &AtomicBool, pause: Duration) -> Outcome {
        let mut outcome = Outcome::default();
        while !ended.load(Ordering::SeqCst) {
            match self.ask() {
                Ok(()) => outcome.answered += 1,
                Err(because) => {
                    self.connection = None;
                    *outcome.failed.entry(because).or_default() += 1;
                }
            }
            thread::sleep(pause);
        }
        outcome
    }

    /// One request, tried once. A kept connection that is seen to be closed before it begins is no failure.
    fn ask(&mut self) -> Result<(), String> {
        if self.connection.as_ref().is_some_and(|kept| is_closed(kept.get_ref())) {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(kept) => kept,
            None => {
                let stream = TcpStream::connect(self.address).map_err(|error| format!("connect: {}", error.kind()))?;
                stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
                self.connection.insert(BufReader::new(stream))
            }
        };
        let request = format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", self.path);
        connection.get_mut().write_all(request.as_bytes()).map_err(|error| format!("send: {}", error.kind()))?;
        let head = Head::read(connection).map_err(|error| format!("no answer: {}", error.kind()))?;
        if head.status != 200 {
            return Err(format!("status {}", head.status));
        }
        let mut body = vec![0; head.length];
        connection.read_exact(&mut body).map_err(|error| format!("cut off: {}", error.kind()))?;
        if head.closes {
            self.connection = None;
        }
        if *body == *self.body { Ok(()) } else { Err("other bytes".to_owned()) }
    }
}

/// Whether the other side has closed it, or sent what nobody asked for.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket's flag");
    let waits = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).expect("a socket's flag");
    !waits
}

/// What of an answer's head counts.
struct Head {
    status: u16,
    length: usize,
    closes: bool,
}

impl Head {
    fn read(from: &mut impl BufRead) -> io::Result<Head> {
        let mut head = Head { status: 0, length: 0, closes: false };
        for number in 0.. {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if number == 0 {
                head.status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            }
            if let Some(length) = line.strip_prefix("content-length: ") {
                head.length = length.parse().unwrap_or(0);
            }
            head.closes |= line == "connection: close";
        }
        Ok(head)
    }
}
