//! A node with a hook as it is installed there, and that hook as spot-guard runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stand_ins::folder::Folder;
use stand_ins::wait::expect;

use crate::root;
use crate::stand_in::{ask, programs};

/// The AWS CLI takes half a second, and many times that where all processors are busy; a hook asks it up to a dozen times.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) struct Node {
    folder: Folder,
    pub(crate) instance: String,
    environment: Vec<(&'static str, String)>,
}

impl Node {
    /// Of this instance, with a role of this policy.
    pub(crate) fn new(hook: &str, instance: &str, policy: &Value) -> Node {
        let folder = Folder::new(hook);
        let mut text = fs::read_to_string(root().join("packaging/hooks-available").join(hook)).unwrap();
        for path in ["/etc/default", "/etc/spot-guard", "/var/lib/spot-guard", "/var/tmp"] {
            fs::create_dir_all(below(&folder, path)).unwrap();
            text = text.replace(path, &below(&folder, path).display().to_string());
        }
        // What is enough for a node is not where tests keep all processors busy.
        fs::write(folder.path().join("hook"), text.replace("patience=15", "patience=60")).unwrap();

        let aws = ask(&json!({"user": policy}));
        let told = |field: &str| aws[field].as_str().unwrap().to_owned();
        let environment = vec![
            ("PATH", format!("{}:{}:/usr/bin:/bin", folder.path().display(), programs().unwrap().display())),
            ("HOME", folder.path().display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("SPOT_GUARD_RESPONSE_ID", "20261122T203343Z".to_owned()),
            ("SPOT_GUARD_INSTANCE_ID", instance.to_owned()),
            ("SPOT_GUARD_REGION", told("region")),
            ("SPOT_GUARD_SECONDS_LEFT", "300".to_owned()),
            ("SPOT_GUARD_TIMEOUT", "600".to_owned()),
            ("SPOT_GUARD_PODS_LEFT", "0".to_owned()),
            ("SPOT_GUARD_REHEARSAL", String::new()),
            // A real node has neither: there is AWS, and the instance's role.
            ("AWS_ENDPOINT_URL", told("endpoint")),
            ("AWS_ACCESS_KEY_ID", told("key")),
            ("AWS_SECRET_ACCESS_KEY", told("secret")),
        ];
        Node { folder, instance: instance.to_owned(), environment }
    }

    /// What is at this path on the node.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        below(&self.folder, path)
    }

    pub(crate) fn settings(self, text: &str) -> Node {
        fs::write(self.path("/etc/default/spot-guard-hooks"), text).unwrap();
        self
    }

    pub(crate) fn told(mut self, variable: &'static str, value: &str) -> Node {
        self.environment.retain(|(name, _)| *name != variable);
        self.environment.push((variable, value.to_owned()));
        self
    }

    /// With this text of the hook in place of another.
    pub(crate) fn rewritten(self, from: &str, to: &str) -> Node {
        let hook = self.folder.path().join("hook");
        let text = fs::read_to_string(&hook).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(hook, text.replace(from, to)).unwrap();
        self
    }

    /// A program that stands in for another one.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn start(&self, phase: &str) -> Running {
        self.start_told(phase, "")
    }

    /// With this for its standard input.
    pub(crate) fn start_told(&self, phase: &str, record: &str) -> Running {
        fs::write(self.folder.path().join("record"), record).unwrap();
        let output = |name: &str| fs::File::create(self.folder.path().join(format!("{phase}-{name}"))).unwrap();
        let child = Command::new("/bin/sh")
            .arg(self.folder.path().join("hook"))
            .arg(phase)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir("/")
            .process_group(0)
            .stdin(fs::File::open(self.folder.path().join("record")).unwrap())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap();
        Running { child, output: self.folder.path().join(phase) }
    }
}

fn below(folder: &Folder, path: &str) -> PathBuf {
    folder.path().join(Path::new(path).strip_prefix("/").unwrap())
}

/// The hook as spot-guard runs it: with a process group of its own, which ends with this at the latest.
pub(crate) struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    pub(crate) fn said(&self, stream: &str) -> String {
        fs::read_to_string(format!("{}-{stream}", self.output.display())).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Gone already is as good.
        let _ = killpg(Pid::from_raw(self.child.id().try_into().unwrap()), signal);
    }

    /// Its exit code, and all that it said.
    pub(crate) fn end(mut self, within: Duration) -> Output {
        let status = expect("the hook ends", within, || self.child.try_wait().unwrap());
        Output { status, stdout: self.said("stdout").into(), stderr: self.said("stderr").into() }
    }

    pub(crate) fn assert_done(self, said: &str) {
        let output = self.end(LONG);
        assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(0), said, ""));
    }

    /// With one line that holds all of this.
    pub(crate) fn assert_fails(self, code: i32, because: &[&str]) {
        let output = self.end(LONG);
        let line = text(&output.stderr);
        assert_eq!((output.status.code(), line.lines().count()), (Some(code), 1), "{line}");
        assert!(because.iter().all(|word| line.contains(word)), "{because:?} in {line}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
