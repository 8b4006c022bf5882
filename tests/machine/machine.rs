//! One machine: how it is made ready, booted, looked into and removed.
#![allow(dead_code, reason = "tests and benchmarks in other folders have machines too, and none needs all of this")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use stand_ins::cluster::{Cluster, TestNode};
use stand_ins::faults::Faults;
use stand_ins::folder::Folder;
use stand_ins::imds::SPOT;
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::network::listen_in;
use stand_ins::skip::skip;

/// How long anything may take that is not about time itself. Far more than it needs, because the host may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many machines run at once: each is a boot, and a busy host makes them all slow.
static FREE: (Mutex<u32>, Condvar) = (Mutex::new(2), Condvar::new());

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Which instance a machine is, where it says so.
pub const INSTANCE: &str = "i-0123456789abcdef0";

/// Where the API server is reached on a machine.
const SERVER: &str = "127.0.0.1:6443";

/// Where kubelets have theirs.
pub const KUBECONFIG: &str = "/var/lib/kubelet/kubeconfig";

/// One of this node, for a machine.
pub fn kubeconfig(cluster: &Cluster, node: &TestNode) -> String {
    let folder = Folder::new("kubeconfig");
    let kubeconfigs = Kubeconfigs::new(cluster, &node.name, folder.path()).through(&format!("https://{SERVER}"));
    fs::read_to_string(kubeconfigs.inline()).unwrap()
}

/// What lies on a machine before it is booted.
pub struct Plan {
    dir: PathBuf,
    name: String,
    archive: PathBuf,
    options: &'static [&'static str],
    /// Of spot-guard; empty where the machine has none.
    binary: PathBuf,
}

/// A machine that runs. When this is dropped, or the process ends in whatever way, nothing is left of it.
pub struct Machine {
    dir: PathBuf,
    /// The machine's first process, as the host numbers it.
    first_process: String,
    /// Removes the machine when its standard input ends, and boots it once more at each line.
    boot: Child,
    /// What that says.
    said: BufReader<ChildStdout>,
    _turn: Turn,
}

/// The plan of a machine; `None`, after having said so, where none can be had.
pub fn plan() -> Option<Plan> {
    plan_on("SPOT_GUARD_TEST_MACHINE")
}

/// The same, of a machine whose root is the archive that this variable names.
pub fn plan_on(variable: &str) -> Option<Plan> {
    let Some(archive) = std::env::var_os(variable) else {
        skip(&format!("{variable} names no archive of a machine's root; `make test`, run by root, makes one"));
        return None;
    };
    let own = PathBuf::from(env!("CARGO_BIN_EXE_spot-guard"));
    let binary = std::env::var_os("SPOT_GUARD_TEST_BINARY").map_or(own, PathBuf::from);
    let name = format!("sg{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(format!("spot-guard-{name}"));
    fs::create_dir_all(dir.join("items")).unwrap();
    Some(Plan { dir, name, archive: archive.into(), options: &[], binary })
}

impl Plan {
    /// Puts a file with `mode` at `path`.
    pub fn file(self, path: &str, mode: u32, text: &str) -> Plan {
        let path = self.dir.join("files").join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Puts a hook at `name` (`pre-drain.d/10-example`) whose script is `script`.
    pub fn hook(self, name: &str, script: &str) -> Plan {
        self.file(&format!("/etc/spot-guard/hooks/{name}"), 0o755, &format!("#!/bin/sh\n{script}\n"))
    }

    /// Links `target` of the machine at `path`.
    pub fn link(self, path: &str, target: &str) -> Plan {
        let path = self.dir.join("files").join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    /// Has the metadata service serve `body` at `path` (below `/latest/`).
    pub fn item(self, path: &str, body: &str) -> Plan {
        put_item(&self.dir, path, body);
        self
    }

    /// Without spot-guard.
    pub fn bare(self) -> Plan {
        Plan { binary: PathBuf::new(), ..self }
    }

    /// Has the machine find this file at `http://127.0.0.1:8000/NAME`.
    pub fn served(self, file: &Path) -> Plan {
        let served = self.dir.join("served");
        fs::create_dir_all(&served).unwrap();
        fs::copy(file, served.join(file.file_name().unwrap())).unwrap();
        self
    }

    /// Lays a drop-in with `settings` over the unit's `[Service]`.
    pub fn drop_in(self, settings: &str) -> Plan {
        self.file("/etc/systemd/system/spot-guard.service.d/test.conf", 0o644, &format!("[Service]\n{settings}\n"))
    }

    /// Lets containers run on the machine.
    pub fn with_containers(mut self) -> Plan {
        self.options = &["--capability=all", "--system-call-filter=@keyring", "--system-call-filter=bpf"];
        self
    }

    /// Boots the machine and waits until it is up.
    pub fn boot(self) -> Machine {
        let turn = Turn::take();
        let imds = Path::new(env!("CARGO_BIN_EXE_spot-guard")).with_file_name("imds-stand-in");
        assert!(imds.exists(), "{} is missing: cargo build --workspace --bins", imds.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/boot");
        let mut boot = Command::new(script)
            .arg(&self.name)
            .args([&self.dir, &self.archive, &self.binary, &imds])
            .args(self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(boot.stdout.take().unwrap());
        let mut machine = Machine { dir: self.dir, first_process: String::new(), boot, said, _turn: turn };
        machine.wait_up();
        machine
    }
}

impl Machine {
    /// Boots it once more, after it has gone off or rebooted by itself: the disk is the same, the boot id another, which
    /// nspawn makes up for each boot.
    pub fn boot_again(&mut self) {
        self.wait_for("the machine's end", || self.is_off());
        writeln!(self.boot.stdin.as_mut().unwrap(), "boot").unwrap();
        self.wait_up();
    }

    fn wait_up(&mut self) {
        let mut said = String::new();
        self.said.read_line(&mut said).unwrap();
        said.strip_prefix("up ").expect("the machine did not boot").trim().clone_into(&mut self.first_process);
        self.wait_for("the end of the boot", || {
            ["running", "degraded"].contains(&self.says(&["systemctl", "is-system-running"]).trim())
        });
    }

    /// Lets the API server at `upstream` be reached on the machine, where its kubeconfig says, for as long as what is given
    /// back is kept.
    pub fn reaches(&self, upstream: &str) -> Faults {
        Faults::on(listen_in(&self.network(), SERVER), upstream)
    }

    /// The machine's network namespace.
    pub fn network(&self) -> fs::File {
        fs::File::open(format!("/proc/{}/ns/net", self.first_process)).unwrap()
    }

    /// Has the metadata service serve `body` at `path` (below `/latest/`) from now on.
    pub fn serve(&self, path: &str, body: &str) {
        put_item(&self.dir, path, body);
    }

    /// What `command` writes on the machine to standard output, whatever it exits with.
    pub fn says(&self, command: &[&str]) -> String {
        let output = self.command(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A program of the host's, in the machine's network.
    pub fn beside(&self, program: &str) -> Command {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.first_process, "--net", "--", program]).stdin(Stdio::null());
        enter
    }

    /// Runs `command` on the machine; it must succeed.
    pub fn run(&self, command: &[&str]) {
        let output = self.command(command).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {}: {told}", output.status);
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.first_process, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
        enter.args(command).stdin(Stdio::null());
        enter
    }

    /// A property of spot-guard's unit.
    pub fn unit(&self, property: &str) -> String {
        let property = format!("--property={property}");
        self.says(&["systemctl", "show", "--value", &property, "spot-guard"]).trim().to_owned()
    }

    /// The journal of spot-guard's unit, messages only. It can still be read when the machine is off.
    pub fn journal(&self) -> String {
        let journal = self.path("/var/log/journal");
        let output = Command::new("journalctl")
            .args(["--quiet", "--no-pager", "--unit=spot-guard", "--output=cat", "--directory"])
            .arg(journal)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where the host sees `path` of the machine.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join("root").join(path.trim_start_matches('/'))
    }

    /// What is in a file of the machine; nothing where it is not there.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Writes a file of the machine anew.
    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Makes an empty file on the machine.
    pub fn touch(&self, path: &str) {
        fs::write(self.path(path), "").unwrap();
    }

    pub fn wait_for_file(&self, path: &str) {
        self.wait_for(path, || self.path(path).exists());
    }

    /// Lets the metadata service announce the instance's termination.
    pub fn interrupt(&self, left: Duration) {
        let time = in_whole_seconds(SystemTime::now() + left);
        self.serve(SPOT, &format!(r#"{{"action":"terminate","time":"{time}"}}"#));
    }

    /// The records on the machine, the oldest first.
    pub fn records(&self) -> Vec<Value> {
        let folder = self.path("/var/lib/spot-guard/responses");
        let entries = fs::read_dir(folder).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
        let mut paths: Vec<PathBuf> = entries.unwrap_or_default();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }

    /// What the first response came to; nothing while it runs.
    pub fn outcome(&self) -> Option<String> {
        self.records().first()?["outcome"].as_str().map(str::to_owned)
    }

    /// Waits until `seen`; `what` names it where it does not come.
    pub fn wait_for(&self, what: &str, seen: impl Fn() -> bool) {
        let began = Instant::now();
        while !seen() {
            assert!(began.elapsed() < PATIENCE, "{what} did not come; the journal says:\n{}", self.journal());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until `seen`, which must take `most` at the most, and gives back how long it took.
    pub fn wait_at_most(&self, most: Duration, what: &str, seen: impl Fn() -> bool) -> Duration {
        let began = Instant::now();
        self.wait_for(what, seen);
        let took = began.elapsed();
        assert!(took <= most, "{what} took {took:?}; the journal says:\n{}", self.journal());
        took
    }

    /// Whether the machine is off.
    pub fn is_off(&self) -> bool {
        !Path::new("/proc").join(&self.first_process).exists()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.boot.stdin.take());
        let _ = self.boot.wait();
    }
}

/// The right to run a machine.
struct Turn;

impl Turn {
    fn take() -> Turn {
        let (free, freed) = &FREE;
        let mut free = freed.wait_while(free.lock().unwrap(), |free| *free == 0).unwrap();
        *free -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (free, freed) = &FREE;
        *free.lock().unwrap() += 1;
        freed.notify_one();
    }
}

/// Puts an item in place as a whole: it is read at each request.
fn put_item(dir: &Path, path: &str, body: &str) {
    let item = dir.join("items").join(path);
    fs::create_dir_all(item.parent().unwrap()).unwrap();
    let new = item.with_extension("new");
    fs::write(&new, body).unwrap();
    fs::rename(new, item).unwrap();
}

/// RFC 3339 in whole seconds, as the metadata service writes it.
pub fn in_whole_seconds(time: SystemTime) -> String {
    let text = spot_guard::moment::Timestamp::from(time).to_string();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}
