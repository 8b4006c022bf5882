//! The configuration: fragments as written, merged, and validated into [`Settings`].
//!
//! Knows where settings are written and what each may be. Nothing here acts on them.

pub mod selector;
mod settings;

use std::path::PathBuf;

pub use settings::*;

/// Where settings are looked for, later ones winning: files, then the environment, then flags.
#[derive(Clone, Debug)]
pub struct Sources {
    pub files: Files,
    /// Variables of the environment; all but `SPOT_GUARD_CONFIG_*` and `AWS_EC2_METADATA_*` are passed over.
    pub environment: Vec<(String, String)>,
    pub flags: Flags,
}

/// Which files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// The usual places, below this root (`/`).
    Places(PathBuf),
    /// This file instead of the usual places.
    One(PathBuf),
}

/// What the command line sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Flags that stand for a setting, without the dashes, each with its value as written.
    pub settings: Vec<(&'static str, String)>,
    /// Instead of the two folders of hooks.
    pub hooks: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub runtime: Option<PathBuf>,
    pub dry_run: bool,
}
