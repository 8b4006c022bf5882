//! Knows the signals that a user or systemd sends to the daemon. Knows nothing of what follows from them.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, and SIGINT from a terminal: end, as far as the response under way allows.
    Terminate,
    /// SIGHUP: read the settings again.
    Reload,
    /// SIGUSR1: log the status.
    Status,
}

/// Signals that are caught and wait to be told.
pub struct Caught(Signals);

/// Catches signals from now on: before this, each of them ends the process.
///
/// Fails where the handlers cannot be set up, which is only when the process is out of file descriptors or memory.
pub fn catch() -> io::Result<Caught> {
    Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map(Caught)
}

impl Caught {
    /// Calls `on_signal` for each signal that was or will be caught, in a thread of its own.
    ///
    /// Signals of one kind that come while another of that kind is on its way count as one. Fails where there can be
    /// no more threads.
    pub fn tell(mut self, mut on_signal: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
        let listen = move || {
            for number in self.0.forever() {
                on_signal(match number {
                    SIGHUP => Signal::Reload,
                    SIGUSR1 => Signal::Status,
                    _ => Signal::Terminate,
                });
            }
        };
        thread::Builder::new().name("signals".into()).spawn(listen).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_signal_is_told_as_what_it_asks_for() {
        let (sender, told) = mpsc::channel();
        let caught = catch().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        caught.tell(move |signal| sender.send(signal).unwrap()).unwrap();
        assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(Signal::Reload), "caught before it could be told");
        let table = [
            (SIGHUP, Signal::Reload),
            (SIGUSR1, Signal::Status),
            (SIGTERM, Signal::Terminate),
            (SIGINT, Signal::Terminate),
        ];
        for (number, meaning) in table {
            signal_hook::low_level::raise(number).unwrap();
            assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(meaning), "signal {number}");
        }
    }
}
