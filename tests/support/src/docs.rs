//! What pages of docs/ show, for tests that do it word by word.

use std::fs;
use std::path::Path;

/// The text of a page.
///
/// # Panics
/// If there is none of that name.
#[must_use]
pub fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The line of a page that ends so.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn line(name: &str, end: &str) -> String {
    let page = page(name);
    let line = page.lines().find(|line| line.ends_with(end));
    line.unwrap_or_else(|| panic!("no line of {name} ends with {end}")).to_owned()
}

/// The blocks of code of a page in order, each with its language.
#[must_use]
pub fn blocks(name: &str) -> Vec<(String, String)> {
    let page = page(name);
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.map(|(language, text)| (language.to_owned(), format!("{text}\n"))).collect()
}

/// The text of each block of this language, in the page's order.
#[must_use]
pub fn blocks_of(name: &str, language: &str) -> Vec<String> {
    blocks(name).into_iter().filter(|(of, _)| of == language).map(|(_, text)| text).collect()
}

/// The commands of the first block of a shell below this heading of a page.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn commands(name: &str, heading: &str) -> Vec<String> {
    let page = page(name);
    let (_, below) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{name}: no {heading}"));
    let block = below.split_once("\n```sh\n").and_then(|(_, block)| block.split_once("```"));
    block.unwrap_or_else(|| panic!("{name}: no commands below {heading}")).0.lines().map(str::to_owned).collect()
}
