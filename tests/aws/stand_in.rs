//! AWS, as `tests/aws/stand-in.py` stands in for it: one for all tests here.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};
use stand_ins::skip::skip;

use crate::root;

/// It ends when this process does: that is the end of its input.
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

/// Where `aws` is, and a `python` that has moto.
pub(crate) fn programs() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("SPOT_GUARD_TEST_AWS")?).join("bin"))
}

pub(crate) fn is_skipped() -> bool {
    let is_missing = programs().is_none();
    if is_missing {
        skip("SPOT_GUARD_TEST_AWS names no folder made by tests/aws/programs");
    }
    is_missing
}

/// `tests/aws/stand-in.py` says what may be asked.
pub(crate) fn ask(request: &Value) -> Value {
    // A test that failed in the middle of this has failed the others too.
    let mut aws = AWS.lock().unwrap();
    writeln!(aws.0.stdin.as_ref().unwrap(), "{request}").unwrap();
    let mut answer = String::new();
    aws.1.read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{request}: {answer:?}: {error}"))
}

/// What AWS answers to one who may do all.
pub(crate) fn call(service: &str, operation: &str, parameters: &Value) -> Value {
    ask(&json!({"call": [service, operation, parameters]}))
}

/// The policy that `docs/shipped-hooks.md` has for a hook, with `name` for the `placeholder` in it.
pub(crate) fn documented_policy(hook: &str, placeholder: &str, name: &str) -> Value {
    let page = std::fs::read_to_string(root().join("docs/shipped-hooks.md")).unwrap();
    let (_, section) = page.split_once(&format!("\n## {hook}\n")).unwrap();
    let (_, policy) = section.split_once("```json\n").unwrap();
    let policy = policy.split("```").next().unwrap();
    assert!(policy.contains(placeholder), "{policy}");
    serde_json::from_str(&policy.replace(placeholder, name)).unwrap()
}

/// Holds that these are the actions of the policy, and no others.
pub(crate) fn assert_has(policy: &Value, actions: &[&str]) {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let has = statements.flat_map(|statement| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        action => vec![action.clone()],
    });
    let mut has: Vec<String> =
        has.map(|action| action.as_str().unwrap().split_once(':').unwrap().1.to_owned()).collect();
    let mut actions = actions.to_vec();
    has.sort();
    actions.sort_unstable();
    assert_eq!(has, actions);
}

/// The same without this action.
pub(crate) fn without(action: &str, policy: &Value) -> Value {
    let text = policy.to_string();
    assert!(text.contains(&format!(":{action}\"")), "{action} in {text}");
    serde_json::from_str(&text.replace(&format!(":{action}\""), ":Nothing\"")).unwrap()
}
