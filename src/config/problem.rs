//! Where a setting was written, and what is wrong with what stands there.

use std::fmt;
use std::path::{Path, PathBuf};

use super::value::{cut, quoted};

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    BuiltIn,
    /// The line counts from 1; `None` is the file as a whole.
    File {
        path: PathBuf,
        line: Option<usize>,
    },
    /// The variable's name.
    Environment(String),
    /// The flag without its dashes.
    Flag(&'static str),
}

impl Origin {
    pub fn file(path: &Path) -> Origin {
        Origin::File { path: path.to_owned(), line: None }
    }

    pub fn line(path: &Path, line: usize) -> Origin {
        Origin::File { path: path.to_owned(), line: Some(line) }
    }

    /// Its line, if it stands on one.
    pub fn line_number(&self) -> Option<usize> {
        match self {
            Origin::File { line, .. } => *line,
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("built-in"),
            Origin::File { path, line: None } => write!(f, "{}", path.display()),
            Origin::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "environment {}", plain(name)),
            Origin::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// Something in the configuration that cannot be meant. Its text is one line, with the place in front, and names no
/// secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    pub complaint: Complaint,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The file or folder cannot be read, and why.
    Unreadable(String),
    /// It is no TOML, and why.
    Syntax(String),
    UnknownTable {
        name: String,
        nearest: Option<&'static str>,
    },
    /// A table is to stand here.
    NotATable(String),
    UnknownKey {
        table: String,
        key: String,
        hint: Hint,
    },
    /// No such setting can be made in the environment.
    UnknownVariable {
        nearest: Option<String>,
    },
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` is this.
    UnknownMode(String),
    /// The setting, its value as written, and a clause on what it must be. Without a key it is the table itself.
    Unfit {
        table: &'static str,
        key: String,
        value: String,
        reason: String,
    },
    /// A template asks for what there is not.
    UnknownPlaceholder {
        name: String,
        nearest: Option<&'static str>,
    },
    /// What comes of a template is no JSON.
    NoJson,
    /// More than are told.
    More(usize),
}

/// What may have been meant by an unknown key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    None,
    Nearest(&'static str),
    /// The key is known in this table.
    BelongsTo(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.complaint) {
            (Origin::Flag(flag), Complaint::Unfit { value, reason, .. }) => write!(f, "--{flag} is {value}; {reason}"),
            (origin, complaint) => write!(f, "{origin}: {complaint}"),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Complaint::Syntax(why) => f.write_str(why),
            Complaint::UnknownTable { name, nearest } => {
                write!(f, "unknown table [{}]", plain(name))?;
                nearest.map_or(Ok(()), |known| write!(f, "; did you mean [{known}]?"))
            }
            Complaint::NotATable(name) => write!(f, "{} must be a table: [{}]", plain(name), plain(name)),
            Complaint::UnknownKey { table, key, hint } => {
                write!(f, "unknown key {}{}", quoted(&cut(key)), within(table))?;
                match hint {
                    Hint::None => Ok(()),
                    Hint::Nearest(known) => write!(f, "; did you mean {known:?}?"),
                    Hint::BelongsTo(table) => write!(f, "; it belongs to [{table}]"),
                }
            }
            Complaint::UnknownVariable { nearest } => {
                f.write_str("no such setting")?;
                nearest.as_ref().map_or(Ok(()), |known| write!(f, "; did you mean {known}?"))
            }
            Complaint::UnknownMode(mode) => write!(f, "it is {mode}; it must be IPv4 or IPv6"),
            Complaint::Unfit { table, key, value, reason } => {
                let subject = if key.is_empty() { String::new() } else { format!("{} in ", plain(key)) };
                write!(f, "{subject}[{table}] is {value}; {reason}")
            }
            Complaint::UnknownPlaceholder { name, nearest } => {
                write!(f, "unknown placeholder {}", quoted(&cut(name)))?;
                nearest.map_or(Ok(()), |known| write!(f, "; did you mean {known:?}?"))
            }
            Complaint::NoJson => f.write_str(
                "this does not become JSON; texts stand in quotes, as in \"{{node}}\", numbers may stand without",
            ),
            Complaint::More(count) => write!(f, "{count} more errors"),
        }
    }
}

fn within(table: &str) -> String {
    if table.is_empty() { " outside of any table".to_owned() } else { format!(" in [{}]", plain(table)) }
}

/// What a user wrote, on one line and not too long.
pub(super) fn plain(name: &str) -> String {
    cut(name).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
