//! Servers that are not there, that refuse, and a daemon that dies in the middle.

use std::time::Duration;

use stand_ins::faults::Faults;
use stand_ins::receiver::{Receiver, Reply};

use super::{NAMES, PATH, Scene, put, url, wait_delivered, wait_stages};
use crate::seconds;

/// The window of these responses: long enough for some attempts.
const WINDOW: Duration = Duration::from_secs(40);

#[test]
fn what_fails_with_500_is_tried_again_until_it_is_taken() {
    let scene = Scene::new();
    scene.receiver.reply(&[Reply::Status(500), Reply::Status(503)]);
    let guard = scene.start(scene.told_at(&scene.url()));
    scene.imds.interrupt("terminate", WINDOW);
    wait_stages(&guard, &scene.receiver, &["notice", "notice", "notice", "end"]);
    let record = wait_delivered(&guard, 2);
    assert_eq!((&record["webhook"][0]["attempts"], &record["webhook"][1]["attempts"]), (&3.into(), &1.into()));
    guard.wait_line("webhook: notice not delivered: the server answered 500; tried again in ", seconds(5));
    let arrivals = scene.receiver.arrivals();
    assert!(arrivals[2].at - arrivals[0].at >= Duration::from_millis(2400), "1 s and 2 s, less a fifth");
}

#[test]
fn a_retry_after_is_obeyed() {
    let scene = Scene::new();
    scene.receiver.reply(&[Reply::With(429, "Retry-After", "4".to_owned())]);
    let guard = scene.start(scene.told_at(&scene.url()));
    scene.imds.interrupt("terminate", WINDOW);
    wait_stages(&guard, &scene.receiver, &["notice", "notice", "end"]);
    let arrivals = scene.receiver.arrivals();
    assert!(arrivals[1].at - arrivals[0].at >= seconds(4), "{:?}", arrivals[1].at - arrivals[0].at);
}

#[test]
fn what_refuses_connections_is_told_once_it_takes_them() {
    let scene = Scene::new();
    let faults = Faults::before(&scene.receiver.address());
    faults.refuse();
    let guard = scene.start(scene.told_at(&format!("{}/{PATH}", faults.server())));
    scene.imds.interrupt("terminate", WINDOW);
    guard.wait_line("webhook: notice not delivered: Connection refused (os error 111)", seconds(25));
    assert!(scene.receiver.arrivals().is_empty());
    faults.heal();
    wait_stages(&guard, &scene.receiver, &["notice", "end"]);
    guard.wait_line("webhook: notice delivered, attempt ", seconds(5));
}

#[test]
fn a_redirect_is_not_followed_and_is_final() {
    let scene = Scene::new();
    let elsewhere = Receiver::start(&scene.authority, &NAMES);
    scene.receiver.reply(&[Reply::With(307, "Location", url(&elsewhere))]);
    let guard = scene.start(scene.told_at(&scene.url()));
    scene.imds.interrupt("terminate", WINDOW);
    wait_stages(&guard, &scene.receiver, &["notice", "end"]);
    let record = wait_delivered(&guard, 1);
    assert!(elsewhere.arrivals().is_empty());
    let notice = &record["webhook"][0];
    assert_eq!(
        (&notice["attempts"], &notice["reason"]),
        (&1.into(), &"the server answered 307: it leads elsewhere, and redirects are not followed".into())
    );
    assert!(record["errors"].to_string().contains("the server answered 307"), "{:#}", record["errors"]);
}

#[test]
fn an_answer_that_does_not_end_is_an_answer() {
    let scene = Scene::new();
    scene.receiver.reply(&[Reply::Endless, Reply::Endless]);
    let guard = scene.start(scene.told_at(&scene.url()));
    let before = guard.usage().resident;
    scene.imds.interrupt("terminate", WINDOW);
    let record = wait_delivered(&guard, 2);
    assert_eq!((&record["webhook"][0]["attempts"], &record["webhook"][1]["attempts"]), (&1.into(), &1.into()));
    assert!(guard.usage().peak < before + (8 << 10), "{:?}, {before} before", guard.usage());
}

#[test]
fn a_daemon_that_was_killed_tells_what_was_not_told_and_nothing_twice() {
    let scene = Scene::new();
    let setup = scene.told_at(&scene.url());
    let setup = setup.hook("local-drain", "10-wait", "until [ -e $OUT/go ]; do sleep 0.1; done");
    let mut guard = scene.start(setup);
    scene.imds.interrupt("terminate", WINDOW);
    wait_delivered(&guard, 1);
    guard.kill();
    guard.start_again();
    guard.wait_line("taken up after a restart", seconds(20));
    std::fs::write(guard.out().join("go"), "").unwrap();
    wait_stages(&guard, &scene.receiver, &["notice", "end"]);
    wait_delivered(&guard, 2);
}

#[test]
fn a_daemon_that_was_killed_before_it_could_tell_does_so_when_it_is_back() {
    let scene = Scene::new();
    let faults = Faults::before(&scene.receiver.address());
    faults.refuse();
    let mut guard = scene.start(scene.told_at(&format!("{}/{PATH}", faults.server())));
    scene.imds.interrupt("terminate", WINDOW);
    guard.wait_record("the end is waiting", seconds(20), |record| {
        record["webhook"].as_array().is_some_and(|messages| messages.len() == 2)
    });
    guard.kill();
    faults.heal();
    guard.start_again();
    wait_stages(&guard, &scene.receiver, &["notice", "end"]);
    wait_delivered(&guard, 2);
}

#[test]
fn an_address_that_changes_is_read_anew_for_each_message() {
    let scene = Scene::new();
    let setup = scene.setup();
    let authority = put(&setup, "authority.pem", &scene.authority.certificate_pem);
    let address = put(&setup, "address", &format!("{}/before\n", scene.url()));
    let token = put(&setup, "token", "Bearer before\n");
    let (address, token) = (address.display().to_string(), token.display().to_string());
    let setup = setup.config(&format!(
        "[webhook]\nurl-file = \"{address}\"\nca-file = \"{}\"\nheaders = {{ Authorization = {{ file = \"{token}\" }}, X-Kind = \"spot\" }}",
        authority.display()
    ));
    let guard = scene.start(setup.hook("local-drain", "10-wait", "until [ -e $OUT/go ]; do sleep 0.1; done"));
    scene.imds.interrupt("terminate", WINDOW);
    wait_delivered(&guard, 1);
    std::fs::write(&address, format!("{}/after", scene.url())).unwrap();
    std::fs::write(&token, "Bearer after").unwrap();
    std::fs::write(guard.out().join("go"), "").unwrap();
    wait_stages(&guard, &scene.receiver, &["notice", "end"]);
    for (arrival, word) in scene.receiver.arrivals().iter().zip(["before", "after"]) {
        let request = &arrival.request;
        assert_eq!(request.uri, format!("/{PATH}/{word}"));
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {word}")));
        assert_eq!(request.header("x-kind"), Some("spot"));
    }
}
