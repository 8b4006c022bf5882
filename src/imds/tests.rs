use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use stand_ins::imds::{Date, Fault, Imds, LIFECYCLE_STATE, REBALANCE, SCHEDULED, ScheduledEvent};

use super::*;
use crate::config;
use crate::instance::Instance;
use crate::moment::Moment;
use crate::notice::Kind;

/// An item that every instance has.
const ID: &str = "meta-data/instance-id";

/// Enough for what must come, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(endpoint: String, timeout: Duration) -> config::Imds {
    let poll_interval = Duration::from_millis(200);
    config::Imds { endpoint, disabled: false, poll_interval, poll_interval_at_risk: poll_interval, timeout }
}

fn client(imds: &Imds) -> Client {
    Client::new(&settings(imds.endpoint(), PATIENCE))
}

fn impatient(imds: &Imds) -> Client {
    Client::new(&settings(imds.endpoint(), Duration::from_millis(300)))
}

fn polled(imds: &Imds) -> (Poll, Receiver<News>) {
    let (sender, receiver) = channel();
    let settings = settings(imds.endpoint(), PATIENCE);
    (poll(&settings, move |news| drop(sender.send(news))).unwrap(), receiver)
}

/// The next news of this sort.
fn wait_for<T>(news: &Receiver<News>, wanted: impl Fn(News) -> Option<T>) -> T {
    let end = Moment::now() + PATIENCE;
    loop {
        let next = news.recv_timeout(Moment::now().until(end)).expect("the news comes");
        if let Some(found) = wanted(next) {
            return found;
        }
    }
}

fn notice(news: News) -> Option<Item> {
    if let News::Notice(_, Some(item), _) = news { Some(item) } else { None }
}

fn asked(imds: &Imds) -> Vec<(String, String, u16)> {
    imds.log().into_iter().map(|asked| (asked.method, asked.path, asked.status)).collect()
}

/// A server that answers everything in the same words.
fn saying(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            BufReader::new(&stream).lines().map_while(Result::ok).find(String::is_empty);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    endpoint
}

#[test]
fn an_item_comes_with_the_services_own_time() {
    let imds = Imds::on_loopback();
    imds.set_date(Date::Ahead(86_400));
    let item = client(&imds).get(ID).unwrap().unwrap();
    assert_eq!(item.body, imds.instance_id());
    let ahead = item.date.unwrap().later_than(Timestamp::now()).unwrap();
    assert!(ahead > Duration::from_secs(86_000), "{ahead:?}");
}

#[test]
fn an_item_without_a_date_is_an_item() {
    let imds = Imds::on_loopback();
    imds.set_date(Date::Absent);
    assert_eq!(client(&imds).get(ID).unwrap().unwrap().date, None);
}

#[test]
fn an_item_that_is_not_there_is_no_error() {
    let imds = Imds::on_loopback();
    assert_eq!(client(&imds).get(INSTANCE_ACTION), Ok(None));
}

#[test]
fn one_token_serves_for_many_requests() {
    let imds = Imds::on_loopback();
    let mut client = client(&imds);
    (0..3).for_each(|_| drop(client.get(ID).unwrap()));
    assert_eq!(asked(&imds).iter().filter(|(method, ..)| method == "PUT").count(), 1);
}

#[test]
fn a_token_that_is_refused_is_dropped_and_asked_for_once_more() {
    let imds = Imds::on_loopback();
    let mut client = client(&imds);
    client.get(ID).unwrap();
    imds.revoke_tokens();
    assert!(client.get(ID).unwrap().is_some());
    let statuses: Vec<u16> = asked(&imds).iter().map(|(.., status)| *status).collect();
    assert_eq!(statuses, [200, 200, 401, 200, 200]);
}

#[test]
fn a_service_that_refuses_every_token_is_asked_twice_and_no_more() {
    let imds = Imds::on_loopback();
    imds.fault_at("meta-data", Fault::Status(401));
    let error = client(&imds).get(ID).unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }), "{error}");
    assert_eq!(asked(&imds).len(), 4);
}

#[test]
fn a_token_is_renewed_in_time_and_serves_until_that_works() {
    let imds = Imds::on_loopback();
    let mut client = client(&imds);
    client.get(ID).unwrap();
    client.age_token(Duration::from_secs(4 * 3600));
    imds.fault_at("api/token", Fault::Status(503));
    assert!(client.get(ID).unwrap().is_some(), "with the old token");
    assert!(client.get(ID).unwrap().is_some(), "and not asked again at once");
    client.age_token(Duration::from_secs(120));
    imds.heal();
    assert!(client.get(ID).unwrap().is_some());
    let puts: Vec<u16> = asked(&imds).iter().filter(|(method, ..)| method == "PUT").map(|a| a.2).collect();
    assert_eq!(puts, [200, 503, 200]);
}

#[test]
fn a_token_is_not_used_beyond_its_life() {
    let imds = Imds::on_loopback();
    let mut client = client(&imds);
    client.get(ID).unwrap();
    client.age_token(Duration::from_secs(6 * 3600));
    imds.fault_at("api/token", Fault::Status(503));
    assert!(matches!(client.get(ID), Err(Error::Refused { status: 503, .. })));
}

#[test]
fn a_refusal_says_what_came_back_in_a_line_of_bounded_length() {
    let imds = Imds::on_loopback();
    imds.fault_at("meta-data", Fault::Status(500));
    let error = client(&imds).get(ID).unwrap_err().to_string();
    assert!(error.contains("/latest/meta-data/instance-id: the metadata service answered 500 ("), "{error}");
    assert!(!error.contains('\n') && error.len() < 400, "{error}");
}

#[test]
fn a_token_that_is_a_web_page_is_refused() {
    let imds = Imds::on_loopback();
    imds.fault(Fault::Html);
    assert!(matches!(client(&imds).get(ID), Err(Error::NoToken { .. })));
}

#[test]
fn a_body_beyond_the_limit_is_not_read() {
    let imds = Imds::on_loopback();
    imds.fault_at("meta-data", Fault::BigBody(10_000_000));
    assert!(matches!(client(&imds).get(ID), Err(Error::TooLarge { .. })));
}

#[test]
fn a_body_at_the_limit_is_read() {
    let imds = Imds::on_loopback();
    imds.set("meta-data/long", &"x".repeat(64 * 1024));
    assert_eq!(client(&imds).get("meta-data/long").unwrap().unwrap().body.len(), 64 * 1024);
}

#[test]
fn a_service_that_hangs_or_trickles_is_not_waited_for() {
    for fault in [Fault::Hang, Fault::SlowBytes(Duration::from_millis(50))] {
        let imds = Imds::on_loopback();
        imds.fault(fault);
        let before = Moment::now();
        let error = impatient(&imds).get(ID).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
        assert!(Moment::now().since(before) < Duration::from_secs(3), "{fault:?}");
    }
}

#[test]
fn every_third_attempt_in_a_row_has_more_patience() {
    let imds = Imds::on_loopback();
    imds.fault(Fault::Hang);
    let mut client = impatient(&imds);
    let took = [(); 6].map(|()| {
        let before = Moment::now();
        assert!(client.get(ID).is_err());
        Moment::now().since(before) >= Duration::from_millis(900)
    });
    assert!(took[2] && took[5], "{took:?}");
}

#[test]
fn a_redirect_is_a_refusal_and_not_followed() {
    let elsewhere = Imds::on_loopback();
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.endpoint());
    let error = Client::new(&settings(saying(redirect), PATIENCE)).get(ID).unwrap_err();
    assert!(matches!(error, Error::Refused { status: 302, .. }), "{error}");
    assert!(elsewhere.log().is_empty());
}

#[test]
fn an_answer_that_is_no_http_is_an_error() {
    let endpoint = saying("SSH-2.0-OpenSSH_9.2\r\n\r\n".into());
    let error = Client::new(&settings(endpoint, PATIENCE)).get(ID).unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
}

#[test]
fn an_endpoint_on_ipv6_is_asked_too() {
    let imds = Imds::start("[::1]:0").unwrap();
    assert!(client(&imds).get(ID).unwrap().is_some());
}

/// The environment can only be set for a new process: the test starts itself once more.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    if std::env::var_os("HTTP_PROXY").is_some() {
        let imds = Imds::on_loopback();
        assert!(client(&imds).get(ID).unwrap().is_some());
        return;
    }
    let proxy = saying("HTTP/1.1 500 This is the proxy\r\nContent-Length: 0\r\n\r\n".into());
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "imds::tests::a_proxy_of_the_environment_is_not_used", "--nocapture"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_poll_tells_a_notice_and_what_this_machine_is() {
    let imds = Imds::on_loopback();
    let (poll, news) = polled(&imds);
    let instance = wait_for(&news, |news| if let News::Instance(instance) = news { Some(instance) } else { None });
    let expected = Instance {
        id: Some(imds.instance_id()),
        kind: Some("m5.large".into()),
        availability_zone: Some("eu-west-1a".into()),
        region: Some("eu-west-1".into()),
        life_cycle: Some("spot".into()),
    };
    assert_eq!(instance, expected);
    assert_eq!(asked(&imds)[1].1, INSTANCE_ACTION, "a notice comes before everything else");
    imds.interrupt("terminate", Duration::from_secs(120));
    let item = wait_for(&news, notice);
    assert!(item.body.contains("terminate") && item.date.is_some());
    let counts = poll.counts();
    assert!(counts.requests.get(&(INSTANCE_ACTION.into(), "200".into())) >= Some(&1), "{counts:?}");
    assert!(counts.last_success.is_some());
}

#[test]
fn every_kind_of_notice_that_stands_at_the_start_is_told_within_a_few_beats() {
    let imds = Imds::on_loopback();
    imds.recommend_rebalance();
    imds.schedule(&[ScheduledEvent { id: "e", code: "system-reboot", state: "active", after: PATIENCE }]);
    imds.set_lifecycle_state("Terminated");
    imds.interrupt("terminate", PATIENCE);
    let (poll, news) = polled(&imds);
    let told = |kind| {
        let of = |news| if let News::Notice(of, Some(item), _) = news { (of == kind).then_some(item) } else { None };
        wait_for(&news, of).body
    };
    assert!(told(Kind::SpotInterruption).contains("action"));
    assert_eq!(told(Kind::AutoscalingTermination), "Terminated");
    assert!(told(Kind::RebalanceRecommendation).contains("noticeTime"));
    assert!(told(Kind::Maintenance).contains("EventId"));
    let polls = asked(&imds).iter().filter(|(_, path, _)| path == INSTANCE_ACTION).count();
    assert!(polls <= 5, "one beat for the instance and one for each kind, but it took {polls}");
    let counts = poll.counts().requests;
    for path in [INSTANCE_ACTION, LIFECYCLE_STATE, REBALANCE, SCHEDULED] {
        assert!(counts.contains_key(&(path.to_owned(), "200".to_owned())), "{path}: {counts:?}");
    }
}

/// Whatever is asked between two polls of Spot's path, it is one question about a notice at the most.
fn assert_one_between_polls(imds: &Imds) {
    let paths: Vec<String> = asked(imds).into_iter().map(|(_, path, _)| path).collect();
    let between = paths.split(|path| path == INSTANCE_ACTION);
    for questions in between.filter(|questions| !questions.contains(&ID.to_owned())) {
        assert!(questions.len() <= 1, "{paths:?}");
    }
}

#[test]
fn one_question_at_the_most_comes_between_two_polls() {
    let imds = Imds::on_loopback();
    let (_poll, _news) = polled(&imds);
    assert!(imds.wait_requests(20, PATIENCE));
    assert_one_between_polls(&imds);
}

#[test]
fn paths_that_hang_hold_up_a_poll_by_one_request_at_the_most() {
    let imds = Imds::on_loopback();
    imds.fault_at("meta-data/autoscaling", Fault::Hang);
    imds.fault_at("meta-data/events", Fault::Hang);
    let (sender, news) = channel();
    let _poll = poll(&settings(imds.endpoint(), Duration::from_millis(300)), move |news| drop(sender.send(news)));
    let hung = || asked(&imds).iter().filter(|(.., status)| *status == 0).count();
    stand_ins::wait::wait(PATIENCE, || (hung() >= 6).then_some(())).expect("all are asked again");
    assert_one_between_polls(&imds);
    imds.interrupt("terminate", PATIENCE);
    assert!(wait_for(&news, notice).body.contains("terminate"));
}

#[test]
fn the_trouble_of_another_path_names_it_and_ends() {
    let imds = Imds::on_loopback();
    imds.fault_at(REBALANCE, Fault::Status(500));
    let (_poll, news) = polled(&imds);
    let text = wait_for(&news, |news| if let News::Trouble(text) = news { Some(text) } else { None });
    assert!(text.contains(REBALANCE) && text.contains("no rebalance recommendation is seen"), "{text}");
    imds.heal();
    wait_for(&news, |news| (news == News::Well).then_some(()));
}

#[test]
fn the_poll_is_quicker_while_a_rebalance_recommendation_stands() {
    let imds = Imds::on_loopback();
    imds.recommend_rebalance();
    let at_risk = Duration::from_millis(200);
    let settings = config::Imds {
        poll_interval: Duration::from_secs(1),
        poll_interval_at_risk: at_risk,
        ..settings(imds.endpoint(), PATIENCE)
    };
    let _poll = poll(&settings, drop).unwrap();
    let polls = || imds.log().into_iter().filter(|asked| asked.path == INSTANCE_ACTION).map(|asked| asked.at);
    let quickest_four_after = |from: std::time::Instant| {
        let polls: Vec<_> = polls().filter(|at| *at > from).collect();
        polls.windows(4).map(|polls| polls[3] - polls[0]).min()
    };
    let seen = imds.wait_served(REBALANCE, PATIENCE).expect("it is asked for");
    stand_ins::wait::wait(PATIENCE, || quickest_four_after(seen).filter(|time| *time < 9 * at_risk))
        .expect("it is quicker");
}

#[test]
fn the_poll_outlives_errors_and_tells_when_they_begin_and_end() {
    let imds = Imds::on_loopback();
    imds.fault(Fault::Status(503));
    let (_poll, news) = polled(&imds);
    assert!(matches!(news.recv_timeout(PATIENCE).unwrap(), News::Trouble(text) if text.contains("503")));
    imds.interrupt("stop", Duration::from_secs(120));
    assert!(imds.wait_requests(3, PATIENCE), "it goes on asking");
    imds.heal();
    assert_eq!(news.recv_timeout(PATIENCE).unwrap(), News::Well);
    assert!(notice(news.recv_timeout(PATIENCE).unwrap()).is_some());
}

#[test]
fn an_instance_that_is_not_told_does_not_hold_up_a_notice_and_is_asked_for_again() {
    let imds = Imds::on_loopback();
    imds.fault_at("dynamic", Fault::Status(500));
    let (_poll, news) = polled(&imds);
    imds.interrupt("terminate", Duration::from_secs(120));
    wait_for(&news, notice);
    assert!(imds.wait_requests(4, PATIENCE), "a token, the notice, the id, and the document that fails");
    imds.heal();
    let instance = wait_for(&news, |news| if let News::Instance(instance) = news { Some(instance) } else { None });
    assert_eq!(instance.region.as_deref(), Some("eu-west-1"));
    assert_eq!(asked(&imds).iter().filter(|(_, path, _)| path == ID).count(), 1, "what is known is not asked again");
}

#[test]
fn a_disabled_service_is_never_asked() {
    let imds = Imds::on_loopback();
    let settings = config::Imds { disabled: true, ..settings(imds.endpoint(), PATIENCE) };
    assert_eq!(Client::new(&settings).get(ID), Err(Error::Disabled));
    let (sender, news) = channel();
    poll(&settings, move |news| drop(sender.send(news))).unwrap();
    assert!(matches!(news.recv().unwrap(), News::Trouble(_)));
    assert!(news.recv().is_err(), "nobody is left who could tell more");
    assert!(imds.log().is_empty());
}
