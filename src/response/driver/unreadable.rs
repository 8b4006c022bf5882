//! What came from the metadata service in the place of notices, while that is so.

use crate::moment::Moment;
use crate::notice::Kind;
use crate::trouble::Troubles;

/// One line for all kinds: a web page in the place of every item has one cause.
#[derive(Default)]
pub struct UnreadableNotices {
    troubles: Troubles<Kind>,
}

impl UnreadableNotices {
    /// Takes in what is wrong with the latest answer about a kind of notice, `None` if nothing is; says whether that
    /// has begun or ended.
    pub fn said_so(&mut self, kind: Kind, words: Option<String>, asked: Moment) -> bool {
        let stood = self.troubles.kind(kind).is_some();
        let stands = words.is_some();
        if let Some(words) = words {
            if let Some(extent) = self.troubles.came(kind, "unreadable", words, asked) {
                log::error!("{}{}", self.first().unwrap_or_default(), extent.in_brackets());
            }
        } else if let Some(extent) = self.troubles.over(kind, asked) {
            log::info!("the metadata service makes sense again; it did not {extent}");
        }
        stood != stands
    }

    /// All that lasts, the Spot interruption's first.
    pub fn first(&self) -> Option<String> {
        self.troubles.words()
    }
}
