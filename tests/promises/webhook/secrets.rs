//! Nothing shows the address or a header, however the sending ends.

use std::fs;
use std::path::Path;

use stand_ins::guard::Guard;
use stand_ins::receiver::Reply;

use super::{PATH, Scene, put};
use crate::seconds;

/// What is secret in these settings.
const SECRETS: [&str; 5] = ["s3cr3t-path", "s3cr3t-host", "s3cr3t-header", "s3cr3t-file", "pa55word"];

/// All that is written below a folder, but the settings and the files that they name.
fn written(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours = ["config.toml", "address", "token"].iter().any(|name| path.ends_with(name));
        if path.is_dir() {
            written(&path, into);
        } else if !is_ours && path.is_file() {
            into.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()));
        }
    }
}

/// Log, record, status, and what the commands and the process list say.
fn all_output(guard: &Guard) -> String {
    let mut all = guard.log();
    written(guard.folder(), &mut all);
    for command in [&["config"][..], &["config", "--check"]] {
        let output = guard.output(command);
        all += &(String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr));
    }
    all + &String::from_utf8_lossy(&fs::read(format!("/proc/{}/cmdline", guard.pid())).unwrap())
}

#[test]
fn nothing_that_is_written_or_said_holds_a_secret() {
    let proxy = "proxy = \"http://me:pa55word@127.0.0.1:1\"";
    let moved = Reply::With(302, "Location", format!("https://s3cr3t-host.example.com/{PATH}"));
    let rows = [
        ("https://RECEIVER/PATH", "", Reply::Status(200), "delivered"),
        ("https://RECEIVER/PATH", "", Reply::Status(404), "not delivered: the server answered 404"),
        ("https://RECEIVER/PATH", "", moved, "not delivered: the server answered 302"),
        ("https://s3cr3t-host.invalid/PATH", "", Reply::Status(200), "not delivered: "),
        ("https://s3cr3t-host.example.com/PATH", proxy, Reply::Status(200), "not delivered: "),
        ("https://IMDS/PATH", "", Reply::Status(200), "not delivered: "),
        ("https://RECEIVER/PATH?a={b}|^\\", "", Reply::Status(200), ""),
        ("s3cr3t-file is no address", "", Reply::Status(200), "not delivered: its address is not https://HOST/PATH"),
    ];
    for (address, more, reply, told) in rows {
        let scene = Scene::new();
        scene.receiver.reply(&[reply]);
        let imds = scene.imds.endpoint();
        let address = address.replace("RECEIVER", &scene.receiver.address()).replace("PATH", PATH);
        let address = address.replace("IMDS", imds.trim_start_matches("http://"));
        let setup = scene.setup();
        let authority = put(&setup, "authority.pem", &scene.authority.certificate_pem);
        let address = put(&setup, "address", &address);
        let token = put(&setup, "token", "s3cr3t-file");
        let guard = scene.start(setup.argument("--log-level=debug").config(&format!(
            "[webhook]\nurl = \"https://s3cr3t-host.example.com/{PATH}\"\nurl-file = \"{}\"\nca-file = \"{}\"\n{more}\n\
             [webhook.headers]\nX-One = \"s3cr3t-header\"\nX-Two = {{ file = \"{}\" }}",
            address.display(),
            authority.display(),
            token.display()
        )));
        scene.imds.interrupt("terminate", seconds(6));
        guard.wait_line(&format!("webhook: notice {told}"), seconds(20));
        guard.wait_record("both are settled", seconds(30), |record| {
            let messages = record["webhook"].as_array().into_iter().flatten();
            messages.filter(|one| !one["reason"].is_null() || !one["delivered_at"].is_null()).count() == 2
        });
        let all = all_output(&guard);
        assert!(all.contains("# url = (set)") && all.contains("# X-One = (set)"), "{all}");
        assert!(all.contains("\"stage\":\"notice\""), "the record is among it");
        for secret in SECRETS {
            assert!(!all.contains(secret), "{secret} is in\n{all}");
        }
    }
}
