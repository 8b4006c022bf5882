//! The hook `asg-lifecycle`, with the real AWS CLI, beside moto in AWS's place. moto does not know the two calls that
//! matter most, so `tests/aws/stand-in.py` adds them. The policy of `docs/shipped-hooks.md` is enforced.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stand_ins::folder::Folder;
use stand_ins::skip::skip;
use stand_ins::wait::expect;

const SETTINGS: &str = "/etc/default/spot-guard-hooks";

/// The AWS CLI takes half a second, and several times that where all processors are busy.
const LONG: Duration = Duration::from_secs(60);

/// The stand-in of all tests here. It ends when this process does: that is the end of its input.
static AWS: LazyLock<Mutex<(Child, BufReader<ChildStdout>)>> = LazyLock::new(|| {
    let mut child = Command::new(programs().unwrap().join("python"))
        .arg(root().join("tests/aws/stand-in.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = BufReader::new(child.stdout.take().unwrap());
    Mutex::new((child, answers))
});

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `aws` is, and a `python` that has moto.
fn programs() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("SPOT_GUARD_TEST_AWS")?).join("bin"))
}

fn is_skipped() -> bool {
    let is_missing = programs().is_none();
    if is_missing {
        skip("SPOT_GUARD_TEST_AWS names no folder made by tests/aws/programs");
    }
    is_missing
}

fn ask_stand_in(request: &Value) -> Value {
    // A test that failed in the middle of this has failed the others too.
    let mut aws = AWS.lock().unwrap();
    writeln!(aws.0.stdin.as_ref().unwrap(), "{request}").unwrap();
    let mut answer = String::new();
    aws.1.read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer:?}: {error}"))
}

/// The policy of `docs/shipped-hooks.md` for a group of this name.
fn documented_policy(group: &str) -> Value {
    let page = fs::read_to_string(root().join("docs/shipped-hooks.md")).unwrap();
    let (_, policy) = page.split_once("```json\n").unwrap();
    let policy = policy.split("```").next().unwrap().replace("NAME", group);
    serde_json::from_str(&policy).unwrap()
}

/// An instance of an Auto Scaling group whose termination waits, and the hook as it is installed there.
struct Node {
    folder: Folder,
    aws: Value,
    environment: Vec<(&'static str, String)>,
}

impl Node {
    /// `lifecycle_hooks`: each with its heartbeat timeout in seconds. So many calls are refused, as if none waited yet.
    fn with(group: &str, lifecycle_hooks: &Value, policy: &Value, refuses: u32) -> Node {
        let aws = ask_stand_in(&json!({
            "group": {"name": group, "hooks": lifecycle_hooks, "policy": policy, "refuses": refuses},
        }));
        let folder = Folder::new("asg-lifecycle");
        let text = fs::read_to_string(root().join("packaging/hooks-available/asg-lifecycle")).unwrap();
        assert!(text.contains(SETTINGS));
        let text = text.replace(SETTINGS, &folder.path().join("settings").display().to_string());
        fs::write(folder.path().join("hook"), text).unwrap();

        let told = |field: &str| aws[field].as_str().unwrap().to_owned();
        let environment = vec![
            ("PATH", format!("{}:/usr/bin:/bin", programs().unwrap().display())),
            ("HOME", folder.path().display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("SPOT_GUARD_NOTICE", "autoscaling-termination".to_owned()),
            ("SPOT_GUARD_INSTANCE_ID", told("instance")),
            ("SPOT_GUARD_REGION", told("region")),
            ("SPOT_GUARD_SECONDS_LEFT", "300".to_owned()),
            ("SPOT_GUARD_PODS_LEFT", "0".to_owned()),
            // A real node has neither: there is AWS, and the instance's role.
            ("AWS_ENDPOINT_URL", told("endpoint")),
            ("AWS_ACCESS_KEY_ID", told("key")),
            ("AWS_SECRET_ACCESS_KEY", told("secret")),
        ];
        Node { folder, aws, environment }
    }

    /// With the policy of the documentation and one lifecycle hook that waits.
    fn new(group: &str) -> Node {
        Node::with(group, &json!({"drain": 330}), &documented_policy(group), 0)
    }

    fn settings(self, text: &str) -> Node {
        fs::write(self.folder.path().join("settings"), text).unwrap();
        self
    }

    fn told(mut self, variable: &'static str, value: &str) -> Node {
        self.environment.retain(|(name, _)| *name != variable);
        self.environment.push((variable, value.to_owned()));
        self
    }

    fn start(&self, phase: &str) -> Running {
        let output = |name: &str| fs::File::create(self.folder.path().join(format!("{phase}-{name}"))).unwrap();
        let child = Command::new("/bin/sh")
            .arg(self.folder.path().join("hook"))
            .arg(phase)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap();
        Running { child, output: self.folder.path().join(phase) }
    }

    /// What was done to its lifecycle actions: seconds, what, the lifecycle hook, the result.
    fn calls(&self) -> Vec<(f64, String)> {
        let calls = ask_stand_in(&json!({"calls": self.aws["instance"]}));
        let one = |call: &Value| {
            let words = call.as_array().unwrap()[1..].iter().filter_map(Value::as_str);
            (call[0].as_f64().unwrap(), words.collect::<Vec<_>>().join(" "))
        };
        calls.as_array().unwrap().iter().map(one).collect()
    }

    fn done(&self) -> Vec<String> {
        self.calls().into_iter().map(|(_, call)| call).collect()
    }
}

/// The hook as spot-guard runs it: with a process group of its own, which ends with this at the latest.
struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    fn said(&self, stream: &str) -> String {
        fs::read_to_string(format!("{}-{stream}", self.output.display())).unwrap()
    }

    fn signal(&self, signal: Signal) {
        // Gone already is as good.
        let _ = killpg(Pid::from_raw(self.child.id().try_into().unwrap()), signal);
    }

    /// Its exit code, and all that it said.
    fn end(mut self, within: Duration) -> Output {
        let status = expect("the hook ends", within, || self.child.try_wait().unwrap());
        Output { status, stdout: self.said("stdout").into(), stderr: self.said("stderr").into() }
    }

    fn assert_done(self, said: &str) {
        let output = self.end(LONG);
        assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(0), said, ""));
    }

    /// With one line that holds all of this.
    fn assert_fails(self, code: i32, because: &[&str]) {
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

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_termination_is_kept_alive_until_term_and_completed_at_the_end() {
    if is_skipped() {
        return;
    }
    let node = Node::new("kept alive").settings("ASG_HEARTBEAT=1\n");
    let during = node.start("during");
    expect("three heartbeats", LONG, || (node.calls().len() >= 3).then_some(()));
    assert_eq!(during.said("stdout"), "a heartbeat every 1 s for drain of group kept alive\n");

    during.signal(Signal::SIGTERM);
    let said = during.end(Duration::from_secs(1));
    assert_eq!(text(&said.stderr), "");
    let calls = node.calls();
    assert!(calls.iter().all(|(_, call)| call == "heartbeat drain"), "{calls:?}");
    assert!(calls.windows(2).all(|two| two[1].0 - two[0].0 >= 1.0), "{calls:?}");

    node.start("post-drain").assert_done("completed drain of group kept alive\n");
    let after = node.done();
    assert_eq!(&after[calls.len()..], ["complete drain CONTINUE"]);
}

#[test]
fn all_lifecycle_hooks_for_terminations_are_meant_or_the_one_that_is_named() {
    if is_skipped() {
        return;
    }
    let timeouts = json!({"drain": 330, "backup": 48});
    let node = Node::with("two hooks", &timeouts, &documented_policy("two hooks"), 0);
    let during = node.start("during");
    let line = expect("heartbeats", LONG, || during.said("stdout").lines().next().map(str::to_owned));
    assert_eq!(line, "a heartbeat every 24 s for backup drain of group two hooks");
    assert_eq!(node.done(), ["heartbeat backup", "heartbeat drain"]);

    let node = node.settings("ASG_LIFECYCLE_HOOK=drain\n");
    node.start("post-drain").assert_done("completed drain of group two hooks\n");
    assert_eq!(node.done()[2..], ["complete drain CONTINUE"]);

    // That one of them is over keeps nothing from the other.
    let node = node.settings("ASG_LIFECYCLE_HOOK=\n");
    let said = node.start("post-drain").end(LONG);
    assert_eq!((said.status.code(), text(&said.stdout)), (Some(0), "completed backup of group two hooks\n"));
    assert_eq!(node.done()[3..], ["complete backup CONTINUE"]);
}

#[test]
fn other_notices_are_none_of_its_business() {
    if is_skipped() {
        return;
    }
    // Without the AWS CLI it would fail if it wanted to do anything.
    let mut node = Node::new("other notices").told("PATH", "/nowhere");
    for notice in ["spot-interruption", "maintenance", "rebalance-recommendation", "by-hand"] {
        node = node.told("SPOT_GUARD_NOTICE", notice);
        node.start("during").assert_done("");
        node.start("post-drain").assert_done("");
    }
    assert_eq!(node.done(), Vec::<String>::new());
}

#[test]
fn a_rehearsal_only_looks_whether_it_could() {
    if is_skipped() {
        return;
    }
    let node = Node::new("rehearsed").told("SPOT_GUARD_REHEARSAL", "1");
    for phase in ["during", "post-drain"] {
        node.start(phase).assert_done("a rehearsal: nothing is asked of drain of group rehearsed\n");
    }
    assert_eq!(node.done(), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_told_in_one_line() {
    if is_skipped() {
        return;
    }
    let node = Node::new("no CLI").told("PATH", "/nowhere");
    node.start("during").assert_fails(1, &["needs the AWS CLI", "/nowhere"]);
    node.start("post-drain").assert_fails(1, &["needs the AWS CLI"]);

    // Each action of the policy is needed: without one of them it fails, and says which.
    for (phase, action) in [
        ("during", "DescribeAutoScalingInstances"),
        ("during", "DescribeLifecycleHooks"),
        ("during", "RecordLifecycleActionHeartbeat"),
        ("post-drain", "CompleteLifecycleAction"),
    ] {
        let name = format!("no {action}");
        let policy = documented_policy(&name).to_string().replace(&format!(":{action}"), ":Nothing");
        let node = Node::with(&name, &json!({"drain": 330}), &serde_json::from_str(&policy).unwrap(), 0);
        node.start(phase).assert_fails(1, &["not authorized", &format!("autoscaling:{action}")]);
        assert_eq!(node.done(), Vec::<String>::new());
    }

    let node = Node::new("no keys").told("AWS_ACCESS_KEY_ID", "").told("AWS_EC2_METADATA_DISABLED", "true");
    node.start("during").assert_fails(1, &["credentials"]);
    let node = Node::with("no hooks", &json!({}), &documented_policy("no hooks"), 0);
    node.start("during").assert_fails(1, &["group no hooks has no lifecycle hook for terminations"]);
    let node = node.told("SPOT_GUARD_INSTANCE_ID", "i-00000000000000000");
    node.start("post-drain").assert_fails(1, &["i-00000000000000000 belongs to no Auto Scaling group"]);
}

#[test]
fn what_may_go_well_the_next_time_is_tried_again() {
    if is_skipped() {
        return;
    }
    let node = Node::with("later", &json!({"drain": 330}), &documented_policy("later"), 2);
    // spot-guard runs a hook again that ends with 75.
    node.start("post-drain").assert_fails(75, &["No active Lifecycle Action"]);
    let during = node.start("during");
    expect("a heartbeat", LONG, || (node.done() == ["heartbeat drain"]).then_some(()));
    assert!(during.said("stderr").contains("No active Lifecycle Action"), "{}", during.said("stderr"));
}

#[test]
fn while_pods_stop_the_action_is_completed_just_before_the_deadline_and_not_earlier() {
    if is_skipped() {
        return;
    }
    let node = Node::new("pods left").told("SPOT_GUARD_PODS_LEFT", "2").told("SPOT_GUARD_SECONDS_LEFT", "12");
    let start = Instant::now();
    let hook = node.start("post-drain");
    let completed = expect("completion", LONG, || (!node.calls().is_empty()).then(|| start.elapsed()));
    // The seconds that are told are whole ones.
    assert!(completed >= Duration::from_secs(8), "after {completed:?}");
    hook.assert_done("completed drain of group pods left\n");
}
