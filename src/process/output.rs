//! What a process says, in pieces of bounded size.

use super::Stream;

/// A longer line comes in pieces of this size, in bytes.
const LONGEST_LINE: usize = 4096;

/// How much is kept of the end, in bytes.
const TAIL: usize = 2048;

/// Cuts the two outputs of a process into lines.
pub struct Lines {
    out: Vec<u8>,
    err: Vec<u8>,
    /// Bytes that are still taken.
    left: usize,
    /// Bytes that came after those.
    pub dropped: u64,
}

impl Lines {
    /// Takes `limit` bytes of both together.
    pub fn new(limit: usize) -> Lines {
        Lines { out: Vec::new(), err: Vec::new(), left: limit, dropped: 0 }
    }

    /// Takes what was read and gives out the lines that are whole by now.
    pub fn take(&mut self, stream: Stream, bytes: &[u8], on_line: &mut dyn FnMut(Stream, &str)) {
        let (taken, dropped) = bytes.split_at(bytes.len().min(self.left));
        self.left -= taken.len();
        self.dropped += dropped.len() as u64;
        let begun = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        for byte in taken {
            if *byte != b'\n' {
                begun.push(*byte);
            }
            if *byte == b'\n' || begun.len() >= LONGEST_LINE {
                on_line(stream, &text(begun));
                begun.clear();
            }
        }
    }

    /// Gives out what has no line's end.
    pub fn finish(&mut self, on_line: &mut dyn FnMut(Stream, &str)) {
        for (stream, begun) in [(Stream::Out, &mut self.out), (Stream::Err, &mut self.err)] {
            if !begun.is_empty() {
                on_line(stream, &text(begun));
                begun.clear();
            }
        }
    }
}

/// The end of an output.
#[derive(Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    pub fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default());
        let too_many = self.0.len().saturating_sub(TAIL);
        self.0.drain(..too_many);
    }

    /// At most 2 KiB of text.
    pub fn text(&self) -> String {
        // What replaces a bad byte is up to three times as long.
        let mut text = text(&self.0);
        let too_many = text.len().saturating_sub(TAIL);
        let start = (too_many..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.drain(..start);
        text.trim_end().to_owned()
    }
}

/// Text that may be shown: what is not UTF-8 is replaced, and so is what would steer a terminal.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    text.chars()
        .map(|c| if c.is_control() && c != '\t' && c != '\n' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(limit: usize, pieces: &[(Stream, &[u8])]) -> (Vec<(Stream, String)>, u64) {
        let (mut lines, mut seen) = (Lines::new(limit), Vec::new());
        let mut on_line = |stream, line: &str| seen.push((stream, line.to_owned()));
        pieces.iter().for_each(|(stream, bytes)| lines.take(*stream, bytes, &mut on_line));
        lines.finish(&mut on_line);
        (seen, lines.dropped)
    }

    #[test]
    fn lines_of_both_outputs_stay_whole_however_they_arrive() {
        let pieces: &[(Stream, &[u8])] =
            &[(Stream::Out, b"a"), (Stream::Err, b"x\ny"), (Stream::Out, b"b\r\n\nc"), (Stream::Err, b"z")];
        let seen = lines(100, pieces).0;
        let of = |stream| seen.iter().filter(|s| s.0 == stream).map(|s| s.1.as_str()).collect::<Vec<_>>();
        assert_eq!(of(Stream::Out), ["ab", "", "c"]);
        assert_eq!(of(Stream::Err), ["x", "yz"]);
    }

    #[test]
    fn a_line_beyond_4_kib_comes_in_pieces() {
        let seen = lines(10_000, &[(Stream::Out, &[b'a'; 9000])]).0;
        assert_eq!(seen.iter().map(|s| s.1.len()).collect::<Vec<_>>(), [4096, 4096, 808]);
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(lines(100, &[(Stream::Out, b"\xff\x1b[31mred\tblue")]).0[0].1, "\u{fffd}\u{fffd}[31mred\tblue");
    }

    #[test]
    fn output_beyond_the_limit_is_counted_and_dropped() {
        let (seen, dropped) = lines(5, &[(Stream::Out, b"abc\n"), (Stream::Err, b"defg"), (Stream::Out, b"h\n")]);
        assert_eq!((seen[0].1.as_str(), seen[1].1.as_str(), dropped), ("abc", "d", 5));
    }

    proptest! {
        #[test]
        fn a_tail_is_the_end_of_everything_and_at_most_2_kib(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..5)
        ) {
            let mut tail = Tail::default();
            pieces.iter().for_each(|piece| tail.take(piece));
            let all = pieces.concat();
            prop_assert_eq!(&tail.0, &all[all.len().saturating_sub(TAIL)..]);
            prop_assert!(tail.text().len() <= TAIL);
        }
    }
}
