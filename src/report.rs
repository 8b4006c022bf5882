//! What records tell a person: a timeline of each response, as text for a terminal and as a page of HTML.
//!
//! Pure: records in, text out. Knows nothing of files and terminals. What is shown of others' texts cannot steer a
//! terminal or a browser.

mod chart;
mod escape;
mod groups;
mod html;
mod scale;
mod text;
mod timeline;
mod words;

#[cfg(test)]
mod tests;

pub use html::html;
pub use text::text;
pub use words::{hook_failure, how_it_failed, outcome, tally};
