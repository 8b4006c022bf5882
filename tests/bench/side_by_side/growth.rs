//! Whether it grows: as many polls as a day has, as fast as they can be made, in a process of its own.
//!
//! The release polls every 200 ms at the fastest, so that process runs the code of its poll without a pause, as the
//! compiler and the C library of this machine have it. The release is watched at 200 ms for as long as that takes.

use std::io;
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use spot_guard::config;
use stand_ins::guard::Setup;
use stand_ins::imds::Imds;

use crate::report::{Report, number};
use crate::{OWN_BINARY, Plan, process};

/// The first argument of the process that only polls; the second is the endpoint.
pub const ONLY_POLL: &str = "only-poll";

/// Polls that come before the first look.
const WARM: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(600);

pub fn measure(plan: &Plan, report: &mut Report) {
    report.heading(
        "Growth",
        "Resident memory after some polls and after many. A poll that does not pause is run in a process of its own, \
         with this machine's C library; the release beside it at 200 ms, its fastest.",
    );
    let (own, release) = (Imds::on_loopback(), Imds::on_loopback());
    let guard = Setup::new(OWN_BINARY).imds(&release).without_kubernetes().config("[imds]\npoll-interval = \"200ms\"");
    let guard = guard.start();
    let program = std::env::current_exe().expect("this program");
    let mut polling = Command::new(program);
    polling.args([ONLY_POLL, &own.endpoint()]).stdin(Stdio::piped());
    let mut polling = polling.spawn().expect("run this program");

    assert!(release.wait_requests(10, PATIENCE) && own.wait_requests(WARM, PATIENCE), "nothing is polled");
    let resident = |pid| process::kibibytes(pid, "VmRSS");
    let pid = guard.pid().as_raw().cast_unsigned();
    let (before, release_before) = (resident(polling.id()), resident(pid));
    let release_first = release.log().len();
    assert!(own.wait_requests(WARM + plan.polls, PATIENCE), "the polls take too long");
    let (after, release_after) = (resident(polling.id()), resident(pid));
    drop(polling.stdin.take());
    polling.wait().expect("wait for it");

    let row = |what: &str, requests: usize, before: f64, after: f64| {
        vec![what.to_owned(), requests.to_string(), number(before), number(after), number(after - before)]
    };
    report.table(
        &["", "requests", "before, KiB", "after, KiB", "growth, KiB"],
        &[
            row("the poll alone, without a pause", plan.polls, before, after),
            row("the release, every 200 ms", release.log().len() - release_first, release_before, release_after),
        ],
    );
}

/// What the process of its own does, until its standard input ends, as it does with this program.
pub fn only_poll(endpoint: &str) -> ! {
    let poll_interval = Duration::ZERO;
    let settings = config::Imds {
        endpoint: endpoint.to_owned(),
        disabled: false,
        poll_interval,
        poll_interval_at_risk: poll_interval,
        timeout: Duration::from_secs(1),
    };
    let _poll = spot_guard::imds::poll(&settings, |_| {}).expect("a thread that polls");
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    exit(0)
}
