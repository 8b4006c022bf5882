//! `upload`. `journalctl` is a script here; that the real one knows what it is asked is seen in `tests/machine`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::node::{LONG, Node, text};
use crate::stand_in::{assert_has, call, documented_policy, is_skipped};

const INSTANCE: &str = "i-0123456789abcdef0";
const FOLDER: &str = "spot-guard/i-0123456789abcdef0/20261122T203343Z";
const RECORD: &str = "{\"id\":\"20261122T203343Z\",\"outcome\":null}\n";

/// A node with a new bucket, a journal and a record.
fn node_with(bucket: &str, policy: &Value) -> Node {
    let region = json!({"LocationConstraint": "eu-west-1"});
    call("s3", "create_bucket", &json!({"Bucket": bucket, "CreateBucketConfiguration": region}));
    let node = Node::new("upload", INSTANCE, policy).settings(&format!("UPLOAD_BUCKET={bucket}\n"));
    node.program("journalctl", "seq -f 'line %.0f of the journal' 100000");
    let records = node.path("/var/lib/spot-guard/responses");
    fs::create_dir(&records).unwrap();
    fs::write(records.join("20261122T203343Z.json"), RECORD).unwrap();
    node
}

fn new_node(bucket: &str) -> Node {
    node_with(bucket, &policy(bucket))
}

fn policy(bucket: &str) -> Value {
    documented_policy("upload", "BUCKET", bucket)
}

/// What lies in the bucket, the oldest first.
fn objects(bucket: &str) -> Vec<String> {
    let list = call("s3", "list_objects_v2", &json!({"Bucket": bucket}));
    let mut objects: Vec<&Value> = list["Contents"].as_array().into_iter().flatten().collect();
    objects.sort_by_key(|object| object["LastModified"].as_str().unwrap());
    objects.iter().map(|object| object["Key"].as_str().unwrap().to_owned()).collect()
}

fn get(bucket: &str, name: &str) -> Vec<u8> {
    let object = call("s3", "get_object", &json!({"Bucket": bucket, "Key": format!("{FOLDER}/{name}")}));
    STANDARD.decode(object["Body"].as_str().unwrap()).unwrap()
}

/// What a program makes of this input.
fn through(program: &[&str], input: &[u8]) -> String {
    let mut child =
        Command::new(program[0]).args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn journal_folders_and_at_last_the_record_are_in_the_bucket_whole() {
    if is_skipped() {
        return;
    }
    let node = new_node("whole");
    let folder = node.path("/srv/app");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("today.log"), "seen\n").unwrap();
    fs::write(node.path("/etc/secret"), "hidden\n").unwrap();
    symlink(node.path("/etc/secret"), folder.join("link")).unwrap();
    let node = node.settings(&format!("UPLOAD_BUCKET=whole\nUPLOAD_FOLDERS={}\n", folder.display()));
    let archive = format!("{}.tar.gz", folder.display().to_string().trim_start_matches('/').replace('/', "-"));

    let names = ["journal.gz", &archive, "record.json"];
    let said = names.map(|name| format!("uploaded s3://whole/{FOLDER}/{name}\n")).concat();
    node.start("post-drain").assert_done(&said);
    let there = objects("whole");
    assert_eq!(there.len(), 3);
    assert_eq!(there.last().unwrap(), &format!("{FOLDER}/record.json"));

    let journal = through(&["gzip", "-dc"], &get("whole", "journal.gz"));
    assert_eq!((journal.lines().count(), journal.lines().last()), (100_000, Some("line 100000 of the journal")));
    let seen = format!("{}/today.log", folder.display());
    let archive = get("whole", &archive);
    assert_eq!(through(&["tar", "-xzOf", "-", seen.trim_start_matches('/')], &archive), "seen\n");
    assert!(!through(&["tar", "-xzOf", "-"], &archive).contains("hidden"));
    assert_eq!(get("whole", "record.json"), RECORD.as_bytes());
    assert!(is_empty(&node.path("/var/tmp")));

    // A restarted daemon runs it again.
    node.start("post-drain").assert_done(&said);
    assert_eq!(objects("whole").len(), 3);
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn what_does_not_fit_is_left_out_and_the_record_is_not() {
    if is_skipped() {
        return;
    }
    let node = new_node("late").rewritten("for_record=4", "for_record=60").told("SPOT_GUARD_TIMEOUT", "64");
    node.program("journalctl", "exec sleep 100");
    // Without a record on disk it is the one that the hook is told.
    fs::remove_dir_all(node.path("/var/lib/spot-guard/responses")).unwrap();
    let output = node.start_told("post-drain", "{\"told\":true}").end(LONG);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "journal.gz is left out: journalctl fails, or takes too long\n");
    assert_eq!(objects("late"), [format!("{FOLDER}/record.json")]);
    assert_eq!(text(&get("late", "record.json")), "{\"told\":true}");
    assert!(is_empty(&node.path("/var/tmp")));
}

#[test]
fn a_folder_that_is_not_there_keeps_nothing_from_the_others() {
    if is_skipped() {
        return;
    }
    let node = new_node("others").settings("UPLOAD_BUCKET=others\nUPLOAD_FOLDERS='/nowhere/a /etc/apt'\n");
    node.start("post-drain").assert_fails(1, &["nowhere-a.tar.gz is left out", "No such file or directory"]);
    let there = ["etc-apt.tar.gz", "journal.gz", "record.json"].map(|name| format!("{FOLDER}/{name}"));
    let mut objects = objects("others");
    objects.sort();
    assert_eq!(objects, there);
}

#[test]
fn a_rehearsal_uploads_nothing() {
    if is_skipped() {
        return;
    }
    let node = new_node("rehearsed").told("SPOT_GUARD_REHEARSAL", "1");
    let output = node.start("post-drain").end(LONG);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(text(&output.stdout).ends_with(&format!("uploads nothing to s3://rehearsed/{FOLDER}\n")));
    assert_eq!(objects("rehearsed"), Vec::<String>::new());

    let node = node.told("AWS_ACCESS_KEY_ID", "").told("AWS_EC2_METADATA_DISABLED", "true");
    node.start("post-drain").assert_fails(1, &["credentials"]);
}

#[test]
fn what_is_missing_is_told() {
    if is_skipped() {
        return;
    }
    let node = new_node("missing").settings("");
    node.start("post-drain").assert_fails(1, &["set UPLOAD_BUCKET in", "/etc/default/spot-guard-hooks"]);
    let node = node.settings("UPLOAD_BUCKET=missing\n").told("PATH", "/nowhere");
    node.start("post-drain").assert_fails(1, &["needs the AWS CLI"]);

    // The one action that its policy has, and that only below its prefix.
    assert_has(&policy("any"), &["PutObject"]);
    let node = new_node("denied").settings("UPLOAD_BUCKET=denied\nUPLOAD_PREFIX=another\n");
    let output = node.start("post-drain").end(LONG);
    assert_eq!((output.status.code(), text(&output.stderr).matches("AccessDenied").count()), (Some(1), 2));
    assert_eq!(objects("denied"), Vec::<String>::new());
}
