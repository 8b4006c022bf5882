//! What spot-guard shows of itself.

pub mod log;
pub mod metrics;
pub mod status;
pub mod textfile;
