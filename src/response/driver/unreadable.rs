//! What came from the metadata service in the place of notices, while that is so.

use std::collections::BTreeMap;

use crate::moment::Moment;
use crate::notice::Kind;
use crate::trouble::Trouble;

#[derive(Default)]
pub struct UnreadableNotices {
    kinds: BTreeMap<&'static str, Unreadable>,
}

#[derive(Default)]
struct Unreadable {
    /// What is wrong now.
    words: Option<String>,
    trouble: Trouble,
}

impl UnreadableNotices {
    /// Takes in what is wrong with the latest answer about a kind of notice, `None` if nothing is; says whether that
    /// has begun or ended.
    pub fn said_so(&mut self, kind: Kind, words: Option<String>, asked: Moment) -> bool {
        if words.is_none() && !self.kinds.contains_key(kind.name()) {
            return false;
        }
        let unreadable = self.kinds.entry(kind.name()).or_default();
        let changed = unreadable.words.is_some() != words.is_some();
        match &words {
            Some(words) => {
                if let Some(extent) = unreadable.trouble.came("unreadable", asked) {
                    log::error!("{words}{}", extent.in_brackets());
                }
            }
            None => {
                if let Some(extent) = unreadable.trouble.over(asked) {
                    log::info!("the metadata service makes sense again of {kind}; it did not {extent}");
                }
            }
        }
        unreadable.words = words;
        changed
    }

    /// One of those that last.
    pub fn first(&self) -> Option<String> {
        self.kinds.values().find_map(|unreadable| unreadable.words.clone())
    }
}
