//! Texts of others, made harmless for where they are shown.

use std::fmt::{self, Write};

/// On a terminal: on one line, without what steers it.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '?' } else { c }).collect()
}

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

/// Control characters, and those that turn the direction of writing (Unicode Standard Annex #9, section 2).
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_taken_for_markup_or_steers() {
        for (text, html, on_a_terminal) in [
            ("web-0", "web-0", "web-0"),
            ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#39;", "<b>&\"'"),
            ("a\u{1b}[2Jb\u{9b}1m", "a\u{fffd}[2Jb\u{fffd}1m", "a?[2Jb?1m"),
            ("one\ntwo\r", "one\ntwo\u{fffd}", "one?two?"),
            ("gnp.\u{202e}exe", "gnp.\u{fffd}exe", "gnp.?exe"),
        ] {
            assert_eq!((Html(text).to_string().as_str(), plain(text).as_str()), (html, on_a_terminal));
        }
    }
}
