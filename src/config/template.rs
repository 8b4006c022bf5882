//! Templates of a webhook's body: a JSON text with placeholders such as `{{node}}`.
//!
//! Knows which placeholders there are. Knows nothing of what stands for them.

use serde::de::IgnoredAny;

use super::nearest::nearest;
use super::problem::Complaint;

/// Placeholders that stand for text, which is escaped as in a JSON string.
pub const TEXTS: [&str; 14] = [
    "stage",
    "event_action",
    "summary",
    "kind",
    "action",
    "response",
    "response_id",
    "node",
    "instance_id",
    "instance_type",
    "availability_zone",
    "region",
    "deadline",
    "outcome",
];

/// Placeholders that stand for whole numbers.
pub const NUMBERS: [&str; 5] = ["seconds_left", "pods", "pods_graceful", "pods_killed", "pods_left"];

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Text(&'a str),
    /// The name between `{{` and `}}`, without the spaces around it.
    Placeholder(&'a str),
}

/// The pieces of a template in their order. What begins with `{{` and has no end is text.
pub fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, inner)| Some((before, inner.split_once("}}")?)))
    {
        parts.extend([Part::Text(before), Part::Placeholder(name.trim())]);
        rest = after;
    }
    parts.push(Part::Text(rest));
    parts
}

/// The template with a text in the place of each placeholder.
pub fn filled<'a>(template: &'a str, value: impl Fn(&'a str) -> String) -> String {
    let pieces = parts(template).into_iter().map(|part| match part {
        Part::Text(text) => text.to_owned(),
        Part::Placeholder(name) => value(name),
    });
    pieces.collect()
}

/// What is wrong with a template, each with its line, from 1.
pub fn check(template: &str) -> Vec<(usize, Complaint)> {
    let mut line = 1;
    let mut unknown = Vec::new();
    for part in parts(template) {
        let (Part::Text(text) | Part::Placeholder(text)) = part;
        if matches!(part, Part::Placeholder(name) if !TEXTS.contains(&name) && !NUMBERS.contains(&name)) {
            let nearest = nearest(text, TEXTS.into_iter().chain(NUMBERS));
            unknown.push((line, Complaint::UnknownPlaceholder { name: text.to_owned(), nearest }));
        }
        line += text.matches('\n').count();
    }
    if !unknown.is_empty() {
        return unknown;
    }
    // A word is no JSON by itself: a text has to stand in quotes, a number may stand without.
    let sample = filled(template, |name| if NUMBERS.contains(&name) { "1" } else { "x" }.to_owned());
    match serde_json::from_str::<IgnoredAny>(&sample) {
        Ok(_) => Vec::new(),
        Err(error) => vec![(error.line(), Complaint::NoJson)],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_template_is_taken_apart_at_its_placeholders() {
        let rows: [(&str, &[Part]); 5] = [
            ("", &[Part::Text("")]),
            ("a{{ node }}b", &[Part::Text("a"), Part::Placeholder("node"), Part::Text("b")]),
            (r#"{"a":{"b":{{pods}}}}"#, &[Part::Text(r#"{"a":{"b":"#), Part::Placeholder("pods"), Part::Text("}}")]),
            ("}} {{node", &[Part::Text("}} {{node")]),
            (
                "{{a}}{{}}",
                &[Part::Text(""), Part::Placeholder("a"), Part::Text(""), Part::Placeholder(""), Part::Text("")],
            ),
        ];
        for (template, taken_apart) in rows {
            assert_eq!(parts(template), taken_apart, "{template}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_template_is_told_with_its_line() {
        let unknown = |name: &str, nearest| Complaint::UnknownPlaceholder { name: name.to_owned(), nearest };
        let rows = [
            (r#"{"a": "{{node}}", "b": {{pods_left}}}"#, vec![]),
            (
                "{\"a\":\n \"{{nod}}\",\n\"b\": \"{{?}}\"}",
                vec![(2, unknown("nod", Some("node"))), (3, unknown("?", None))],
            ),
            ("{\"a\":\n{{node}}}", vec![(2, Complaint::NoJson)]),
            ("{\"a\": 1", vec![(1, Complaint::NoJson)]),
            ("", vec![(1, Complaint::NoJson)]),
        ];
        for (template, told) in rows {
            assert_eq!(check(template), told, "{template}");
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_template_is_lost(template in "([{}]{1,3}|[a-z ]{1,5}){0,9}") {
            let again = filled(&template, |name| format!("<{name}>"));
            let letters = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>();
            prop_assert_eq!(letters(&again), letters(&template));
        }
    }
}
