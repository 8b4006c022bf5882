//! Texts of others, made harmless for a page of HTML.

use std::fmt::{self, Write};

use crate::terminal::steers;

/// In HTML, between tags and in quoted attributes. Ends of lines stay.
pub struct Html<'a>(pub &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                c if steers(c) => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_taken_for_markup_or_steers() {
        for (text, html) in [
            ("web-0", "web-0"),
            ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#39;"),
            ("a\u{1b}[2Jb\u{9b}1m", "a\u{fffd}[2Jb\u{fffd}1m"),
            ("one\ntwo\r", "one\ntwo\u{fffd}"),
            ("gnp.\u{202e}exe", "gnp.\u{fffd}exe"),
        ] {
            assert_eq!(Html(text).to_string(), html);
        }
    }
}
