//! A program on a terminal of its own, and what a person would see there.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Lines that have gone out of sight and are still to be had.
const SCROLLBACK: usize = 1000;

/// The terminal and what runs on it, which ends when this is dropped.
pub struct Terminal {
    child: Child,
    screen: Arc<Mutex<Screen>>,
}

struct Screen {
    parser: vt100::Parser,
    /// All that was written.
    written: String,
}

impl Terminal {
    /// Runs it with standard output and error on a terminal of this size.
    pub fn run(mut command: Command, rows: u16, columns: u16) -> Terminal {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let ends = openpty(Some(&size), None).expect("open a terminal");
        let error = ends.slave.try_clone().expect("the terminal twice");
        command.stdout(Stdio::from(ends.slave)).stderr(Stdio::from(error)).env("TERM", "xterm-256color");
        let child = command.spawn().expect("run a program on a terminal");
        // It holds the terminal's other end, which must be closed for the program's end to be seen.
        drop(command);
        let parser = vt100::Parser::new(rows, columns, SCROLLBACK);
        let screen = Arc::new(Mutex::new(Screen { parser, written: String::new() }));
        let (shown, mut from) = (Arc::clone(&screen), File::from(ends.master));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // An error is the end: nobody holds the other side any more.
            while let Ok(length @ 1..) = from.read(&mut piece) {
                let mut screen = held(&shown);
                screen.parser.process(&piece[..length]);
                screen.written.push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Terminal { child, screen }
    }

    /// What is to be seen, without what has scrolled away.
    pub fn contents(&self) -> String {
        held(&self.screen).parser.screen().contents()
    }

    /// How many lines have scrolled out of sight.
    pub fn scrolled(&self) -> usize {
        let mut screen = held(&self.screen);
        screen.parser.screen_mut().set_scrollback(SCROLLBACK);
        let scrolled = screen.parser.screen().scrollback();
        screen.parser.screen_mut().set_scrollback(0);
        scrolled
    }

    /// All that was written, as it was.
    pub fn written(&self) -> String {
        held(&self.screen).written.clone()
    }

    /// As with Ctrl-C.
    pub fn interrupt(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, Signal::SIGINT).expect("interrupt it");
    }

    /// # Panics
    /// When it has not ended by then.
    pub fn wait_end(&mut self, within: Duration) -> ExitStatus {
        let child = &mut self.child;
        let ended = crate::wait::wait(within, || child.try_wait().expect("wait for it"));
        ended.unwrap_or_else(|| panic!("still runs after {within:?}\n{}", self.contents()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn held(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}
