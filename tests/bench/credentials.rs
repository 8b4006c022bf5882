//! What the programs cost that write tokens for EKS, as a kubeconfig's plugin on a node: memory, processor time, files;
//! `make credentials` runs it, as root.
//!
//! The role's credentials come from a stand-in of the metadata service, as on a node; no other service is asked.
#![forbid(unsafe_code)]

#[path = "side_by_side/machine.rs"]
mod machine;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde_json::{Value, json};
use stand_ins::folder::Folder;
use stand_ins::imds::Imds;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// From one run to the next: a token of EKS is good for 14 minutes and renewed two and a half before its end.
const RENEWED_AFTER: Duration = Duration::from_secs(14 * 60 - 150);

/// The first argument with which this program runs what follows it, and says what that took.
const ALONE: &str = "alone";

/// What one run took.
struct Run {
    /// The most resident memory of its largest process, in MiB.
    memory: f64,
    /// Seconds of a processor.
    processor: f64,
    /// Seconds.
    took: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == ALONE) {
        return run_alone(&arguments[1..]);
    }
    let runs = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(10);
    let imds = imds_with_a_role();
    let mut report = format!("# The cost of a token\n\n{}\n", machine::describe());
    report += &format!(
        "Medians of {runs} runs each, after one that is not counted. A day: one run in {} s.\n\n\
         | program | memory, MiB | processor, s | took, s | files looked for | runs a day | processor a day, s |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
        RENEWED_AFTER.as_secs()
    );
    for (name, command) in programs() {
        run(&command, &imds);
        let measured: Vec<Run> = (0..runs).map(|_| run(&command, &imds)).collect();
        let of = |value: fn(&Run) -> f64| median(measured.iter().map(value).collect());
        let a_day = DAY.as_secs_f64() / RENEWED_AFTER.as_secs_f64();
        let files = files_looked_for(&command, &imds).map_or("–".to_owned(), |count| count.to_string());
        report += &format!(
            "| {name} | {:.0} | {:.2} | {:.2} | {files} | {a_day:.0} | {:.0} |\n",
            of(|run| run.memory),
            of(|run| run.processor),
            of(|run| run.took),
            of(|run| run.processor) * a_day
        );
    }
    print!("{report}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    fs::create_dir_all(&folder).expect("make the report's folder");
    fs::write(folder.join("credentials.md"), report).expect("write the report");
}

/// What each is called, and how a kubeconfig names it.
fn programs() -> [(String, Vec<String>); 3] {
    let folder = |variable: &str| std::env::var(variable).unwrap_or_else(|_| panic!("{variable} names no folder"));
    let (aws, plugins) = (folder("SPOT_GUARD_TEST_AWS"), folder("SPOT_GUARD_TEST_PLUGINS"));
    let debian = ["chroot".to_owned(), format!("{plugins}/debian"), "/usr/bin/aws".to_owned()];
    let get_token = ["eks", "get-token", "--cluster-name", "test", "--region", "eu-west-1"].map(str::to_owned);
    let authenticator = [&format!("{plugins}/aws-iam-authenticator"), "token", "-i", "test"].map(str::to_owned);
    let version = |command: &[String]| {
        let output = Command::new(&command[0]).args(&command[1..]).arg("--version").output().expect("a version");
        String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().replace('/', " ")
    };
    let first = [format!("{aws}/bin/aws")];
    [
        (format!("`aws eks get-token`, {} of PyPI", version(&first)), [&first[..], &get_token].concat()),
        (format!("`aws eks get-token`, {} of Debian", version(&debian)), [&debian[..], &get_token].concat()),
        ("`aws-iam-authenticator token`".to_owned(), authenticator.to_vec()),
    ]
}

/// Credentials of a role as a node is given them.
fn imds_with_a_role() -> Imds {
    let imds = Imds::on_loopback();
    let credentials = json!({"Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC",
        "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "s".repeat(40), "Token": "t".repeat(900),
        "Expiration": "2100-01-01T00:00:00Z"});
    imds.set("meta-data/iam/security-credentials/", "node");
    imds.set("meta-data/iam/security-credentials/node", &credentials.to_string());
    imds
}

/// As spot-guard runs it: no terminal, nothing of a user's configuration.
fn plugin(program: &str, imds: &Imds) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nonexistent");
    command.env("AWS_REGION", "eu-west-1").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("{}/", imds.endpoint()));
    command.stdin(Stdio::null());
    command
}

/// Runs it as the only child of a process, as the kernel adds up what all children took.
fn run(command: &[String], imds: &Imds) -> Run {
    let own = std::env::current_exe().expect("this program");
    let mut alone = plugin(own.to_str().expect("a path of text"), imds);
    let output = alone.arg(ALONE).args(command).stderr(Stdio::inherit()).output().expect("run this program");
    let said: Value = serde_json::from_slice(&output.stdout).expect("what it took");
    let number = |name: &str| said[name].as_f64().expect("a number");
    Run { memory: number("memory"), processor: number("processor"), took: number("took") }
}

fn run_alone(command: &[String]) {
    let began = Instant::now();
    let output = Command::new(&command[0]).args(&command[1..]).stderr(Stdio::inherit()).output().expect("start it");
    let took = began.elapsed();
    let credential: Value = serde_json::from_slice(&output.stdout).expect("an ExecCredential");
    assert!(credential["status"]["token"].as_str().is_some_and(|token| token.starts_with("k8s-aws-v1.")));
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("what the child took");
    let took =
        json!({"memory": usage.max_rss() as f64 / 1024.0, "processor": seconds(&usage), "took": took.as_secs_f64()});
    println!("{took}");
}

fn seconds(usage: &Usage) -> f64 {
    let of = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    of(usage.user_time()) + of(usage.system_time())
}

/// How often it opens a file or looks whether there is one; `None` where there is no strace.
fn files_looked_for(command: &[String], imds: &Imds) -> Option<usize> {
    let folder = Folder::new("strace");
    let calls = folder.path().join("calls");
    let mut strace = plugin("strace", imds);
    strace.args(["-f", "-qq", "-e", "trace=%file", "-o"]).arg(&calls).args(command);
    strace.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(fs::read_to_string(calls).ok()?.lines().count())
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
