//! The shipped hook `upload` with a real journal and the record of a real response. The AWS CLI is a script here that copies
//! into a folder; the real one is in `tests/aws`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::machine::plan;

#[test]
fn the_journal_of_the_unit_and_the_record_of_the_response_are_uploaded() {
    let Some(plan) = plan() else { return };
    let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/hooks-available/upload");
    // As `aws s3 cp --only-show-errors FILE s3://BUCKET/NAME`.
    let aws = "#!/bin/sh\nto=/srv/${5#s3://}; mkdir -p \"${to%/*}\" && cp \"$4\" \"$to\"\n";
    let machine = plan
        .file("/etc/spot-guard/hooks/post-drain.d/80-upload", 0o755, &fs::read_to_string(hook).unwrap())
        .file("/etc/default/spot-guard-hooks", 0o644, "UPLOAD_BUCKET=logs\nUPLOAD_UNITS=spot-guard.service\n")
        .file("/usr/local/bin/aws", 0o755, aws)
        .boot();
    machine.interrupt(Duration::from_secs(60));
    machine.wait_for("the end of the response", || {
        machine.records().first().is_some_and(|record| !record["outcome"].is_null())
    });

    let record = machine.records().remove(0);
    let of_hook = record["hooks"].as_array().unwrap().iter().find(|hook| hook["name"] == "80-upload").unwrap();
    assert_eq!(of_hook["exit"], 0, "{of_hook}");
    let (id, instance) = (record["id"].as_str().unwrap(), record["instance"]["id"].as_str().unwrap());
    let folder: PathBuf = machine.path("/srv/logs/spot-guard").join(instance).join(id);
    let uploaded: Value = serde_json::from_slice(&fs::read(folder.join("record.json")).unwrap()).unwrap();
    // The hook that uploads it runs in it, and so does the response.
    assert_eq!((&uploaded["id"], &uploaded["outcome"]), (&record["id"], &Value::Null));
    let journal = Command::new("gzip").arg("-dc").arg(folder.join("journal.gz")).output().unwrap().stdout;
    let journal = String::from_utf8(journal).unwrap();
    assert!(journal.contains(&format!("response {id}")), "{journal}");
    assert!(journal.lines().all(|line| line.contains("spot-guard") || line.starts_with("--")), "{journal}");
    let left = fs::read_dir(machine.path("/var/tmp")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name.to_string_lossy().starts_with("spot-guard")).count(), 0);
}
