//! The report: tables in Markdown, medians with their spreads, goals and what was reached.

use std::fs;
use std::path::PathBuf;

/// The report as far as it is written.
pub struct Report {
    file: PathBuf,
    text: String,
}

/// A goal, and the figure that is to reach it.
pub struct Goal {
    what: String,
    measured: f64,
    most: f64,
    unit: &'static str,
}

impl Report {
    pub fn at(file: PathBuf) -> Report {
        fs::create_dir_all(file.parent().expect("a folder")).expect("make the report's folder");
        Report { file, text: "# spot-guard, measured\n\n".to_owned() }
    }

    /// Adds a line, which is printed too.
    pub fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub fn heading(&mut self, heading: &str, about: &str) {
        self.line(&format!("\n## {heading}\n\n{about}\n"));
    }

    /// A table whose first column is words and all others numbers.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("| {} |", head.join(" | ")));
        self.line(&format!("|---|{}", "---:|".repeat(head.len() - 1)));
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
        self.line("");
    }

    pub fn goals(&mut self, goals: &[Goal]) {
        let row = |goal: &Goal| {
            let reached = if goal.measured <= goal.most { "yes" } else { "no" };
            let with_unit = |value: f64| format!("{} {}", number(value), goal.unit).trim_end().to_owned();
            vec![goal.what.clone(), with_unit(goal.measured), with_unit(goal.most), reached.to_owned()]
        };
        self.table(&["goal", "measured", "at most", "reached"], &goals.iter().map(row).collect::<Vec<_>>());
    }

    pub fn write(&self) {
        fs::write(&self.file, &self.text).expect("write the report");
        println!("written so far: {}", self.file.display());
    }
}

impl Goal {
    pub fn new(what: &str, unit: &'static str, measured: f64, most: f64) -> Goal {
        Goal { what: what.to_owned(), measured, most, unit }
    }
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median, with the least and the most where they differ: `12 (10–15)`.
pub fn spread(values: Vec<f64>) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        "–".to_owned()
    } else if least == most {
        number(least)
    } else {
        format!("{} ({}–{})", number(median(values)), number(least), number(most))
    }
}

/// As many digits as say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        small if small < 1.0 => format!("{value:.3}"),
        _ => format!("{value:.2}"),
    }
}
