//! A setting's value as it was written, and as it is written out again.

use std::borrow::Cow;
use std::fmt;

use toml::de::DeValue;

/// What may stand behind a key. The text may be borrowed, so that built-in values can be constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Cow<'static, str>),
    Bool(bool),
    List(Vec<String>),
    /// `{ file = "…" }`: what stands in that file.
    File(String),
    /// What no setting takes (a number, a date, a list of anything but text): only its beginning, to name it.
    Other(String),
}

impl Value {
    /// The value that was read from `source`, the text that stands at it.
    pub fn read(value: &DeValue<'_>, source: &str) -> Value {
        let other = || Value::Other(cut(source.lines().next().unwrap_or_default()));
        match value {
            DeValue::String(text) => Value::Text(Cow::Owned(text.to_string())),
            DeValue::Boolean(is) => Value::Bool(*is),
            DeValue::Array(items) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
                texts.collect::<Option<Vec<String>>>().map_or_else(other, Value::List)
            }
            DeValue::Table(table) if table.len() == 1 => {
                let file = table.get("file").and_then(|file| file.get_ref().as_str());
                file.map_or_else(other, |file| Value::File(file.to_owned()))
            }
            _ => other(),
        }
    }
}

/// As TOML, on one line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Bool(is) => write!(f, "{is}"),
            Value::File(path) => write!(f, "{{ file = {} }}", quoted(path)),
            Value::Other(written) => f.write_str(written),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// A basic string of TOML.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A key of TOML, in quotes if it needs them.
pub fn key_text(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { quoted(key) }
}

/// At most 60 characters of a text, for a message.
pub fn cut(text: &str) -> String {
    let mut start: String = text.chars().take(60).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// The text without the password of a URL in it.
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let Some((userinfo, host)) = rest.rsplit_once('@') else { return text.to_owned() };
    match userinfo.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Value {
        Value::read(DeValue::parse(text).unwrap().get_ref(), text)
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        let rows = [
            ("http://user:secret@proxy:3128", "http://user:***@proxy:3128"),
            ("http://user:se@cr:et@proxy", "http://user:***@proxy"),
            ("http://user@proxy", "http://user@proxy"),
            ("http://proxy:3128", "http://proxy:3128"),
            ("a=b", "a=b"),
        ];
        for (url, shown) in rows {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn of_a_long_text_the_first_sixty_characters_are_shown() {
        for (length, shown) in [(60, "é".repeat(60)), (61, "é".repeat(60) + "…")] {
            assert_eq!(cut(&"é".repeat(length)), shown);
        }
    }

    #[test]
    fn what_no_setting_takes_is_kept_as_it_was_written() {
        for text in ["30", "1.5", "2026-11-22", "[1, 2]", "[\"a\", true]", "{a = 1}"] {
            assert_eq!(read(text), Value::Other(text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn a_value_that_was_written_out_and_read_back_is_the_same(
            text in r#"[\PC\x00-\x20\x7f"\\]{0,30}"#,
            items in prop::collection::vec(r#"[\PC\x00-\x20"\\]{0,9}"#, 0..4),
            is in any::<bool>(),
        ) {
            for value in [Value::File(text.clone()), Value::Text(text.into()), Value::List(items), Value::Bool(is)] {
                prop_assert_eq!(read(&value.to_string()), value);
            }
        }
    }
}
