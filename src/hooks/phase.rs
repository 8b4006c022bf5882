//! The phases in which hooks run, each with a folder of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// When a hook runs; its folder is `<phase>.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// At first sight: tell someone.
    Notice,
    /// From first sight to the end, then TERM.
    During,
    /// At first sight; pods are asked when these are done.
    PreDrain,
    /// Stops containers on this machine itself.
    LocalDrain,
    /// When all pods are gone, or at the reserve.
    PostDrain,
    /// When the node is brought back.
    Uncordon,
}

impl Phase {
    pub const ALL: [Phase; 6] =
        [Phase::Notice, Phase::During, Phase::PreDrain, Phase::LocalDrain, Phase::PostDrain, Phase::Uncordon];

    /// The phase's name, as in its folder `<name>.d` and in a hook's first argument.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Notice => "notice",
            Phase::During => "during",
            Phase::PreDrain => "pre-drain",
            Phase::LocalDrain => "local-drain",
            Phase::PostDrain => "post-drain",
            Phase::Uncordon => "uncordon",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
