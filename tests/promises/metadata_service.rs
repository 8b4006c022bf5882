//! Whatever the metadata service does, a notice that it serves is seen, and nothing that it does is taken for one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stand_ins::guard::{Guard, Setup, Usage};
use stand_ins::imds::{Fault, Imds, SPOT};

use crate::{PROGRAM, seconds};

/// What goes wrong, and with which paths.
const FAULTS: [(Fault, &str); 14] = [
    (Fault::Status(500), ""),
    (Fault::Status(503), ""),
    (Fault::Status(429), ""),
    (Fault::Status(403), ""),
    (Fault::Status(401), ""),
    // A token is given out, and then not taken.
    (Fault::Status(401), "meta-data"),
    // No token is given out; what was given out before is good.
    (Fault::Status(503), "api/token"),
    (Fault::Hang, ""),
    (Fault::Reset, ""),
    (Fault::Html, ""),
    (Fault::Html, "meta-data"),
    (Fault::BigBody(10_000_000), ""),
    (Fault::BigBody(10_000_000), "meta-data"),
    (Fault::SlowBytes(Duration::from_millis(20)), ""),
];

/// spot-guard that polls as fast as it can be told to.
fn setup(endpoint: &str) -> Setup {
    let setup = Setup::new(PROGRAM).argument("--imds-endpoint").argument(endpoint).without_kubernetes();
    setup.config("[imds]\npoll-interval = \"200ms\"\ntimeout = \"300ms\"")
}

fn start(imds: &Imds) -> Guard {
    let guard = setup(&imds.endpoint()).start();
    guard.expect("IMDS is polled", seconds(10), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    guard
}

fn spoil(imds: &Imds, fault: Fault, path: &str) {
    imds.fault_at(path, fault);
    if path == "api/token" {
        // Otherwise the one that was given out serves for hours.
        imds.revoke_tokens();
    }
}

/// What the daemon's log says of the metadata service.
fn told(guard: &Guard) -> Vec<String> {
    let is_about_it = |text: &String| text.contains("/latest/") || text.contains("the metadata service");
    guard.lines().into_iter().map(|line| line.text).filter(is_about_it).collect()
}

/// So many lines and no more; they may come later than what else tells of it.
fn assert_told(guard: &Guard, lines: usize, name: &str) {
    guard.expect(&format!("{name}: {lines} lines"), seconds(10), || (told(guard).len() >= lines).then_some(()));
    assert_eq!(told(guard).len(), lines, "{name}\n{}", guard.log());
}

fn status(guard: &Guard) -> (bool, String) {
    let status = guard.status().unwrap_or_default();
    (status["imds"]["ok"] == true, status["imds"]["trouble"].as_str().unwrap_or_default().to_owned())
}

/// The line that `systemctl status` shows, and SIGUSR1 puts into the log, does not look well.
fn assert_words_tell_of_trouble(guard: &Guard) {
    guard.expect("the words tell it", seconds(10), || {
        let status = guard.status()?;
        let trouble = status["imds"]["trouble"].as_str()?;
        let words = format!("the metadata service fails: {trouble}; watching for notices; ");
        status["words"].as_str()?.starts_with(&words).then_some(())
    });
}

/// Sits through a fault until `requests` more have failed; what the daemon uses before, after a quarter and at the end.
fn sit_through(guard: &Guard, imds: &Imds, requests: usize, within: Duration) -> [Usage; 3] {
    let before = imds.log().len();
    [0, requests / 4, requests].map(|count| {
        assert!(imds.wait_requests(before + count, within), "it goes on asking\n{}", guard.log());
        guard.usage()
    })
}

fn assert_flat([before, early, late]: [Usage; 3], fault: &str) {
    let growth = late.resident.saturating_sub(early.resident);
    assert!(growth < 256, "{fault}: {growth} KiB more: {early:?}, {late:?}");
    // What comes may be long, what is kept of it is not.
    assert!(late.peak < before.resident + 2048, "{fault}: {before:?}, {late:?}");
    assert!(late.descriptors <= before.descriptors + 2, "{fault}: {before:?}, {late:?}");
    assert!(late.threads <= early.threads, "{fault}: {early:?}, {late:?}");
}

/// Heals the service, which has had a notice all the while, and asserts that the first poll that works sees it.
fn assert_seen_at_once(guard: &mut Guard, imds: &Imds, fault: &str) {
    assert_eq!(guard.record(), None, "{fault} is no notice\n{}", guard.log());
    imds.interrupt("terminate", seconds(30));
    let healed = Instant::now();
    imds.heal();
    let served = guard.expect("a poll that works", seconds(10), || {
        imds.log().into_iter().find(|asked| asked.path == SPOT && asked.status == 200 && asked.at > healed)
    });
    // A pause of 1 s at the most where the service was throttled, one request's time, and a busy machine.
    assert!(served.at - healed < seconds(3), "{fault}: {:?}", served.at - healed);
    let record = guard.wait_record("of the notice", seconds(5), |record| record["notice"].is_object());
    assert_eq!(record["notice"]["action"], "terminate", "{fault}");
    // What made no sense elsewhere than at Spot's path is asked for again within 5 s.
    guard.expect("the status is well again", seconds(20), || status(guard).0.then_some(()));
    assert!(guard.is_running());
}

/// Each fault at one time, each with a metadata service and a daemon of its own.
fn each_fault(test: impl Fn(Fault, &'static str, &str) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        for (fault, path) in FAULTS {
            scope.spawn(move || test(fault, path, &format!("{fault:?} at {path:?}")));
        }
    });
}

#[test]
fn no_fault_is_taken_for_a_notice_and_each_is_told_once_and_the_first_good_poll_sees_the_notice() {
    each_fault(|fault, path, name| {
        let imds = Imds::on_loopback();
        let mut guard = start(&imds);
        spoil(&imds, fault, path);
        assert_flat(sit_through(&guard, &imds, 32, seconds(40)), name);
        guard.expect("the status tells it", seconds(10), || (!status(&guard).0).then_some(()));
        assert_told(&guard, 1, name);
        assert!(!status(&guard).1.is_empty(), "{name}");
        assert_words_tell_of_trouble(&guard);
        assert_seen_at_once(&mut guard, &imds, name);
        assert_told(&guard, 2, &format!("{name}: its end is told"));
    });
}

#[test]
fn a_service_that_fails_from_the_start_is_told_once_and_the_first_good_poll_sees_the_notice() {
    each_fault(|fault, path, name| {
        let imds = Imds::on_loopback();
        imds.fault_at(path, fault);
        let mut guard = setup(&imds.endpoint()).start();
        guard.expect("it is told", seconds(10), || told(&guard).pop());
        assert_flat(sit_through(&guard, &imds, 16, seconds(40)), name);
        assert_told(&guard, 1, name);
        assert_seen_at_once(&mut guard, &imds, name);
        let record = guard.wait_record("of this instance", seconds(5), |record| record["instance"]["id"].is_string());
        assert_eq!(record["instance"]["id"], imds.instance_id().as_str(), "{name}");
    });
}

/// An address of this machine that nobody listens on and nobody else picks.
fn unused() -> SocketAddr {
    let [high, low] = u16::try_from(std::process::id() % 65_000).expect("a small number").to_be_bytes();
    let address = SocketAddr::from(([127, 77, high, low.max(1)], 0));
    let listener = std::net::TcpListener::bind(address).expect("listen on 127.77.0.0/16");
    listener.local_addr().expect("the address that is listened on")
}

fn assert_found_after(absence: Duration) {
    let address = unused();
    let guard = setup(&format!("http://{address}")).start();
    guard.wait_line("/latest/", seconds(10));
    let before = guard.usage();
    // This is the fault: nobody is there for a while.
    std::thread::sleep(absence);
    assert_flat([before, before, guard.usage()], "nobody");
    let imds = Imds::start(address).expect("listen where nobody did");
    imds.interrupt("terminate", seconds(30));
    let come = Instant::now();
    guard.wait_record("of the notice", seconds(5), |record| record["notice"].is_object());
    assert!(come.elapsed() < seconds(3), "{:?}", come.elapsed());
    let summaries = usize::try_from(absence.as_secs() / 600).expect("a small number");
    assert_eq!(told(&guard).len(), 2 + summaries, "{}", guard.log());
}

#[test]
fn a_service_that_comes_late_is_found() {
    assert_found_after(seconds(5));
}

/// As many polls as there are in an hour by default.
#[test]
#[ignore = "takes twelve minutes; make test-all runs it"]
fn a_service_that_comes_very_late_is_found() {
    assert_found_after(seconds(725));
}

/// More polls of each kind than there are in an hour by default.
#[test]
#[ignore = "takes half an hour; make test-all runs it"]
fn thousands_of_failed_polls_cost_neither_memory_nor_descriptors_and_few_lines() {
    each_fault(|fault, path, name| {
        let imds = Imds::on_loopback();
        let mut guard = start(&imds);
        spoil(&imds, fault, path);
        let began = Instant::now();
        let requests = if matches!(fault, Fault::Status(503 | 429)) { 1500 } else { 4000 };
        assert_flat(sit_through(&guard, &imds, requests, seconds(3600)), name);
        let summaries = usize::try_from(began.elapsed().as_secs() / 600).expect("a small number");
        // On a busy machine a fault may now and then come too late as well, which is news twice.
        assert!(told(&guard).len() <= 6 + summaries, "{name}\n{}", guard.log());
        assert_seen_at_once(&mut guard, &imds, name);
    });
}

#[test]
fn a_service_that_always_answers_later_than_the_timeout_is_listened_to_all_the_same() {
    let imds = Imds::on_loopback();
    // About 200 bytes are 1.6 s, on a busy machine 2.5 s; the timeout is 1 s.
    imds.fault(Fault::SlowBytes(Duration::from_millis(8)));
    imds.interrupt("terminate", seconds(60));
    let guard = Setup::new(PROGRAM).imds(&imds).without_kubernetes().start();
    guard.wait_record("of the notice", seconds(30), |record| record["notice"].is_object());
    guard.expect("what else there is to know is asked for as well", seconds(60), || {
        let status = guard.status()?;
        (status["imds"]["ok"] == true && status["instance"]["life_cycle"].is_string()).then_some(())
    });
}

#[test]
fn a_token_that_is_no_longer_taken_is_replaced_in_the_same_poll() {
    let imds = Imds::on_loopback();
    let guard = start(&imds);
    imds.revoke_tokens();
    imds.interrupt("stop", seconds(30));
    guard.wait_record("of the notice", seconds(5), |record| record["notice"]["action"] == "stop");
    let log = imds.log();
    let refused = log.iter().position(|asked| asked.status == 401).expect("a token was refused");
    let next: Vec<(&str, u16)> = log[refused + 1..].iter().map(|asked| (asked.method.as_str(), asked.status)).collect();
    assert_eq!(next.first_chunk(), Some(&[("PUT", 200), ("GET", 200)]));
}

#[test]
fn the_metadata_service_is_never_asked_by_way_of_a_proxy() {
    let (imds, proxy) = (Imds::on_loopback(), Imds::on_loopback());
    let mut setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        setup = setup.environment(name, &proxy.endpoint());
    }
    let guard = setup.start();
    guard.expect("IMDS is polled", seconds(10), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    assert!(proxy.log().is_empty());
}

#[test]
fn a_notice_that_cannot_be_read_is_a_notice_all_the_same() {
    for body in ["{}", r#"{"action":"terminate"}"#, r#"{"action":"terminate","time":"soon"}"#] {
        let imds = Imds::on_loopback();
        let guard = start(&imds);
        imds.set(SPOT, body);
        let record = guard.wait_record("of the notice", seconds(5), |record| record["notice"].is_object());
        assert_eq!(record["notice"]["time"], serde_json::Value::Null, "{body:?}");
    }
}
