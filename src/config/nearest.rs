//! The known word that was probably meant.

/// The word of `known` that is nearest to `word`, if one is near: at most a third of it is to be changed.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that is known is this long.
    if word.len() > 100 {
        return None;
    }
    let word: Vec<char> = word.to_lowercase().replace('_', "-").chars().collect();
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase().replace('_', "-")), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters are to be changed, added, left out or swapped with the next (optimal string alignment).
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = at(&above, j) + usize::from(a != b);
            let mut best = changed.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    at(&above, to.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_and_a_stranger_none() {
        let known = ["poll-interval", "timeout", "endpoint", "drain", "off"];
        let rows = [
            ("pol-interval", Some("poll-interval")),
            ("poll_interval", Some("poll-interval")),
            ("Poll-Interval", Some("poll-interval")),
            ("tiemout", Some("timeout")),
            ("drian", Some("drain")),
            ("of", Some("off")),
            ("foo", None),
            ("on", None),
            ("colour", None),
            ("pol-intervl", Some("poll-interval")),
            ("switched-off", None),
            ("", None),
        ];
        for (word, meant) in rows {
            assert_eq!(nearest(word, known), meant, "{word:?}");
        }
    }

    proptest! {
        #[test]
        fn one_slip_in_a_word_is_always_forgiven(at in 0usize..12, letter in "[a-z-]", slip in 0..4) {
            let word = "poll-interval";
            let (start, end) = word.split_at(at);
            let mut end: Vec<char> = end.chars().collect();
            match slip {
                0 => end.insert(0, letter.chars().next().unwrap()),
                1 => end[0] = letter.chars().next().unwrap(),
                2 => { end.remove(0); }
                _ => end.swap(0, 1),
            }
            let written: String = start.chars().chain(end).collect();
            prop_assert_eq!(nearest(&written, ["endpoint", word, "timeout"]), Some(word));
        }

        #[test]
        fn no_word_makes_the_search_panic(word in r"\PC{0,120}") {
            let _ = nearest(&word, ["poll-interval", ""]);
        }
    }
}
