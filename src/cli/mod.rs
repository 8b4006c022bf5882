//! The command line: what was asked for, by whom it is done, and the exit code.

pub mod run;
