//! The daemon's end of the socket: one request a conversation, a few conversations at once, none for longer than some
//! seconds. Whatever comes in, or does not, holds up nobody else.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use super::{Answer, Handle, LONGEST_REQUEST, line, read, socket};
use crate::moment::Moment;
use crate::trouble::Trouble;

/// A whole request must be here by then, and the answer be taken in as long again.
const PATIENCE: Duration = Duration::from_secs(3);

/// Conversations at once.
const AT_ONCE: usize = 8;

/// How often is looked whether the socket's file is still there, in milliseconds.
const LOOK_EVERY: u16 = 5000;

/// How long nothing is done after what failed.
const REST: Duration = Duration::from_secs(5);

const STACK: usize = 256 * 1024;

/// Answers at the socket of this runtime folder from now on, in a thread of its own. Where the socket cannot be made
/// that is told and tried again.
///
/// # Errors
/// When the thread cannot be started.
pub fn serve(runtime: &Path, handle: Handle) -> io::Result<()> {
    let path = socket(runtime);
    spawn(move || serve_for_ever(&path, &handle))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("control".into()).stack_size(STACK).spawn(work).map(drop)
}

fn serve_for_ever(path: &Path, handle: &Handle) {
    let mut trouble = Trouble::default();
    let talks = Arc::new(());
    loop {
        match Listening::at(path) {
            Ok(listening) => {
                if trouble.over(Moment::now()).is_some() {
                    log::info!("{} is there again", path.display());
                }
                listening.while_it_is_there(handle, &talks);
            }
            Err(error) => {
                if let Some(extent) = trouble.came(&error.to_string(), Moment::now()) {
                    let times = extent.in_brackets();
                    let path = path.display();
                    log::warn!("cannot listen at {path}: {error}{times}; drain and uncordon cannot reach this daemon");
                }
                thread::sleep(REST);
            }
        }
    }
}

/// A socket, and which file it is.
struct Listening {
    listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl Listening {
    /// Takes the place of what another daemon left: that none lives is known by the lock. Nobody sees the socket before
    /// it is root's alone.
    fn at(path: &Path) -> io::Result<Listening> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        let file = identity(&new)?;
        fs::rename(&new, path)?;
        Ok(Listening { listener, path: path.to_owned(), file })
    }

    /// Returns when the socket's file is gone or another's.
    fn while_it_is_there(&self, handle: &Handle, talks: &Arc<()>) {
        while self.is_asked() || identity(&self.path).is_ok_and(|file| file == self.file) {
            match self.listener.accept() {
                Ok((stream, _)) => receive(stream, handle, talks),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Out of files or memory: a busy wait would make that worse.
                Err(_) => thread::sleep(REST),
            }
        }
    }

    /// Waits for somebody; false where nobody comes for a while.
    fn is_asked(&self) -> bool {
        let mut files = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut files, PollTimeout::from(LOOK_EVERY)).is_ok_and(|ready| ready > 0)
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Lets a conversation begin, with those who may have one. Each holds a share of `talks`.
fn receive(stream: UnixStream, handle: &Handle, talks: &Arc<()>) {
    if let Err(why) = may_ask(&stream) {
        return turn_away(stream, why);
    }
    if Arc::strong_count(talks) > AT_ONCE {
        return turn_away(stream, format!("{AT_ONCE} others are being answered; ask again in some seconds"));
    }
    let (handle, share) = (handle.clone(), Arc::clone(talks));
    // Without a thread the other side sees that the conversation is over.
    let _ = spawn(move || {
        converse(stream, &handle);
        drop(share);
    });
}

fn turn_away(mut stream: UnixStream, why: String) {
    // Waits for nobody: what does not go out at once is not said.
    if stream.set_nonblocking(true).is_ok() {
        let _ = stream.write_all(&line(&Answer::Refused { why }));
    }
}

/// The kernel says who is on the other side; the mode of a file may have been changed.
fn may_ask(stream: &UnixStream) -> Result<(), String> {
    let Ok(peer) = getsockopt(stream, sockopt::PeerCredentials) else {
        return Err("the kernel does not say who asks".to_owned());
    };
    if peer.uid() == 0 || peer.uid() == geteuid().as_raw() {
        return Ok(());
    }
    log::warn!("a request of user {} on the control socket was refused", peer.uid());
    Err(format!("user {} may not ask spot-guard for anything; only root may", peer.uid()))
}

fn converse(stream: UnixStream, handle: &Handle) {
    let answer = match hear(&stream) {
        Ok(request) => match read(&request) {
            Ok(request) => handle.ask(request).unwrap_or_else(|error| Answer::Refused { why: error.to_string() }),
            Err(why) => Answer::Wrong { why },
        },
        Err(why) => Answer::Wrong { why },
    };
    let _ = Timed::new(&stream, PATIENCE).write_all(&line(&answer));
}

/// The line that is asked, without its end.
fn hear(stream: &UnixStream) -> Result<Vec<u8>, String> {
    let mut from = Timed::new(stream, PATIENCE);
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = match from.read(&mut piece) {
            Ok(0) => return Ok(heard),
            Ok(length) => length,
            Err(_) => return Err(format!("no whole line came within {} s", PATIENCE.as_secs())),
        };
        let new = piece.get(..length).unwrap_or_default();
        let end = new.iter().position(|byte| *byte == b'\n');
        heard.extend_from_slice(new.get(..end.unwrap_or(length)).unwrap_or_default());
        if heard.len() > LONGEST_REQUEST {
            return Err(format!("a request has {LONGEST_REQUEST} bytes at most"));
        }
        if end.is_some() {
            return Ok(heard);
        }
    }
}

/// A stream all of whose reads and writes together may take so long.
pub struct Timed<'a> {
    stream: &'a UnixStream,
    until: Moment,
}

impl Timed<'_> {
    pub fn new(stream: &UnixStream, time: Duration) -> Timed<'_> {
        Timed { stream, until: Moment::now() + time }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = Moment::now().until(self.until);
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(into) {
                // A signal: a read with a timeout is not taken up again by the kernel (signal(7)).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
