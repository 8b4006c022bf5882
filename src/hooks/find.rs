//! Which hooks there are, and which of them may run.

use std::path::PathBuf;

use crate::hooks::{Hook, Phase};

/// What lies in the hook folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// By phase, then by name.
    pub hooks: Vec<Hook>,
    pub refused: Vec<Refused>,
}

impl Found {
    /// The hooks of one phase, by name.
    pub fn of(&self, phase: Phase) -> Vec<Hook> {
        self.hooks.iter().filter(|hook| hook.phase == phase).cloned().collect()
    }
}

/// A file in a hook folder that will not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub phase: Phase,
    pub name: String,
    pub path: PathBuf,
    /// Why, and what to do about it; for a person.
    pub reason: String,
}

/// Looks into the folders (each may hold `<phase>.d` folders; a name in an earlier one hides the same name in a later
/// one).
pub fn find(_folders: &[PathBuf]) -> Found {
    Found::default()
}
