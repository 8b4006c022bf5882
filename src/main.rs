//! Arguments → subcommand → exit code, nothing else.
#![forbid(unsafe_code)]

fn main() {}
