//! What hooks and plugins say.

use spot_guard::process::{Lines, Stream, Tail};

/// As much as is taken here; the rest is counted.
const LIMIT: usize = 6000;

/// A piece ends at each zero byte; pieces come from standard output and standard error by turns.
pub fn output(data: &[u8]) {
    let pieces = data.split(|byte| *byte == 0).zip([Stream::Out, Stream::Err].into_iter().cycle());
    let pieces: Vec<(Stream, &[u8])> = pieces.map(|(bytes, stream)| (stream, bytes)).collect();
    let total: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();

    let (told, dropped) = lines(&pieces);
    assert_eq!(dropped as usize, total.saturating_sub(LIMIT));
    // A byte that is no text becomes a character of three.
    assert!(told.iter().all(|(_, line)| line.len() <= 3 * 4096));
    assert!(told.iter().all(|(_, line)| !line.chars().any(|c| c.is_control() && c != '\t')));
    assert!(told.iter().map(|(_, line)| line.len()).sum::<usize>() <= 3 * LIMIT);

    // Lines are the same however they arrive.
    let bytes: Vec<(Stream, &[u8])> =
        pieces.iter().flat_map(|(stream, bytes)| bytes.chunks(1).map(|byte| (*stream, byte))).collect();
    assert_eq!(lines(&bytes), (told, dropped));

    let mut tail = Tail::default();
    pieces.iter().for_each(|(_, bytes)| tail.take(bytes));
    let text = tail.text();
    assert!(text.len() <= 2048 && !text.chars().any(|c| c.is_control() && c != '\t' && c != '\n'), "{text:?}");
}

fn lines(pieces: &[(Stream, &[u8])]) -> (Vec<(Stream, String)>, u64) {
    let (mut lines, mut told) = (Lines::new(LIMIT), Vec::new());
    let mut on_line = |stream, line: &str| told.push((stream, line.to_owned()));
    pieces.iter().for_each(|(stream, bytes)| lines.take(*stream, bytes, &mut on_line));
    lines.finish(&mut on_line);
    (told, lines.dropped)
}
