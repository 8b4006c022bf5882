//! Label selectors in the API server's syntax.
//!
//! Knows the grammar of `k8s.io/apimachinery/pkg/labels` (`Parse`) and its rules for names. Knows nothing of pods.

use std::collections::BTreeMap;
use std::fmt;

use super::settings::{Requirement, Selector};

impl Selector {
    /// Reads a selector as the API server reads `labelSelector`. An empty one, which there selects everything, is
    /// refused: what selects everything by mistake leaves every pod alone.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let requirements = parser.requirements()?;
        if requirements.is_empty() {
            return Err(SelectorError::Empty);
        }
        Ok(Selector { requirements, text: text.trim().to_owned() })
    }

    /// Whether something with these labels is selected: every requirement must hold.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let number = |key: &String| labels.get(key).and_then(|value| value.parse::<i64>().ok());
        match self {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
            Requirement::Greater(key, bound) => number(key).is_some_and(|value| value > *bound),
            Requirement::Less(key, bound) => number(key).is_some_and(|value| value < *bound),
        }
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;
    fn try_from(text: String) -> Result<Selector, SelectorError> {
        Selector::parse(&text)
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        selector.text
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorError {
    Empty,
    /// What stands there, and what should.
    Unexpected {
        found: String,
        wanted: &'static str,
    },
    Key(String),
    Value(String),
    Number(String),
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectorError::Empty => f.write_str("an empty selector selects everything"),
            SelectorError::Unexpected { found, wanted } => write!(f, "{found} stands where {wanted} should"),
            SelectorError::Key(key) => write!(f, "{key:?} is no label's key"),
            SelectorError::Value(value) => write!(f, "{value:?} is no label's value"),
            SelectorError::Number(value) => write!(f, "{value:?} is no whole number"),
        }
    }
}

impl std::error::Error for SelectorError {}

/// Whether this may be a label's key: `[prefix/]name`.
pub fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && !name.is_empty() && is_label_value(name),
        None => !key.is_empty() && is_label_value(key),
    }
}

/// Whether this may be a label's value: empty, or at most 63 of `[A-Za-z0-9_.-]` that begin and end with a letter or digit.
pub fn is_label_value(value: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.len() <= 63
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && ends(value.chars().next())
        && ends(value.chars().next_back())
}

/// Whether this is a DNS subdomain as RFC 1123 has it, in small letters: what a Node may be called.
pub fn is_subdomain(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let (token, after) = next_token(rest);
        tokens.push(token);
        rest = after.trim_start_matches(is_space);
    }
    tokens
}

fn next_token(rest: &str) -> (Token<'_>, &str) {
    for symbol in SYMBOLS {
        if let Some(after) = rest.strip_prefix(symbol) {
            return (Token::Symbol(symbol), after);
        }
    }
    let end = rest.find(|c| is_space(c) || "=!(),><".contains(c)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    (Token::Word(word), after)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn take_if(&mut self, symbol: &'static str) -> bool {
        let there = self.peek() == Some(Token::Symbol(symbol));
        self.at += usize::from(there);
        there
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        while self.peek().is_some() {
            requirements.push(self.requirement()?);
            match self.take() {
                None => break,
                Some(Token::Symbol(",")) if self.peek().is_some() => {}
                Some(Token::Symbol(",")) => return Err(unexpected(None, "a label's key")),
                other => return Err(unexpected(other, "a comma or the end")),
            }
        }
        Ok(requirements)
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let absent = self.take_if("!");
        let key = match self.take() {
            Some(Token::Word(key)) => key.to_owned(),
            other => return Err(unexpected(other, "a label's key")),
        };
        if !is_label_key(&key) {
            return Err(SelectorError::Key(key));
        }
        if absent {
            return Ok(Requirement::Absent(key));
        }
        if matches!(self.peek(), None | Some(Token::Symbol(","))) {
            return Ok(Requirement::Exists(key));
        }
        match self.take() {
            Some(Token::Symbol("=" | "==")) => Ok(Requirement::In(key, vec![self.value()?])),
            Some(Token::Symbol("!=")) => Ok(Requirement::NotIn(key, vec![self.value()?])),
            Some(Token::Symbol(">")) => Ok(Requirement::Greater(key, self.number()?)),
            Some(Token::Symbol("<")) => Ok(Requirement::Less(key, self.number()?)),
            Some(Token::Word("in")) => Ok(Requirement::In(key, self.values()?)),
            Some(Token::Word("notin")) => Ok(Requirement::NotIn(key, self.values()?)),
            other => Err(unexpected(other, "=, ==, !=, in, notin, > or <")),
        }
    }

    /// One value; nothing before a comma or the end is the empty value.
    fn value(&mut self) -> Result<String, SelectorError> {
        match self.peek() {
            None | Some(Token::Symbol(",")) => Ok(String::new()),
            Some(Token::Word(word)) => {
                self.at += 1;
                checked(word)
            }
            other => Err(unexpected(other, "a value")),
        }
    }

    fn number(&mut self) -> Result<i64, SelectorError> {
        let value = self.value()?;
        value.parse().map_err(|_| SelectorError::Number(value))
    }

    /// `(a,b)`; nothing between commas or parentheses is the empty value.
    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        if !self.take_if("(") {
            return Err(unexpected(self.peek(), "an opening parenthesis"));
        }
        let mut values = Vec::new();
        loop {
            let value = match self.peek() {
                Some(Token::Word(word)) => {
                    self.at += 1;
                    checked(word)?
                }
                _ => String::new(),
            };
            if !values.contains(&value) {
                values.push(value);
            }
            match self.take() {
                Some(Token::Symbol(",")) => {}
                Some(Token::Symbol(")")) => return Ok(values),
                other => return Err(unexpected(other, "a comma or a closing parenthesis")),
            }
        }
    }
}

fn checked(word: &str) -> Result<String, SelectorError> {
    if is_label_value(word) { Ok(word.to_owned()) } else { Err(SelectorError::Value(word.to_owned())) }
}

fn unexpected(found: Option<Token<'_>>, wanted: &'static str) -> SelectorError {
    let found = match found {
        None => "the end".to_owned(),
        Some(Token::Word(word)) => format!("{word:?}"),
        Some(Token::Symbol(symbol)) => format!("{symbol:?}"),
    };
    SelectorError::Unexpected { found, wanted }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split_terminator(',')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    // The rows follow what `labels.Parse` of k8s.io/apimachinery accepts and what its selectors then match.
    #[test]
    fn a_selector_selects_what_the_api_server_would_select() {
        let rows = [
            ("app=web", "app=web", true),
            ("app=web", "app=api", false),
            ("app=web", "", false),
            ("app==web", "app=web", true),
            ("app!=web", "app=web", false),
            ("app!=web", "app=api", true),
            ("app!=web", "", true),
            ("app", "app=", true),
            ("app", "other=1", false),
            ("!app", "other=1", true),
            ("! app", "app=1", false),
            ("app in (web, api)", "app=api", true),
            ("app in (web,api)", "app=db", false),
            ("app in (web,api)", "", false),
            ("app notin (web,api)", "app=db", true),
            ("app notin (web,api)", "app=web", false),
            ("app notin (web,api)", "", true),
            ("app=", "app=", true),
            ("app=,tier=db", "app=,tier=db", true),
            ("app in ()", "app=", true),
            ("app in (a,,b)", "app=", true),
            ("app in (,a)", "app=", true),
            ("app in (a,)", "app=b", false),
            ("in in (in)", "in=in", true),
            ("size>3", "size=4", true),
            ("size > 3", "size=3", false),
            ("size<3", "size=2", true),
            ("size<3", "size=3", false),
            ("size<3", "size=small", false),
            ("size<3", "", false),
            ("app=web,tier!=db,!skip", "app=web", true),
            ("app=web,tier!=db,!skip", "app=web,skip=", false),
            ("example.com/role=a", "example.com/role=a", true),
            (" app = web ,\ttier ", "app=web,tier=1", true),
        ];
        for (selector, with, selected) in rows {
            let parsed = Selector::parse(selector).unwrap_or_else(|e| panic!("{selector}: {e}"));
            assert_eq!(parsed.matches(&labels(with)), selected, "{selector} on {{{with}}}");
            assert_eq!([parsed.to_string(), String::from(parsed)], [selector.trim(); 2]);
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        let rows = [
            ("", "an empty selector selects everything"),
            ("  ", "an empty selector selects everything"),
            ("a,", "the end stands where a label's key should"),
            (",a", "\",\" stands where a label's key should"),
            ("a b", "\"b\" stands where =, ==, !=, in, notin, > or < should"),
            ("a=b c", "\"c\" stands where a comma or the end should"),
            ("a=b=c", "\"=\" stands where a comma or the end should"),
            ("!a=b", "\"=\" stands where a comma or the end should"),
            ("a in b", "\"b\" stands where an opening parenthesis should"),
            ("a in (b", "the end stands where a comma or a closing parenthesis should"),
            ("a in (b c)", "\"c\" stands where a comma or a closing parenthesis should"),
            ("a>b", "\"b\" is no whole number"),
            ("a>", "\"\" is no whole number"),
            ("a=-b", "\"-b\" is no label's value"),
            ("/a=b", "\"/a\" is no label's key"),
            ("a/=b", "\"a/\" is no label's key"),
            ("a/b/c", "\"a/b/c\" is no label's key"),
            ("Example.com/a", "\"Example.com/a\" is no label's key"),
            ("ä=b", "\"ä\" is no label's key"),
        ];
        for (selector, error) in rows {
            assert_eq!(Selector::parse(selector).map_err(|e| e.to_string()), Err(error.to_owned()), "{selector}");
        }
    }

    #[test]
    fn names_are_limited_as_the_api_server_limits_them() {
        assert!(is_label_value(&"a".repeat(63)) && !is_label_value(&"a".repeat(64)));
        assert!(is_subdomain(&format!("{0}.{0}.{0}.{0}.abcdef.abcdef", "a".repeat(59))));
        assert!(!is_subdomain(&"a".repeat(254)));
        assert!(!is_subdomain("a..b") && !is_subdomain("-a") && !is_subdomain("A") && !is_subdomain(""));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reading_of_a_selector_panic(text in r"([a-z!=(),<> /.]|in|notin|\PC){0,40}") {
            if let Ok(selector) = Selector::parse(&text) {
                selector.matches(&labels("a=b"));
                prop_assert_eq!(Selector::parse(&selector.text), Ok(selector));
            }
        }
    }
}
