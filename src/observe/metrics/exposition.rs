//! Prometheus's text format (version 0.0.4, "Exposition formats" in its documentation).

use std::fmt::Write;

/// A metric and what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub sort: Sort,
    /// One line.
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Gauge,
    Counter,
}

impl Sort {
    /// The format's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Gauge => "gauge",
            Sort::Counter => "counter",
        }
    }
}

/// One series of a metric. No two of a metric may have the same labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// The text, metric by metric.
#[derive(Debug, Default)]
pub struct Page {
    pub text: String,
}

impl Page {
    /// Adds a metric; nothing of one that has no series.
    pub fn add(&mut self, metric: &Metric, samples: impl IntoIterator<Item = Sample>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let Metric { name, sort, help } = metric;
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", sort.name());
        for sample in samples {
            let labels: Vec<String> =
                sample.labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.text, "{name}{labels} {}", number(sample.value));
        }
    }

    /// Adds a metric of one series without labels, if there is a value.
    pub fn value(&mut self, metric: &Metric, value: impl Into<Option<f64>>) {
        self.add(metric, value.into().map(|value| Sample { labels: Vec::new(), value }));
    }
}

/// Whole numbers as such, others to the millisecond: what formats a number to its last digit takes 10 KiB.
fn number(value: f64) -> String {
    let whole = value as i64;
    if whole as f64 == value { whole.to_string() } else { format!("{value:.3}") }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            // The format allows them; a terminal obeys them.
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHOWN: Metric = Metric { name: "shown", sort: Sort::Gauge, help: "What is shown." };

    fn page(label: &str, value: f64) -> String {
        let mut page = Page::default();
        page.add(&SHOWN, [Sample { labels: vec![("a", label.to_owned()), ("b", "c".into())], value }]);
        page.text
    }

    #[test]
    fn a_metric_is_told_with_its_help_and_type_and_one_without_series_not_at_all() {
        assert_eq!(
            page("x\"\\\n\u{1b}[1m", 0.25),
            "# HELP shown What is shown.\n# TYPE shown gauge\nshown{a=\"x\\\"\\\\\\n?[1m\",b=\"c\"} 0.250\n"
        );
        let mut page = Page::default();
        page.add(&SHOWN, []);
        page.value(&SHOWN, None);
        assert_eq!(page.text, "");
        page.value(&SHOWN, 1_764_179_919.0);
        assert_eq!(page.text, "# HELP shown What is shown.\n# TYPE shown gauge\nshown 1764179919\n");
    }

    /// As a reader of the format takes an escaped value back.
    fn unescaped(text: &str) -> String {
        let (mut plain, mut rest) = (String::new(), text.chars());
        while let Some(c) = rest.next() {
            match (c, if c == '\\' { rest.next() } else { None }) {
                ('\\', Some('n')) => plain.push('\n'),
                ('\\', Some(escaped)) => plain.push(escaped),
                (c, _) => plain.push(c),
            }
        }
        plain
    }

    proptest! {
        #[test]
        fn whatever_a_label_holds_its_series_is_one_line_and_reads_back(label in r#"(\PC|["\\\n]){0,30}"#) {
            let text = page(&label, 1.0);
            prop_assert_eq!(text.lines().count(), 3);
            let written = text.lines().last().unwrap();
            let written = written.strip_prefix("shown{a=\"").unwrap().strip_suffix("\",b=\"c\"} 1").unwrap();
            prop_assert_eq!(unescaped(written), label);
        }
    }
}
