//! The log on standard error, as the real binary writes it.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::stat::fstat;
use stand_ins::folder::Folder;
use stand_ins::wait::expect;

/// A running spot-guard that finds no metadata service and no cluster, and what it writes.
struct Daemon {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
    folder: Folder,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Folder, settings: &str) -> Command {
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("config.toml"), format!("kubernetes.mode = \"off\"\n{settings}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spot-guard"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).arg("run");
    // Nothing listens on the port for discarding.
    command.args(["--imds-endpoint", "http://127.0.0.1:9"]);
    for (flag, name) in
        [("--config", "config.toml"), ("--hooks-dir", "hooks"), ("--state-dir", "s"), ("--runtime-dir", "r")]
    {
        command.arg(flag).arg(at(name));
    }
    command
}

/// `journal` tells whether `JOURNAL_STREAM` names the pipe that is standard error.
fn daemon(settings: &str, journal: bool) -> Daemon {
    let folder = Folder::new("log");
    let (reader, writer) = std::io::pipe().unwrap();
    let stat = fstat(&writer).unwrap();
    let inode = if journal { stat.st_ino } else { stat.st_ino + 1 };
    let mut command = command(&folder, settings);
    let child = command.env("JOURNAL_STREAM", format!("{}:{inode}", stat.st_dev)).stderr(writer).spawn().unwrap();
    // Its copy of the pipe must not keep this test waiting for an end that never comes.
    drop(command);
    let lines = BufReader::new(reader).lines().map_while(Result::ok);
    Daemon { child, lines: Box::new(lines), folder }
}

fn first_line(mut daemon: Daemon) -> String {
    daemon.lines.next().expect("a line of the log")
}

#[test]
fn a_person_reads_the_time_the_level_and_the_message() {
    for settings in ["", "log.format = \"text\""] {
        let line = first_line(daemon(settings, settings.contains("text")));
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{line}");
        assert!(rest.starts_with("info  spot-guard "), "{line}");
    }
}

#[test]
fn the_journal_gets_priorities_when_standard_error_is_the_journal() {
    let line = first_line(daemon("", true));
    assert!(line.starts_with("<6>spot-guard "), "{line}");
    // A broken file takes the format with it, so that the default holds.
    let line = first_line(daemon("[log]\nformat = \"jason\"", true));
    assert!(line.starts_with("<3>") && line.contains("did you mean \"json\"?"), "{line}");
}

#[test]
fn a_program_reads_one_object_a_line() {
    let daemon = daemon("log.format = \"json\"\nlog.level = \"debug\"", true);
    let line = first_line(daemon);
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    let texts: Vec<&str> = ["level", "target"].iter().map(|key| object[key].as_str().unwrap()).collect();
    assert_eq!(texts.first(), Some(&"info"));
    assert!(texts.last().unwrap().starts_with("spot_guard"), "{line}");
    assert!(object["time"].as_str().unwrap().ends_with('Z') && object["message"].is_string(), "{line}");
}

#[test]
fn a_reader_that_is_gone_does_not_end_the_daemon() {
    let folder = Folder::new("log");
    let (reader, writer) = std::io::pipe().unwrap();
    drop::<PipeReader>(reader);
    let mut command = command(&folder, "imds.poll-interval = \"200ms\"\nlog.level = \"debug\"");
    let child = command.stderr(writer).spawn().unwrap();
    let mut daemon = Daemon { child, lines: Box::new(std::iter::empty()), folder };
    let status = daemon.folder.path().join("r/status.json");
    expect("its status", Duration::from_secs(10), || status.exists().then_some(()));
    assert_eq!(daemon.child.try_wait().unwrap(), None);
}
