//! What says how it goes: on a terminal redrawn in place, else a new line for each change.

use std::io::{self, IsTerminal, Write};

use crate::terminal::plain;

/// One line.
pub struct Screen {
    /// Redraws.
    live: bool,
    shown: String,
    /// Nobody takes what is shown.
    closed: bool,
}

impl Screen {
    /// For standard output; `NO_COLOR` and a terminal that can do nothing are heeded.
    pub fn of(environment: &[(String, String)]) -> Screen {
        Screen { live: is_colourful(environment), shown: String::new(), closed: false }
    }

    /// Whether it may redraw and have colours.
    pub fn is_live(&self) -> bool {
        self.live
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn show(&mut self, words: &str) {
        let words = plain(words);
        let key = if self.live { words.clone() } else { without_countdown(&words) };
        if key == self.shown {
            return;
        }
        // Without wrapping, and with the cursor at the beginning: what the log says next stands in its place.
        let text = if self.live { format!("\r\x1b[?7l{words}\x1b[K\x1b[?7h\r") } else { words + "\n" };
        self.closed |= !write(&text);
        self.shown = key;
    }

    /// Leaves an empty line where it redrew.
    pub fn clear(&mut self) {
        if self.live && !self.shown.is_empty() {
            write("\r\x1b[K");
        }
        self.shown.clear();
    }
}

/// Whether standard output is a terminal that knows more than plain lines, and nobody said no to that.
pub fn is_colourful(environment: &[(String, String)]) -> bool {
    let is = |name: &str, wanted: &dyn Fn(&str) -> bool| {
        environment.iter().any(|(known, value)| known == name && wanted(value))
    };
    let plain = is("NO_COLOR", &|value| !value.is_empty()) || is("TERM", &|value| value == "dumb");
    io::stdout().is_terminal() && !plain
}

/// Columns of the terminal; where there is none, a line is as long as it is.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0);
    size.map_or(usize::MAX, |size| size.ws_col.into())
}

/// Several lines. The last state stays.
#[derive(Default)]
pub struct Frame {
    shown: Vec<String>,
}

impl Frame {
    /// Lines of at most the terminal's width, at most one less than it has. False if nobody takes them.
    pub fn show(&mut self, lines: Vec<String>) -> bool {
        if lines == self.shown {
            return true;
        }
        // The cursor stands below what was drawn. Without wrapping, in case the terminal has become narrower.
        let up = if self.shown.is_empty() { String::new() } else { format!("\x1b[{}A", self.shown.len()) };
        let drawn: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
        self.shown = lines;
        write(&format!("\r{up}\x1b[?7l{drawn}\x1b[J\x1b[?7h"))
    }
}

/// What nobody takes is not said; the response goes on all the same.
fn write(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// The words without seconds, which are others each second: `draining in 41 s; 3 pods left` is no news after 42 s.
fn without_countdown(words: &str) -> String {
    let parts: Vec<&str> = words.split(' ').collect();
    let is_unit = |part: Option<&&str>| part.is_some_and(|part| part.trim_end_matches([';', ',', ':']) == "s");
    let is_number = |part: &str| part.parse::<f64>().is_ok();
    let news = parts.iter().enumerate().filter(|(at, part)| !(is_number(part) && is_unit(parts.get(at + 1))));
    news.map(|(_, part)| *part).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_go_by_are_no_news() {
        let same = |one, other| without_countdown(one) == without_countdown(other);
        assert!(same("terminate in 41 s; draining, 3 of 5 pods left", "terminate in 40 s; draining, 3 of 5 pods left"));
        assert!(same("41 s left", "0.5 s left"));
        assert!(!same(
            "terminate in 41 s; draining, 3 of 5 pods left",
            "terminate in 41 s; draining, 2 of 5 pods left"
        ));
        assert!(!same("preparing", "all done"));
    }
}
