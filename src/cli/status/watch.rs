//! The status as it changes: on a terminal redrawn in place, else a line for each change. Goes on until it is interrupted,
//! or for a while without a daemon.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::line::Line;
use super::{Silence, page};
use crate::cli::drain::failed;
use crate::cli::follow::stop;
use crate::cli::screen::{Frame, Screen};
use crate::moment::Moment;
use crate::observe::status::Status;
use crate::signals;

/// How often is asked.
const EVERY: Duration = Duration::from_millis(500);

/// A daemon that restarts is silent for so long.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn watch(runtime: &Path, screen: Screen) -> ExitCode {
    let stop = stop(signals::catch().ok());
    let mut view = View { screen, frame: Frame::default(), closed: false };
    let (mut last, mut heard) = (None, Moment::now());
    while !stop.load(Ordering::Relaxed) {
        match super::ask(runtime) {
            Ok(status) => {
                heard = Moment::now();
                view.show(&status);
                last = Some(status);
            }
            Err(error) if last.is_none() || Moment::now().since(heard) > PATIENCE => {
                return failed(&error.to_string());
            }
            Err(error) => view.tell_of_silence(last.as_deref(), &error),
        }
        if view.is_closed() {
            return ExitCode::FAILURE;
        }
        thread::sleep(EVERY);
    }
    ExitCode::SUCCESS
}

struct View {
    screen: Screen,
    frame: Frame,
    closed: bool,
}

impl View {
    fn show(&mut self, status: &Status) {
        if self.screen.is_live() {
            let (width, height) = size();
            self.draw(&page::fitting(status, height), width);
        } else {
            self.screen.show(&page::in_one_line(status));
        }
    }

    /// The last that was heard stays, with what is the matter in the place of its last line.
    fn tell_of_silence(&mut self, last: Option<&Status>, error: &Silence) {
        let words = format!("the daemon does not answer: {error}");
        if !self.screen.is_live() {
            return self.screen.show(&words);
        }
        let (width, height) = size();
        let mut lines = last.map(|status| page::fitting(status, height)).unwrap_or_default();
        lines.pop();
        lines.push(Line::whole(&words));
        self.draw(&lines, width);
    }

    fn draw(&mut self, lines: &[Line], width: usize) {
        let drawn = lines.iter().map(|line| line.cut(width, true)).collect();
        self.closed |= !self.frame.show(drawn);
    }

    fn is_closed(&self) -> bool {
        self.closed || self.screen.is_closed()
    }
}

/// Columns, and lines without the one on which the cursor stands.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 1);
    size.map_or((80, 23), |size| (size.ws_col.into(), usize::from(size.ws_row) - 1))
}
