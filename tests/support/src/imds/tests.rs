//! The stand-in keeps the manners that FACTS about IMDS promise.

use std::io::{Read, Write};

use super::*;

fn ask(imds: &Imds, request: &str) -> String {
    let mut stream = TcpStream::connect(imds.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("{request}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_or_else(|error| error.kind().to_string(), |_| answer)
}

fn token(imds: &Imds) -> String {
    let answer = ask(imds, "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split("\r\n\r\n").nth(1).unwrap().to_owned()
}

fn get(imds: &Imds, token: &str, path: &str) -> String {
    ask(imds, &format!("GET /latest/{path} HTTP/1.1\r\nX-aws-ec2-metadata-token: {token}"))
}

#[test]
fn a_token_needs_a_time_to_live_and_no_proxy() {
    let imds = Imds::on_loopback();
    for (headers, status) in [
        ("", 400),
        ("\r\nX-aws-ec2-metadata-token-ttl-seconds: 0", 400),
        ("\r\nX-aws-ec2-metadata-token-ttl-seconds: 21601", 400),
        ("\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\nX-Forwarded-For: 10.0.0.1", 403),
    ] {
        let answer = ask(&imds, &format!("PUT /latest/api/token HTTP/1.1{headers}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
    }
}

#[test]
fn items_need_a_token_that_still_counts() {
    let imds = Imds::on_loopback();
    assert!(get(&imds, "none", "meta-data/instance-id").starts_with("HTTP/1.1 401 "));
    let token = token(&imds);
    assert!(get(&imds, &token, "meta-data/instance-id").ends_with(&imds.instance_id()));
    assert!(get(&imds, &token, SPOT).starts_with("HTTP/1.1 404 "));
    imds.revoke_tokens();
    assert!(get(&imds, &token, "meta-data/instance-id").starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_notice_is_served_with_the_date_and_its_first_sight_is_kept() {
    let imds = Imds::on_loopback();
    let token = token(&imds);
    assert_eq!(imds.first_served(SPOT), None);
    imds.set_date(Date::Ahead(7200));
    let time = imds.interrupt("terminate", Duration::from_secs(120));
    let answer = get(&imds, &token, SPOT);
    assert!(answer.contains("\r\nDate: ") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with(&format!(r#"{{"action":"terminate","time":"{}"}}"#, rfc3339(time))), "{answer}");
    assert!((time - OffsetDateTime::now_utc()).whole_seconds() >= 7318);
    let first = imds.wait_served(SPOT, Duration::ZERO).unwrap();
    get(&imds, &token, SPOT);
    assert_eq!(imds.first_served(SPOT), Some(first));
    imds.set_date(Date::Absent);
    assert!(!get(&imds, &token, SPOT).contains("Date:"));
}

#[test]
fn the_other_notices_are_worded_as_aws_words_them_and_go_again() {
    let imds = Imds::on_loopback();
    let token = token(&imds);
    let absent = |path| get(&imds, &token, path).starts_with("HTTP/1.1 404 ");
    assert!([REBALANCE, SCHEDULED, LIFECYCLE_STATE].into_iter().all(absent));
    // 21 January 2019, 09:00:00.
    let now = OffsetDateTime::now_utc().unix_timestamp();
    imds.set_date(Date::Ahead(1_548_061_200 - now));
    let time = imds.recommend_rebalance();
    assert!(get(&imds, &token, REBALANCE).ends_with(&format!("{{\"noticeTime\":\"{}\"}}", rfc3339(time))));
    let event =
        |state| ScheduledEvent { id: "instance-event-0d5", code: "system-reboot", state, after: Duration::ZERO };
    imds.schedule(&[event("active"), event("completed")]);
    let answer = get(&imds, &token, SCHEDULED);
    for words in [
        "\"NotBefore\" : \"21 Jan 2019 09:00:",
        "\"NotAfter\" : \"21 Jan 2019 09:16:",
        "\"Code\" : \"system-reboot\"",
        "\"EventId\" : \"instance-event-0d5\"",
        "\"Description\" : \"[Completed] ",
        "\"State\" : \"active\"",
    ] {
        assert!(answer.contains(words), "{words}: {answer}");
    }
    imds.set_lifecycle_state("Terminated");
    assert!(get(&imds, &token, LIFECYCLE_STATE).ends_with("\r\n\r\nTerminated"));
    imds.withdraw_rebalance();
    imds.schedule_nothing();
    imds.leave_group();
    assert!([REBALANCE, SCHEDULED, LIFECYCLE_STATE].into_iter().all(absent));
}

#[test]
fn each_fault_is_what_it_says_until_it_is_healed() {
    let imds = Imds::on_loopback();
    let token = token(&imds);
    imds.interrupt("stop", Duration::from_secs(120));
    imds.fault("status 503".parse().unwrap());
    assert!(get(&imds, &token, SPOT).starts_with("HTTP/1.1 503 "));
    imds.fault(Fault::Reset);
    assert_eq!(get(&imds, &token, SPOT), "connection reset");
    imds.fault(Fault::BigBody(100_000));
    assert!(get(&imds, &token, SPOT).len() > 100_000);
    imds.fault(Fault::SlowBytes(Duration::from_millis(1)));
    assert!(get(&imds, &token, SPOT).ends_with("Z\"}"));
    imds.fault_at("api/token", Fault::Html);
    assert!(ask(&imds, "PUT /latest/api/token HTTP/1.1").ends_with("</html>\n"));
    imds.fault(Fault::Hang);
    thread::scope(|scope| {
        let hung = scope.spawn(|| get(&imds, &token, SPOT));
        assert!(
            imds.wait(Duration::from_secs(5), |s| s.log.last().filter(|asked| asked.status == 0).map(|_| ())).is_some()
        );
        imds.heal();
        assert_eq!(hung.join().unwrap(), "");
    });
    assert!(get(&imds, &token, SPOT).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_folder_of_files_is_served_as_it_stands_at_each_request() {
    let folder = std::env::temp_dir().join(format!("imds-items-{}", fresh_number()));
    std::fs::create_dir_all(folder.join("meta-data/spot")).unwrap();
    let imds = Imds::on_loopback();
    imds.serve_folder(folder.clone());
    let token = token(&imds);
    assert!(get(&imds, &token, SPOT).starts_with("HTTP/1.1 404 "));
    std::fs::write(folder.join(SPOT), "by file").unwrap();
    assert!(get(&imds, &token, SPOT).ends_with("by file"));
    std::fs::write(folder.join("fault"), "status 500\n").unwrap();
    assert!(get(&imds, &token, SPOT).starts_with("HTTP/1.1 500 "));
    std::fs::remove_dir_all(folder).unwrap();
}
