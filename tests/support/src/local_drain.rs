//! A local-drain hook that stops nothing and writes down what it was given.

use std::fs;

use crate::guard::Guard;

/// Its script. More may follow: it is written down at once.
pub const WRITE_DOWN: &str = r#"echo "$2 $SPOT_GUARD_POD_UIDS" >>$OUT/local-drain"#;

/// What it was given, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `start` or `end`.
    pub argument: String,
    /// UIDs.
    pub pods: Vec<String>,
}

/// What it was given so far, in order.
pub fn calls(guard: &Guard) -> Vec<Call> {
    let text = fs::read_to_string(guard.out().join("local-drain")).unwrap_or_default();
    // Without a line that is being written.
    let whole = text.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
    let mut lines = whole.lines().map(|line| line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned));
    lines.by_ref().filter_map(|mut words| Some(Call { argument: words.next()?, pods: words.collect() })).collect()
}
