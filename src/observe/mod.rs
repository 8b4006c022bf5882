//! What spot-guard shows of itself.

pub mod log;
pub mod status;
