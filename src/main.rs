//! Arguments → subcommand → exit code, nothing else.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    spot_guard::cli::main(std::env::args_os().skip(1), std::env::vars_os())
}
