//! Texts as a terminal shows them: what steers it is taken out, and lines have a width.
//!
//! Widths are counted in characters. Knows nothing of what is told.

/// On one line, without what steers a terminal: control characters, and those that turn the direction of writing.
pub fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => ' ',
        c if steers(c) => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Control characters, and those that turn the direction of writing (Unicode Standard Annex #9, section 2).
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most so many characters; of a text that is cut the last of them is `…`.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// In lines of at most so many characters, 1 or more. A word that is longer, such as a path, goes on in the next line.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        if let Some(line) = lines.last_mut().filter(|_| letters.len() < room) {
            line.push(' ');
            line.push_str(word);
            room -= letters.len() + 1;
            continue;
        }
        for part in letters.chunks(width.max(1)) {
            lines.push(part.iter().collect());
            room = width.saturating_sub(part.len());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_of_a_text_steers_a_terminal() {
        for (text, shown) in [
            ("web-0", "web-0"),
            ("a\u{1b}[2Jb\u{9b}1m", "a?[2Jb?1m"),
            ("one\ntwo\tthree\r", "one two three?"),
            ("gnp.\u{202e}exe", "gnp.?exe"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn a_text_is_cut_only_where_it_is_too_long() {
        assert_eq!([5, 4, 1, 0].map(|width| cut("drain", width)), ["drain", "dra…", "…", "…"]);
    }

    #[test]
    fn lines_are_broken_between_words_and_within_one_that_is_wider() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one twothreefour five", 6), ["one", "twothr", "eefour", "five"]);
        assert_eq!(wrapped("ab twothre x", 6), ["ab", "twothr", "e x"]);
        assert_eq!(wrapped(" \n", 6), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_letter_is_lost_and_no_line_too_wide(text in "[a-z é\n]{0,200}", width in 1_usize..40) {
            let lines = wrapped(&text, width);
            prop_assert!(lines.iter().all(|line| !line.is_empty() && line.chars().count() <= width), "{lines:?}");
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
