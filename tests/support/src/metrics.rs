//! Metrics in Prometheus's text format, as a test reads them.

use std::collections::BTreeMap;

/// All series of a text.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By name and labels as they stand there (`a="b",c="d"`).
    series: BTreeMap<(String, String), f64>,
}

impl Metrics {
    /// # Panics
    /// On a line that is none of the format, and on a series that is there twice.
    pub fn read(text: &str) -> Metrics {
        let mut series = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line:?}"));
            let (name, labels) = match name.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("no end: {line:?}"))),
                None => (name, ""),
            };
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
            let before = series.insert((name.to_owned(), labels.to_owned()), value);
            assert!(before.is_none(), "twice: {line:?}");
        }
        Metrics { series }
    }

    /// The only series of that name which has all these labels.
    ///
    /// # Panics
    /// When there are several.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.all(name, labels);
        let value = found.next();
        assert!(found.next().is_none(), "several of {name} {labels:?}: {:#?}", self.series);
        value
    }

    /// The sum of all series of that name which have all these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).sum()
    }

    fn all(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = f64> {
        let has = |written: &str| labels.iter().all(|(label, value)| written.contains(&format!("{label}=\"{value}\"")));
        self.series.iter().filter(move |((of, written), _)| of == name && has(written)).map(|(_, value)| *value)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(|(name, _)| name.as_str())
    }
}
