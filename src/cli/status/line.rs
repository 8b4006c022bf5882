//! One line of a screen: a name, a word for how it is, and a text; as wide as there is room.

use std::time::Duration;

use crate::terminal::{self, cut, plain};

/// How wide names and words are.
const NAMES: usize = 18;
const WORDS: usize = 9;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Ok,
    Warning,
    Failure,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Warning => "warning",
            Mark::Failure => "failure",
        }
    }

    /// The colour of the word, which is never without it.
    fn colour(self) -> &'static str {
        match self {
            Mark::Ok => "\x1b[32m",
            Mark::Warning => "\x1b[33m",
            Mark::Failure => "\x1b[31m",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    name: String,
    mark: Option<Mark>,
    text: String,
}

impl Line {
    pub fn new(name: &str, text: &str) -> Line {
        Line { name: plain(name), mark: None, text: plain(text) }
    }

    pub fn marked(name: &str, mark: Mark, text: &str) -> Line {
        Line { mark: Some(mark), ..Line::new(name, text) }
    }

    /// Without a name: over the whole width.
    pub fn whole(text: &str) -> Line {
        Line::new("", text)
    }

    /// Whether something is wrong.
    pub fn is_bad(&self) -> bool {
        matches!(self.mark, Some(Mark::Warning | Mark::Failure))
    }

    /// What stands before the text, and how wide that is.
    fn head(&self, colours: bool) -> (String, usize) {
        let word = self.mark.map_or("", Mark::word);
        let word = match self.mark {
            Some(mark) if colours => format!("{}{word}\x1b[0m{:pad$}", mark.colour(), "", pad = WORDS - word.len()),
            Some(_) => format!("{word:<WORDS$}"),
            None => String::new(),
        };
        if self.name.is_empty() && self.mark.is_none() {
            return (String::new(), 0);
        }
        (format!("{:<NAMES$}{word}", self.name), NAMES + if self.mark.is_some() { WORDS } else { 0 })
    }

    /// As one line of at most `width` columns.
    pub fn cut(&self, width: usize, colours: bool) -> String {
        let (head, taken) = self.head(colours);
        (head + &cut(&self.text, width.saturating_sub(taken).max(1))).trim_end().to_owned()
    }

    /// As lines of at most `width` columns, broken between words, and within one that is wider than a line.
    pub fn wrapped(&self, width: usize, colours: bool) -> Vec<String> {
        let (mut head, taken) = self.head(colours);
        let mut lines = terminal::wrapped(&self.text, width.saturating_sub(taken).max(1));
        if lines.is_empty() {
            lines.push(String::new());
        }
        for line in &mut lines {
            *line = format!("{head}{line}").trim_end().to_owned();
            head = " ".repeat(taken);
        }
        lines
    }
}

/// At most so many characters, of which the last ones stay.
pub fn cut_in_front(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    ['…'].into_iter().chain(text.chars().skip(length + 1 - width)).collect()
}

/// `████░░░░`: how much of `whole` is over.
pub fn bar(over: Duration, whole: Duration, width: usize) -> String {
    let share = if whole.is_zero() { 1.0 } else { (over.as_secs_f64() / whole.as_secs_f64()).min(1.0) };
    let full = (share * width as f64).round() as usize;
    "█".repeat(full) + &"░".repeat(width - full)
}

/// `41 s`, `12 min`, `5 h` or `3 days`.
pub fn long(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_has_a_name_a_word_and_a_text_and_only_the_word_has_a_colour() {
        let line = Line::marked("cluster", Mark::Failure, "one two three\u{1b}[2J");
        assert_eq!(line.cut(34, false), "cluster           failure  one tw…");
        assert_eq!(line.cut(80, true), "cluster           \u{1b}[31mfailure\u{1b}[0m  one two three?[2J");
        let rest = format!("{:27}three?[2J", "");
        assert_eq!(line.wrapped(36, false), ["cluster           failure  one two", &rest]);
        assert_eq!(Line::whole("protected").wrapped(80, false), ["protected"]);
        assert_eq!(Line::new("records", "").cut(80, false), "records");
        assert_eq!(Line::whole("one twothreefour").wrapped(6, false), ["one", "twothr", "eefour"]);
        assert_eq!([cut_in_front("web/api-0", 6), cut_in_front("api-0", 6)], ["…api-0", "api-0"]);
    }

    #[test]
    fn a_bar_is_full_when_all_of_it_is_over() {
        let s = Duration::from_secs;
        assert_eq!(bar(s(15), s(30), 4), "██░░");
        assert_eq!([bar(s(0), s(30), 2), bar(s(31), s(30), 2), bar(s(0), s(0), 2)], ["░░", "██", "██"]);
    }

    proptest! {
        #[test]
        fn whatever_the_text_no_line_is_wider_than_the_screen_and_nothing_is_lost(
            text in r"(\PC{0,90} ){0,6}", width in 30_usize..120,
        ) {
            let line = Line::marked("a name", Mark::Ok, &text);
            prop_assert!(line.cut(width, false).chars().count() <= width);
            let wrapped = line.wrapped(width, false);
            prop_assert!(wrapped.iter().all(|line| line.chars().count() <= width), "{wrapped:?}");
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(letters(&wrapped.concat()), "anameok".to_owned() + &letters(&text));
        }
    }
}
