//! The arguments: options that every command takes, before or after it, and the commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use argh::{ArgsInfo, FromArgs};

use super::definition;
use super::help::{help, list};
use super::sort::{Sorted, Wrong, sort, what_to_do};
use crate::config::{Files, Flags, Sources};

/// What the arguments ask for.
pub enum Asked {
    Command(Command, Box<Sources>),
    /// A text for standard output: help, or the version.
    Answer(String),
    /// What is wrong with them, on one line with what to do; then perhaps more.
    Wrong(String),
}

/// Makes an EC2 Spot interruption harmless: cordons the node, drains its pods in the time that is left, runs hooks and
/// keeps a record. Options may stand before or after the command, as --name VALUE or --name=VALUE.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    example = "spot-guard config --check",
    example = "spot-guard drain --window 10m --reason 'new kernel'",
    note = "spot-guard COMMAND --help tells more of a command, man spot-guard of all of them.",
    note = "Ends with 0 when done, with 1 when it failed, with 2 for wrong usage or configuration."
)]
pub struct Arguments {
    /// read this file instead of the folders below /usr/lib, /etc and /run
    #[argh(option, arg_name = "FILE")]
    config: Option<String>,
    /// the kubeconfig to use
    #[argh(option, arg_name = "FILE")]
    kubeconfig: Option<String>,
    /// the name of this machine's Node
    #[argh(option, arg_name = "NAME")]
    node_name: Option<String>,
    /// the metadata service, http://HOST[:PORT]
    #[argh(option, arg_name = "URL")]
    imds_endpoint: Option<String>,
    /// the folder of <phase>.d folders, instead of /etc/spot-guard/hooks and /usr/lib/spot-guard/hooks
    #[argh(option, arg_name = "DIR")]
    hooks_dir: Option<String>,
    /// what must outlive a reboot (/var/lib/spot-guard)
    #[argh(option, arg_name = "DIR")]
    state_dir: Option<String>,
    /// what goes with a reboot (/run/spot-guard)
    #[argh(option, arg_name = "DIR")]
    runtime_dir: Option<String>,
    /// error, warn, info or debug
    #[argh(option, arg_name = "LEVEL")]
    log_level: Option<String>,
    /// change nothing: ask the API server for dry runs, name hooks and do not run them
    #[argh(switch)]
    dry_run: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum Command {
    Run(RunCommand),
    Check(CheckCommand),
    Drain(DrainCommand),
    Uncordon(UncordonCommand),
    Rehearse(RehearseCommand),
    Status(StatusCommand),
    Report(ReportCommand),
    Config(ConfigCommand),
    Completions(CompletionsCommand),
}

/// The daemon: waits for a notice and responds to it. What the systemd unit starts.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "run", example = "spot-guard run", example = "spot-guard run --dry-run --log-level debug")]
pub struct RunCommand {}

/// Is this machine ready for a notice? Makes each check of what a response needs, and changes nothing.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "check",
    example = "spot-guard check",
    note = "Ends with 1 when a check has failed; with 0 when all is well or there are only warnings."
)]
pub struct CheckCommand {
    /// only what can be true in an image that is being built: no metadata service, no cluster
    #[argh(switch)]
    pub image: bool,
    /// print an array of objects for a script
    #[argh(switch)]
    pub json: bool,
}

/// Respond as if there were a notice, and wait for the end. The daemon does it, or where none runs this process. The
/// settings of responses.by-hand decide; as they are, disruption budgets are not passed over.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "drain",
    example = "spot-guard drain --window 10m --reason 'new kernel'",
    example = "spot-guard drain --until 2026-11-22T20:33:43Z --no-wait",
    example = "spot-guard drain --notice spot-interruption",
    note = "Ends with 0 when every pod that was to stop is gone, with 1 when not."
)]
pub struct DrainCommand {
    /// how long it may take, such as 90s or 10m, at most 24h (the window of the settings)
    #[argh(option, arg_name = "TIME")]
    pub window: Option<String>,
    /// by when all must be done, such as 2026-11-22T20:33:43Z; instead of --window
    #[argh(option, arg_name = "TIME")]
    pub until: Option<String>,
    /// from when the window counts, such as 2026-11-22T20:31:43Z (now)
    #[argh(option, arg_name = "TIME")]
    pub since: Option<String>,
    /// the kind of notice whose settings decide, such as spot-interruption (by-hand)
    #[argh(option, arg_name = "KIND")]
    pub notice: Option<String>,
    /// why, for the journal
    #[argh(option, arg_name = "TEXT")]
    pub reason: Option<String>,
    /// end when it has begun; only with a daemon
    #[argh(switch)]
    pub no_wait: bool,
}

/// Undo what spot-guard did to the node, and only that, and wait for the end. The daemon does it, or where none runs
/// this process.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "uncordon", example = "spot-guard uncordon")]
pub struct UncordonCommand {}

/// What a notice now would do, with nothing changed: the API server is asked for dry runs, hooks are named and not run.
/// Beside a daemon or without one.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "rehearse",
    example = "spot-guard rehearse --notice spot-interruption --window 90s",
    note = "Ends with 0 when every pod that is to stop would do so gracefully at worst, with 1 when not."
)]
pub struct RehearseCommand {
    /// the kind of notice (spot-interruption)
    #[argh(option, arg_name = "KIND")]
    pub notice: Option<String>,
    /// how long until the deadline, such as 90s or 10m (as the settings say; of a Spot interruption 2m)
    #[argh(option, arg_name = "TIME")]
    pub window: Option<String>,
    /// print the plan as one JSON object
    #[argh(switch)]
    pub json: bool,
    /// run the hooks, each told that it is a rehearsal by SPOT_GUARD_REHEARSAL=1
    #[argh(switch)]
    pub run_hooks: bool,
}

/// What the daemon sees and is doing: is this machine protected, is there a notice, how does the response go? Without a
/// daemon: what the last one said.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "status",
    example = "spot-guard status --watch",
    note = "Ends with 0 when a daemon has answered, with 1 when none runs."
)]
pub struct StatusCommand {
    /// as status.json has it
    #[argh(switch)]
    pub json: bool,
    /// as node_exporter has them, in Prometheus's text format
    #[argh(switch)]
    pub metrics: bool,
    /// go on until interrupted, redrawn in place on a terminal
    #[argh(switch)]
    pub watch: bool,
}

/// Tell what became of past responses: of the newest in full, of those before it in a line each. Only reads the records;
/// --state-dir names a folder that was copied from another machine.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "report",
    example = "spot-guard report --html report.html",
    example = "spot-guard report --state-dir ./copied 20261122T203343Z"
)]
pub struct ReportCommand {
    /// all responses in full
    #[argh(switch)]
    pub all: bool,
    /// the records as they are on disk, in one array, the oldest first
    #[argh(switch)]
    pub json: bool,
    /// a page for a browser that needs nothing beside itself, in this file; - for standard output
    #[argh(option, arg_name = "FILE")]
    pub html: Option<String>,
    /// the id of a response, or how it begins (the newest)
    #[argh(positional, arg_name = "ID")]
    pub id: Option<String>,
}

/// Print the effective settings, each with where it came from.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "config",
    example = "spot-guard config",
    example = "spot-guard config --check",
    example = "spot-guard config --check /etc/spot-guard/config.toml"
)]
pub struct ConfigCommand {
    /// only say what is wrong; with FILE in these files alone
    #[argh(switch)]
    pub check: bool,
    /// files to check
    #[argh(positional, arg_name = "FILE")]
    pub files: Vec<String>,
}

/// Print a shell's completions of commands, options and values. make install and packages install them.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "completions",
    example = "source <(spot-guard completions bash)",
    example = "spot-guard completions fish >~/.config/fish/completions/spot-guard.fish"
)]
pub struct CompletionsCommand {
    /// bash, zsh or fish
    #[argh(positional, arg_name = "SHELL")]
    pub shell: String,
}

/// Reads the arguments, without the program's name, and gathers where settings come from.
pub fn read(
    arguments: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Asked {
    let mut written = Vec::new();
    for argument in arguments {
        match argument.into_string() {
            Ok(argument) => written.push(argument),
            Err(argument) => return Asked::Wrong(format!("{argument:?} is no UTF-8")),
        }
    }
    let program = definition::program();
    let nothing = written.is_empty();
    let sorted = match sort(&written, &program) {
        Ok(Sorted::Arguments(sorted)) => sorted,
        Ok(Sorted::Help(command)) => return Asked::Answer(help(&program, command)),
        Ok(Sorted::Version) => return Asked::Answer(format!("spot-guard {}\n", env!("CARGO_PKG_VERSION"))),
        Err(wrong) if nothing => return Asked::Wrong(format!("{}\n\n{}", what_to_do(&wrong), list(&program))),
        Err(wrong) => return Asked::Wrong(what_to_do(&wrong)),
    };
    let sorted: Vec<&str> = sorted.iter().map(String::as_str).collect();
    let refused = |what: String, command| Asked::Wrong(what_to_do(&Wrong { what, command }));
    let mut asked = match Arguments::from_args(&["spot-guard"], &sorted) {
        Ok(asked) => asked,
        Err(early) => return refused(early.output.split_whitespace().collect::<Vec<_>>().join(" "), None),
    };
    match asked.command.take() {
        Some(command) => match sources(asked, environment) {
            Ok(sources) => Asked::Command(command, Box::new(sources)),
            Err(wrong) => refused(wrong, None),
        },
        None => refused("spot-guard needs a command".to_owned(), None),
    }
}

fn sources(asked: Arguments, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Sources, String> {
    let folder = |name, path: Option<String>| path.map(|path| absolute(name, &path)).transpose();
    let files = match folder("config", asked.config)? {
        Some(file) => Files::One(file),
        None => Files::Places(PathBuf::from("/")),
    };
    let kubeconfig = folder("kubeconfig", asked.kubeconfig)?.map(|path| path.to_string_lossy().into_owned());
    let settings = [
        ("kubeconfig", kubeconfig),
        ("node-name", asked.node_name),
        ("imds-endpoint", asked.imds_endpoint),
        ("log-level", asked.log_level),
    ];
    let flags = Flags {
        settings: settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        hooks: folder("hooks-dir", asked.hooks_dir)?,
        state: folder("state-dir", asked.state_dir)?,
        runtime: folder("runtime-dir", asked.runtime_dir)?,
        dry_run: asked.dry_run,
    };
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let environment = environment.map(|(name, value)| (text(name), text(value))).collect();
    match flags.problems().first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(Sources { files, environment, flags }),
    }
}

fn absolute(name: &str, path: &str) -> Result<PathBuf, String> {
    std::path::absolute(Path::new(path)).map_err(|e| format!("--{name} {path:?}: {e}"))
}
