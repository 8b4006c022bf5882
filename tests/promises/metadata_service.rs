//! Whatever the metadata service does, a notice that it serves is seen, and nothing that it does is taken for one.

use std::time::Duration;

use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Fault, Imds, SPOT};

use crate::{PROGRAM, seconds};

fn start(imds: &Imds) -> Guard {
    let setup = Setup::new(PROGRAM).imds(imds).without_kubernetes();
    let guard = setup.config("[imds]\npoll-interval = \"200ms\"\ntimeout = \"500ms\"").start();
    guard.expect("IMDS is polled", seconds(10), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    guard
}

#[test]
fn no_fault_is_taken_for_a_notice_and_none_keeps_one_from_being_seen_once_it_is_over() {
    let faults = [
        Fault::Status(503),
        Fault::Status(429),
        Fault::Status(403),
        Fault::Hang,
        Fault::Reset,
        Fault::Html,
        Fault::BigBody(20_000_000),
        Fault::SlowBytes(Duration::from_millis(20)),
    ];
    std::thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || {
                let imds = Imds::on_loopback();
                let mut guard = start(&imds);
                imds.fault(fault);
                let before = imds.log().len();
                assert!(imds.wait_requests(before + 4, seconds(30)), "{fault:?}: it goes on asking");
                assert_eq!(guard.record(), None, "{fault:?} is no notice\n{}", guard.log());
                imds.heal();
                imds.interrupt("terminate", seconds(30));
                let record = guard.wait_record("of the notice", seconds(15), |record| record["notice"].is_object());
                assert_eq!(record["notice"]["action"], "terminate", "{fault:?}");
                assert!(guard.is_running());
            });
        }
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
