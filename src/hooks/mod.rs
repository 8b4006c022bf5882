//! Hooks: local executables that run in the phases of a response.
//!
//! Knows where hooks lie, which of them may run, in which order, and what each is told. Knows nothing of when a phase
//! begins or ends: that is the machine's to decide.

mod environment;
mod find;
mod phase;
mod run;
mod steps;

use std::fmt;
use std::path::PathBuf;

pub use environment::{Context, mark};
pub use find::{Found, Refused, find};
pub use phase::Phase;
pub use run::{LOG_TARGET, TRY_AGAIN, run};
pub use steps::steps;

/// An executable in the folder of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub phase: Phase,
    /// Its file's name.
    pub name: String,
    pub path: PathBuf,
}

/// `pre-drain/10-nginx`, as in the log.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.phase, self.name)
    }
}
