//! A fragment: the settings of one source (a file, a variable, a flag), each checked and with its origin.
//!
//! A fragment is taken as a whole or not at all.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Complaint, Origin, Problem, plain};
use super::schema::{self, SCHEMA};
use super::value::{Value, key_text, without_password};

/// A setting as one source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The row's place in the schema.
    pub row: usize,
    /// The key; in an open table the name that the user chose.
    pub name: String,
    pub value: Value,
    pub origin: Origin,
}

pub type Fragment = Result<Vec<Assignment>, Vec<Problem>>;

/// More problems than this are not told of one source.
const TOLD: usize = 100;

/// Reads the text of a file. Every error in it is told.
pub fn from_file(path: &Path, text: &str) -> Fragment {
    let ends: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let origin = |offset: usize| Origin::line(path, ends.partition_point(|end| *end < offset) + 1);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let mut reader = Reader { text, origin: &origin, assignments: Vec::new(), problems: Vec::new() };
        reader.table("", table.get_ref());
        return finished(reader.assignments, reader.problems);
    }
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let start = error.span().map_or(text.len(), |span| span.start);
            Problem { origin: origin(start), complaint: Complaint::Syntax(error.message().replace('\n', " ")) }
        })
        .collect();
    problems.sort_by_key(|problem| problem.origin.line_number());
    // What follows the first error of a line is mostly its echo.
    problems.dedup_by(|later, earlier| later.origin == earlier.origin);
    finished(Vec::new(), problems)
}

/// Reads a setting from a variable. Text is taken as it is, everything else as TOML.
pub fn from_variable(row: usize, written: &str, origin: Origin) -> Fragment {
    let Some(schema_row) = SCHEMA.get(row) else { return Ok(Vec::new()) };
    if matches!(schema_row.built_in, Some(Value::Text(_))) {
        return from_text(row, written, origin);
    }
    let same_origin = |_| origin.clone();
    let mut reader = Reader { text: written, origin: &same_origin, assignments: Vec::new(), problems: Vec::new() };
    match DeValue::parse(written) {
        Ok(value) if !schema_row.is_open() => reader.value(row, schema_row.key, &value),
        Ok(value) if value.get_ref().is_table() => {
            value.get_ref().as_table().into_iter().for_each(|table| reader.table(schema_row.table, table))
        }
        _ if schema_row.is_open() => reader.unfit(row, "", written, r#"it must be a table: { "NAME" = "30s" }"#, 0),
        _ => return from_text(row, written, origin),
    }
    finished(reader.assignments, reader.problems)
}

/// Takes a text as the value of a setting.
pub fn from_text(row: usize, written: &str, origin: Origin) -> Fragment {
    let name = SCHEMA.get(row).map_or("", |row| row.key);
    let same_origin = |_| origin.clone();
    let mut reader = Reader { text: written, origin: &same_origin, assignments: Vec::new(), problems: Vec::new() };
    reader.take(row, name, Value::Text(written.to_owned().into()), 0);
    finished(reader.assignments, reader.problems)
}

fn finished(assignments: Vec<Assignment>, mut problems: Vec<Problem>) -> Fragment {
    // Tables are walked in the order of their names.
    problems.sort_by_key(|problem| problem.origin.line_number());
    let more = problems.len().saturating_sub(TOLD);
    if let (true, Some(last)) = (more > 0, problems.get(TOLD)) {
        let origin = last.origin.clone();
        problems.truncate(TOLD);
        problems.push(Problem { origin, complaint: Complaint::More(more) });
    }
    if problems.is_empty() { Ok(assignments) } else { Err(problems) }
}

/// Walks through the tables of one source.
struct Reader<'a> {
    text: &'a str,
    /// The origin of what stands at a byte of the text.
    origin: &'a dyn Fn(usize) -> Origin,
    assignments: Vec<Assignment>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let at = key.span().start;
            let key: &str = key.get_ref();
            // In quotes where the key has a dot: that one is no way into a table.
            let path = if name.is_empty() { key_text(key) } else { format!("{name}.{}", key_text(key)) };
            let is_table = schema::is_table(&path);
            match (schema::find(name, key), value.get_ref()) {
                (Some(row), _) => self.value(row, key, value),
                (None, DeValue::Table(inner)) if is_table => self.table(&path, inner),
                (None, _) if is_table => self.complain(at, Complaint::NotATable(path)),
                (None, DeValue::Table(_)) => {
                    let nearest = schema::nearest_table(&path);
                    self.complain(at, Complaint::UnknownTable { name: path, nearest });
                }
                (None, _) => {
                    let hint = schema::hint(name, key);
                    self.complain(at, Complaint::UnknownKey { table: name.to_owned(), key: key.to_owned(), hint });
                }
            }
        }
    }

    fn value(&mut self, row: usize, name: &str, value: &Spanned<DeValue<'_>>) {
        let source = self.text.get(value.span()).unwrap_or_default();
        self.take(row, name, Value::read(value.get_ref(), source), value.span().start);
    }

    fn take(&mut self, row: usize, name: &str, value: Value, at: usize) {
        let Some(schema_row) = SCHEMA.get(row) else { return };
        match (schema_row.put)(&mut schema::blank(), name, &value) {
            Ok(()) => {
                let origin = (self.origin)(at);
                self.assignments.push(Assignment { row, name: name.to_owned(), value, origin });
            }
            Err(reason) => self.unfit(row, name, &value.to_string(), &reason, at),
        }
    }

    fn unfit(&mut self, row: usize, name: &str, value: &str, reason: &str, at: usize) {
        let (table, secret) = SCHEMA.get(row).map_or(("", false), |row| (row.table, row.secret));
        let value = if secret { "(not shown)".to_owned() } else { plain(&without_password(value)) };
        let key = name.to_owned();
        self.complain(at, Complaint::Unfit { table, key, value, reason: reason.to_owned() });
    }

    fn complain(&mut self, at: usize, complaint: Complaint) {
        let origin = (self.origin)(at);
        self.problems.push(Problem { origin, complaint });
    }
}
