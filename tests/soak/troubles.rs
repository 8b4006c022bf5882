//! What goes wrong, one thing after another.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use stand_ins::certificates::Identity;
use stand_ins::imds::{Date, Fault};

use crate::subject::{Subject, replace};

/// What is done in each second of it, from 0; [`Subject::mend`] ends it.
pub type Act = fn(&Subject, u64);

const V1: &str = "client.authentication.k8s.io/v1";

/// While nothing is announced.
pub const TROUBLES: [(&str, Act); 27] = [
    ("nothing", |_, _| {}),
    ("IMDS answers 500", |s, n| imds(s, n, Fault::Status(500))),
    ("IMDS answers 503", |s, n| imds(s, n, Fault::Status(503))),
    ("IMDS answers 401", |s, n| imds(s, n, Fault::Status(401))),
    ("IMDS hangs", |s, n| imds(s, n, Fault::Hang)),
    ("IMDS resets connections", |s, n| imds(s, n, Fault::Reset)),
    ("IMDS answers a web page", |s, n| imds(s, n, Fault::Html)),
    ("IMDS answers 10 MB", |s, n| imds(s, n, Fault::BigBody(10_000_000))),
    ("IMDS trickles", |s, n| imds(s, n, Fault::SlowBytes(Duration::from_millis(20)))),
    ("IMDS revokes tokens", |s, _| s.world.imds.revoke_tokens()),
    ("IMDS has no Date", |s, _| s.world.imds.set_date(Date::Absent)),
    ("API server refuses", |s, n| api(s, n, |s| s.world.faults.refuse())),
    ("API server hangs", |s, n| api(s, n, |s| s.world.faults.hang())),
    ("API server slow", |s, n| api(s, n, |s| s.world.faults.delay(Duration::from_secs(1)))),
    ("API server's answers cut", |s, n| api(s, n, |s| s.world.faults.cut_answers_after(200))),
    ("connections reset", |s, n| {
        api(s, n, |_| {});
        s.world.faults.reset();
    }),
    ("kubeconfig empty", |s, _| fs::write(s.at("kubelet.conf"), "").expect("empty the kubeconfig")),
    ("kubeconfig comes and goes", |s, n| {
        if n.is_multiple_of(2) {
            fs::remove_file(s.at("kubelet.conf")).expect("remove the kubeconfig");
        } else {
            s.kubeconfigs().combined();
        }
    }),
    ("certificates renewed", |s, _| s.kubeconfigs().rotate(&fresh(s))),
    ("certificate not of the key", |s, _| {
        s.kubeconfigs().rotate(&Identity { key_pem: fresh(s).key_pem, ..fresh(s) });
    }),
    ("plugin gives for 5 s", |s, n| plugin(s, n, None)),
    ("plugin fails", |s, n| plugin(s, n, Some("echo no role >&2; exit 1"))),
    ("plugin hangs", |s, n| plugin(s, n, Some("exec sleep 1000"))),
    ("plugin writes 10 MB", |s, n| plugin(s, n, Some("head -c 10000000 /dev/zero"))),
    ("settings broken", |s, _| s.reload("[drain]\ndelay = \"soon\"\n")),
    ("settings read again", |s, n| s.reload(if n.is_multiple_of(2) { "[hooks]\ntimeout = \"20s\"\n" } else { "" })),
    ("asked for the status", |s, _| s.guard.signal(Signal::SIGUSR1)),
];

/// In the middle of a response, for five seconds.
pub const IN_A_RESPONSE: [(&str, Act); 6] = [
    ("nothing", |_, _| {}),
    ("API server hangs", |s, _| s.world.faults.hang()),
    ("API server refuses", |s, n| once(s, n, |s| s.world.faults.refuse())),
    ("connections reset", |s, _| s.world.faults.reset()),
    ("API server slow", |s, _| s.world.faults.delay(Duration::from_millis(500))),
    ("IMDS hangs", |s, n| imds(s, n, Fault::Hang)),
];

fn once(subject: &Subject, second: u64, act: impl Fn(&Subject)) {
    if second == 0 {
        act(subject);
    }
}

fn imds(subject: &Subject, second: u64, fault: Fault) {
    once(subject, second, |subject| subject.world.imds.fault(fault));
}

/// An idle daemon asks the API server for next to nothing: other settings every few seconds have it look at all anew.
fn api(subject: &Subject, second: u64, act: fn(&Subject)) {
    once(subject, second, act);
    if second.is_multiple_of(5) {
        subject.reload(if second.is_multiple_of(2) { "[kubernetes]\nconditions = false\n" } else { "" });
    }
}

fn fresh(subject: &Subject) -> Identity {
    subject.world.cluster.identity_of(&subject.world.node.name)
}

/// The kubeconfig names a plugin, which does its work or something else.
fn plugin(subject: &Subject, second: u64, script: Option<&str>) {
    once(subject, second, |subject| {
        subject.kubeconfigs().exec_plugin(V1, Duration::from_secs(5));
        if let Some(script) = script {
            replace(&subject.at("get-token"), format!("#!/bin/sh\n{script}\n").as_bytes());
        }
    });
}
