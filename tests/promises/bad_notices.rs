//! What the metadata service answers in the place of a notice of another kind than Spot's is told, and is no notice.

use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Fault, Imds, LIFECYCLE_STATE, REBALANCE, SCHEDULED};

use crate::{PROGRAM, seconds};

const PAGE: &str = "<html><head><title>Sign in</title></head><body>Terminated</body></html>";

/// As in the EC2 User Guide, among others that are not.
const ONE_ODD_EVENT: &str = r#"[ {
    "NotBefore" : "21 Jan 2019 09:00:43 GMT",
    "Code" : "system-dance",
    "Description" : "scheduled dance",
    "EventId" : "instance-event-0d59937288b749b32",
    "NotAfter" : "21 Jan 2019 09:17:23 GMT",
    "State" : "active"
} ]"#;

/// Each path with a body that is not what should be there.
fn bad_bodies() -> Vec<(&'static str, String)> {
    let long = "x".repeat(64 * 1024 + 1);
    let garbage = "\u{7f}\u{1b}[31m\u{0}\u{fffd}";
    let of = |path, cut: &str| [PAGE, garbage, &long, cut].map(|body| (path, body.to_owned()));
    let mut rows = Vec::new();
    rows.extend(of(REBALANCE, r#"{"noticeTime": "2020-10-2"#));
    rows.extend(of(SCHEDULED, r#"[ { "NotBefore" : "21 Jan 2019 09:00:43 GMT", "Code" : "sys"#));
    rows.extend(of(LIFECYCLE_STATE, r#"{"state":"Termin"#));
    rows.push((SCHEDULED, ONE_ODD_EVENT.to_owned()));
    rows
}

/// spot-guard that polls as fast as it can be told to.
fn setup(imds: &Imds) -> Setup {
    Setup::new(PROGRAM).imds(imds).without_kubernetes().config("[imds]\npoll-interval = \"200ms\"")
}

/// The same, and however busy the machine is, what answers at all answers in time.
fn start(imds: &Imds) -> Guard {
    setup(imds).config("timeout = \"10s\"").start()
}

/// What the log says of the paths beside Spot's.
fn told(guard: &Guard) -> usize {
    let words = [REBALANCE, SCHEDULED, LIFECYCLE_STATE, "cannot read whether", "answers all questions", "makes sense"];
    guard.lines().into_iter().filter(|line| words.iter().any(|words| line.text.contains(words))).count()
}

/// So many lines and no more; they may come later than what else tells of it.
fn assert_told(guard: &Guard, lines: usize, name: &str) {
    guard.expect(&format!("{name}: {lines} lines"), seconds(10), || (told(guard) >= lines).then_some(()));
    assert_eq!(told(guard), lines, "{name}\n{}", guard.log());
}

/// What is wrong with the metadata service, if anything is.
fn trouble(guard: &Guard) -> Option<String> {
    let status = guard.status()?;
    (status["imds"]["ok"] == false).then(|| status["imds"]["trouble"].as_str().unwrap_or_default().to_owned())
}

fn wait_for_trouble(guard: &Guard) -> String {
    guard.expect("the status tells it", seconds(20), || trouble(guard))
}

fn wait_until_well(guard: &Guard) {
    guard.expect("the status is well", seconds(30), || {
        guard.status().filter(|status| status["imds"]["ok"] == true).map(drop)
    });
}

/// The words by which the status tells what it is about.
fn name_of(path: &str) -> &'static str {
    match path {
        REBALANCE => "rebalance recommendation",
        SCHEDULED => "event",
        _ => "autoscaling termination",
    }
}

#[test]
fn a_bad_body_of_any_kind_is_told_while_it_is_there_and_nothing_responds_to_it() {
    std::thread::scope(|scope| {
        for (path, body) in bad_bodies() {
            scope.spawn(move || {
                let imds = Imds::on_loopback();
                imds.set(path, &body);
                let guard = start(&imds);
                let told = wait_for_trouble(&guard);
                assert!(told.contains(name_of(path)) && told.len() < 500, "{path} {body:.40}: {told}");
                assert!(!told.contains(char::is_control), "{told:?}");
                imds.remove(path);
                wait_until_well(&guard);
                assert_eq!(guard.record(), None, "{path} {body:.40}\n{}", guard.log());
                assert_eq!(guard.status().expect("a status")["state"], "watching");
            });
        }
    });
}

/// Its end is told too; then it is quiet, as nothing of it lasts.
#[test]
fn a_path_that_comes_and_goes_floods_no_log() {
    let flap = |spoil: &dyn Fn(&Imds), mend: &dyn Fn(&Imds)| {
        let imds = Imds::on_loopback();
        let guard = start(&imds);
        for _ in 0..3 {
            spoil(&imds);
            wait_for_trouble(&guard);
            mend(&imds);
            wait_until_well(&guard);
        }
        assert_told(&guard, 2, "all of it");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| flap(&|imds| imds.set(LIFECYCLE_STATE, PAGE), &|imds| imds.set(LIFECYCLE_STATE, "InService")));
        scope.spawn(|| flap(&|imds| imds.fault_at(REBALANCE, Fault::Status(500)), &Imds::heal));
        scope.spawn(|| flap(&|imds| imds.fault_at("meta-data/autoscaling", Fault::Reset), &Imds::heal));
    });
}

#[test]
fn paths_that_fail_are_told_in_one_line_and_hide_no_spot_interruption() {
    std::thread::scope(|scope| {
        for fault in [Fault::Hang, Fault::Status(503), Fault::Html] {
            scope.spawn(move || {
                let imds = Imds::on_loopback();
                for path in ["meta-data/events", "meta-data/autoscaling"] {
                    imds.fault_at(path, fault);
                }
                let guard = setup(&imds).start();
                wait_for_trouble(&guard);
                imds.interrupt("terminate", seconds(60));
                guard.wait_record("of the notice", seconds(20), |record| record["notice"].is_object());
                assert_told(&guard, 1, &format!("{fault:?}"));
                imds.heal();
                wait_until_well(&guard);
                assert_told(&guard, 2, &format!("{fault:?}: its end is told"));
            });
        }
    });
}

#[test]
fn trouble_with_another_notice_and_with_spots_are_told_beside_each_other() {
    let imds = Imds::on_loopback();
    imds.fault_at(REBALANCE, Fault::Status(500));
    let guard = start(&imds);
    assert!(wait_for_trouble(&guard).contains(REBALANCE));
    imds.fault(Fault::Status(503));
    guard.expect("both are told", seconds(20), || {
        trouble(&guard).filter(|told| told.contains("503") && told.contains(REBALANCE))
    });
    imds.heal();
    imds.fault_at(REBALANCE, Fault::Status(500));
    guard.expect("one is left", seconds(20), || {
        trouble(&guard).filter(|told| !told.contains("503") && told.contains(REBALANCE))
    });
}
