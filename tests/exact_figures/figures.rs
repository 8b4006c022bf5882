//! What is written down in `figures.toml`, and whether what is measured is still that.

use toml::de::{DeTable, DeValue};

pub const FILE: &str = "tests/exact_figures/figures.toml";

/// What else the machine does may add to a figure: one that is not as it was is measured anew, so many times in all.
const ATTEMPTS: usize = 3;

/// Measures a figure and holds it to what is written down, give or take this share of it.
pub fn hold(table: &str, name: &str, slack: f64, measure: impl Fn() -> f64) {
    let written: f64 = read(table, name).parse().unwrap_or_else(|_| panic!("{FILE}: {table}.{name} is no number"));
    let is_as_it_was = |measured: f64| (measured - written).abs() <= written * slack;
    let mut least = f64::INFINITY;
    for _ in 0..ATTEMPTS {
        let measured = measure().round();
        println!("{table}.{name} is {measured}, and was {written}");
        if is_as_it_was(measured) {
            return;
        }
        least = least.min(measured);
    }
    let advice = if least > written {
        "Spend less, or write the new figure there and say in the commit what it is paid for"
    } else {
        "It has become better: write the new figure there, so that it stays"
    };
    panic!("{table}.{name} is {least}, and was {written} ({FILE}). {advice}");
}

/// A number, or words in one string.
pub fn read(table: &str, name: &str) -> String {
    let figures = DeTable::parse(include_str!("figures.toml")).unwrap_or_else(|error| panic!("{FILE}: {error}"));
    let table_read = figures.get_ref().get(table).and_then(|table| table.get_ref().as_table());
    match table_read.and_then(|table| table.get(name)).map(|value| value.get_ref()) {
        Some(DeValue::Integer(number)) => number.as_str().to_owned(),
        Some(DeValue::String(text)) => text.to_string(),
        _ => panic!("{FILE}: there is no {table}.{name}"),
    }
}
