//! Hooks: local executables that run in the phases of a response.

mod phase;

pub use phase::Phase;
