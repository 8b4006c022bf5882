//! Pages in man(7)'s macros.

use std::fmt::Write;

/// A page: its name, section, what it is about, and all that follows.
pub struct Page {
    text: String,
}

impl Page {
    pub fn new(name: &str, section: u8, about: &str, date: &str) -> Page {
        let version = env!("CARGO_PKG_VERSION");
        let title = escaped(&name.to_uppercase());
        let mut text = String::from(".\\\" Made by make generated. Do not change it here.\n");
        let _ = writeln!(text, ".TH {title} {section} {date} \"spot-guard {version}\"");
        let _ = writeln!(text, ".ad l\n.SH NAME\n{} \\- {}", escaped(name), escaped(about));
        Page { text }
    }

    pub fn section(&mut self, title: &str) {
        let _ = writeln!(self.text, ".SH {}", quoted(&title.to_uppercase()));
    }

    pub fn subsection(&mut self, title: &str) {
        let _ = writeln!(self.text, ".SS {}", quoted(title));
    }

    /// Words with the marks of Markdown.
    pub fn paragraph(&mut self, words: &str) {
        // Right below a heading a paragraph has begun.
        if !self.is_below_a_heading() {
            self.text.push_str(".PP\n");
        }
        self.words(words);
    }

    /// A tag and what is said of it, which may be nothing.
    pub fn tagged(&mut self, tag: &str, words: &str) {
        self.text.push_str(".TP\n");
        self.words(tag);
        self.words(if words.is_empty() { "\u{2014}" } else { words });
    }

    pub fn bullet(&mut self, words: &str) {
        self.text.push_str(".IP \\(bu 2\n");
        self.words(words);
    }

    pub fn example(&mut self, lines: &str) {
        self.text.push_str(if self.is_below_a_heading() { ".RS 4\n.EX\n" } else { ".PP\n.RS 4\n.EX\n" });
        for line in lines.lines() {
            self.line(&escaped(line));
        }
        self.text.push_str(".EE\n.RE\n");
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn is_below_a_heading(&self) -> bool {
        self.text.lines().last().is_some_and(|line| line.starts_with(".SH") || line.starts_with(".SS"))
    }

    /// Each sentence on lines of its own, none longer than what an editor shows.
    fn words(&mut self, words: &str) {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        for sentence in inline(&words).replace(". ", ".\n").lines() {
            let mut line = String::new();
            for word in sentence.split(' ') {
                if !line.is_empty() && line.len() + word.len() > 76 {
                    self.line(&std::mem::take(&mut line));
                }
                let gap = if line.is_empty() { "" } else { " " };
                line.extend([gap, word]);
            }
            self.line(&line);
        }
    }

    /// A line that is text, whatever it begins with.
    fn line(&mut self, line: &str) {
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(self.text, "{guard}{line}");
    }
}

/// Code and what is strong in bold, links as what they are called.
fn inline(words: &str) -> String {
    let mut text = String::new();
    for (number, part) in words.split('`').enumerate() {
        match number % 2 {
            0 => text.push_str(&escaped(&without_links(part)).replace("**", "\u{0}")),
            _ => text.push_str(&format!("\\fB{}\\fR", escaped(part))),
        }
    }
    let strong = text.split('\u{0}').enumerate();
    strong.map(|(number, part)| if number % 2 == 0 { part.to_owned() } else { format!("\\fB{part}\\fR") }).collect()
}

/// `[notices](notices.md)` as `notices`; a page of this manual by its name.
fn without_links(part: &str) -> String {
    let mut text = String::new();
    let mut rest = part;
    while let Some((before, (name, (link, after)))) = rest.split_once('[').and_then(|(before, rest)| {
        Some((before, rest.split_once("](").and_then(|(name, rest)| Some((name, rest.split_once(')')?)))?))
    }) {
        text.push_str(before);
        text.push_str(match link {
            "hooks.md" => "spot-guard-hooks(7)",
            "configuration.md" => "spot-guard.toml(5)",
            _ => name,
        });
        rest = after;
    }
    text + rest
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '→' => escaped.push_str("\\(->"),
            '≥' => escaped.push_str("\\(>="),
            '…' => escaped.push_str("..."),
            '—' => escaped.push_str("\\(em"),
            '×' => escaped.push_str("\\(mu"),
            c => {
                assert!(c.is_ascii(), "{c:?} in {text:?}: say in roff.rs how it is written");
                escaped.push(c);
            }
        }
    }
    escaped
}

fn quoted(title: &str) -> String {
    format!("\"{}\"", inline(title).replace('"', "\\(dq"))
}
