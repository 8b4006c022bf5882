//! The other end of the socket: asks a running daemon.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::serve::Timed;
use super::{Answer, Request, line, read_answer, socket};

/// How long the daemon may take: longer than it gives itself.
const PATIENCE: Duration = Duration::from_secs(12);

/// More than any answer has: 5,000 pods take 2 MiB.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Why nothing was answered.
#[derive(Debug)]
pub enum Error {
    /// No daemon listens there.
    NobodyListens(PathBuf),
    Connect {
        path: PathBuf,
        source: io::Error,
    },
    /// It took the request, or may have, and gave no answer.
    NoAnswer {
        path: PathBuf,
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NobodyListens(path) => write!(f, "no spot-guard listens at {}", path.display()),
            Error::Connect { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "cannot ask at {}: {source}; only root may", path.display())
            }
            Error::Connect { path, source } => write!(f, "cannot ask at {}: {source}", path.display()),
            Error::NoAnswer { path, source } => write!(
                f,
                "no answer at {}: {source}; whether it was done is not known, the daemon's log says",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Asks the daemon of this runtime folder, and waits for its answer for some seconds.
///
/// # Errors
/// When there is none, it does not listen to this user, or does not answer.
pub fn ask(runtime: &Path, request: &Request) -> Result<Answer, Error> {
    let stream = connect(runtime)?;
    converse(&stream, request).map_err(|source| Error::NoAnswer { path: socket(runtime), source })
}

/// Whether a daemon listens there.
///
/// # Errors
/// When that cannot be seen, most likely for want of permissions.
pub fn is_served(runtime: &Path) -> Result<bool, Error> {
    match connect(runtime) {
        Ok(_) => Ok(true),
        Err(Error::NobodyListens(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn connect(runtime: &Path) -> Result<UnixStream, Error> {
    let path = socket(runtime);
    UnixStream::connect(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            Error::NobodyListens(path)
        }
        _ => Error::Connect { path, source },
    })
}

fn converse(stream: &UnixStream, request: &Request) -> io::Result<Answer> {
    let mut timed = Timed::new(stream, PATIENCE);
    // Whoever turns others away says so without having read.
    let sent = timed.write_all(&line(request));
    match hear(timed) {
        Ok(answer) => read_answer(&answer).map_err(io::Error::from),
        Err(error) => Err(sent.err().unwrap_or(error)),
    }
}

fn hear(from: impl Read) -> io::Result<Vec<u8>> {
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    let mut from = from.take(LONGEST_ANSWER);
    while heard.last() != Some(&b'\n') {
        match from.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => heard.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
    Ok(heard)
}
