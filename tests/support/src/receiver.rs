//! A server to which webhooks are sent, over TLS, and a proxy on the way there.
//!
//! Knows nothing of what it is told: it keeps the requests, and answers as the test wants.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::certificates::Authority;
use crate::http::{self, Request};

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// With one header, its name and value.
    With(u16, &'static str, String),
    /// 200, after this time.
    Slow(Duration),
    /// 200, and a body that does not end.
    Endless,
}

/// A request that has arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: Instant,
    pub request: Request,
}

impl Arrival {
    /// Its body.
    ///
    /// # Panics
    /// When it is no JSON.
    pub fn json(&self) -> Value {
        let body = String::from_utf8_lossy(&self.request.body);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

/// The server; it listens until the test ends.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    arrivals: Vec<Arrival>,
}

impl Receiver {
    /// For these names, by a certificate of `authority`. It answers 200 until it is told otherwise.
    pub fn start(authority: &Authority, names: &[&str]) -> Receiver {
        let identity = authority.server(names);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate()], identity.key())
            .expect("our own certificate and key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on 127.0.0.1");
        let address = listener.local_addr().expect("the address that is listened on");
        let shared = Arc::<Mutex<State>>::default();
        let (config, theirs) = (Arc::new(config), Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, shared) = (Arc::clone(&config), Arc::clone(&theirs));
                // A client that goes away in the middle is its own business.
                thread::spawn(move || stream.and_then(|stream| converse(stream, config, &shared)).ok());
            }
        });
        Receiver { address, shared }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Answers the next requests so, one after the other, and 200 afterwards.
    pub fn reply(&self, replies: &[Reply]) {
        held(&self.shared).replies.extend(replies.iter().cloned());
    }

    /// All requests so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        held(&self.shared).arrivals.clone()
    }

    /// The `stage` of each.
    pub fn stages(&self) -> Vec<String> {
        self.arrivals().iter().map(|arrival| arrival.json()["stage"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn converse(stream: TcpStream, config: Arc<ServerConfig>, shared: &Mutex<State>) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(request) = Request::read(&mut stream)? {
        let reply = {
            let mut state = held(shared);
            state.arrivals.push(Arrival { at: Instant::now(), request });
            state.replies.pop_front()
        };
        answer(stream.get_mut(), reply.unwrap_or(Reply::Status(200)))?;
    }
    Ok(())
}

fn answer(to: &mut impl Write, reply: Reply) -> io::Result<()> {
    match reply {
        Reply::Status(status) => http::respond(to, status, &[], b"{}"),
        Reply::With(status, name, value) => http::respond(to, status, &[(name, &value)], b"{}"),
        Reply::Slow(time) => {
            thread::sleep(time);
            http::respond(to, 200, &[], b"{}")
        }
        Reply::Endless => {
            http::begin_chunked(to, 200, &[])?;
            loop {
                http::chunk(to, &[b' '; 16 << 10])?;
            }
        }
    }
}

/// A proxy that connects whatever it is asked for to one server.
pub struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl ConnectProxy {
    pub fn before(server: &Receiver) -> ConnectProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on 127.0.0.1");
        let address = listener.local_addr().expect("the address that is listened on");
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let (upstream, theirs) = (server.address, Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let asked = Arc::clone(&theirs);
                thread::spawn(move || stream.and_then(|stream| tunnel(stream, upstream, &asked)).ok());
            }
        });
        ConnectProxy { address, asked }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What it was asked for.
    pub fn asked(&self) -> Vec<Request> {
        held(&self.asked).clone()
    }
}

fn tunnel(stream: TcpStream, upstream: SocketAddr, asked: &Mutex<Vec<Request>>) -> io::Result<()> {
    let mut client = BufReader::new(stream);
    let Some(request) = Request::read(&mut client)? else { return Ok(()) };
    let is_connect = request.method == "CONNECT";
    held(asked).push(request);
    if !is_connect {
        return http::respond(client.get_mut(), 400, &[], b"");
    }
    let server = TcpStream::connect(upstream)?;
    client.get_mut().write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut back, to) = (server.try_clone()?, client.get_ref().try_clone()?);
    thread::spawn(move || pass(&mut back, to));
    pass(&mut client, server);
    Ok(())
}

fn pass(from: &mut impl Read, mut to: TcpStream) {
    let _ = io::copy(from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
