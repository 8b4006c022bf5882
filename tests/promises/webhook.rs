//! A webhook is told of each response at first sight and at its end, over HTTPS that is checked, until it was told or its
//! time is over; and nothing waits for it.

mod outages;
mod secrets;
mod ways;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use stand_ins::certificates::Authority;
use stand_ins::guard::{Guard, Setup};
use stand_ins::imds::{Imds, SPOT};
use stand_ins::pods::PodSpec;
use stand_ins::receiver::{Receiver, Reply};
use stand_ins::record;
use stand_ins::world::World;

use crate::{PROGRAM, seconds};

/// What nothing may show.
const PATH: &str = "hooks/T0123456/s3cr3t-path";

/// Names by which the server is reached.
const NAMES: [&str; 2] = ["127.0.0.1", "hooks.example.com"];

/// A machine without a cluster, and a server that it trusts.
struct Scene {
    imds: Imds,
    authority: Authority,
    receiver: Receiver,
}

impl Scene {
    fn new() -> Scene {
        let authority = Authority::new("webhooks");
        let receiver = Receiver::start(&authority, &NAMES);
        Scene { imds: Imds::on_loopback(), authority, receiver }
    }

    fn setup(&self) -> Setup {
        Setup::new(PROGRAM).imds(&self.imds).without_kubernetes()
    }

    /// spot-guard with this webhook, and the authority in a file.
    fn told_at(&self, address: &str) -> Setup {
        let setup = self.setup();
        let more = webhook(&setup, &self.authority, address);
        setup.config(&more)
    }

    fn start(&self, setup: Setup) -> Guard {
        let guard = setup.start();
        wait_polled(&guard, &self.imds);
        guard
    }

    fn url(&self) -> String {
        url(&self.receiver)
    }
}

fn url(receiver: &Receiver) -> String {
    format!("https://{}/{PATH}", receiver.address())
}

/// The settings of a webhook at this address, whose authority is put beside them.
fn webhook(setup: &Setup, authority: &Authority, address: &str) -> String {
    let file = put(setup, "authority.pem", &authority.certificate_pem);
    format!("[webhook]\nurl = \"{address}\"\nca-file = \"{}\"", file.display())
}

/// Puts a file into the folder of `setup`.
fn put(setup: &Setup, name: &str, text: &str) -> PathBuf {
    let path = setup.folder().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn wait_polled(guard: &Guard, imds: &Imds) {
    guard.expect("IMDS is polled", seconds(20), || imds.log().into_iter().find(|asked| asked.path == SPOT));
}

fn wait_stages(guard: &Guard, receiver: &Receiver, stages: &[&str]) {
    guard.expect(&format!("the webhook is told {stages:?}"), seconds(30), || {
        (receiver.stages() == stages).then_some(())
    });
}

/// The record, once it says that so many messages were delivered.
fn wait_delivered(guard: &Guard, count: usize) -> Value {
    guard.wait_record(&format!("{count} messages are delivered"), seconds(30), |record| {
        let messages = record["webhook"].as_array().into_iter().flatten();
        messages.filter(|message| message["delivered_at"].is_string()).count() == count
    })
}

#[test]
fn both_stages_carry_the_record_and_say_which_pool_it_is() {
    let world = World::new("webhook", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let authority = Authority::new("webhooks");
    let receiver = Receiver::start(&authority, &NAMES);
    let setup = world.setup(PROGRAM);
    let more = webhook(&setup, &authority, &url(&receiver));
    let guard = world.start(setup.config(&more));
    world.interrupt(&guard, 20);
    wait_stages(&guard, &receiver, &["notice", "end"]);
    let record = wait_delivered(&guard, 2);

    let arrivals = receiver.arrivals();
    for arrival in &arrivals {
        let request = &arrival.request;
        assert_eq!((request.method.as_str(), request.uri.as_str()), ("POST", &*format!("/{PATH}")));
        assert_eq!(request.header("content-type"), Some("application/json"));
        let body = arrival.json();
        assert_eq!((&body["id"], &body["notice"]["kind"]), (&record["id"], &"spot-interruption".into()));
        assert_eq!(
            (&body["instance"]["type"], &body["instance"]["availability_zone"]),
            (&"m5.large".into(), &"eu-west-1a".into())
        );
        let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let whole = fields(&body).into_iter().filter(|field| field != "stage").collect::<Vec<_>>();
        assert_eq!(whole, fields(&record), "all of the record");
    }
    let [notice, end] = [arrivals[0].json(), arrivals[1].json()];
    assert_eq!((&notice["outcome"], &end["outcome"]), (&Value::Null, &"complete".into()));
    assert_eq!(record::pod(&end, "web-0")["outcome"], "graceful", "{end:#}");
    world.assert_only_allowed_requests();
}

#[test]
fn a_recommendation_that_is_only_observed_is_heard_of() {
    let scene = Scene::new();
    let guard = scene.start(scene.told_at(&scene.url()));
    scene.imds.recommend_rebalance();
    wait_stages(&guard, &scene.receiver, &["notice", "end"]);
    for arrival in scene.receiver.arrivals() {
        let body = arrival.json();
        assert_eq!(
            (&body["notice"]["kind"], &body["terms"]["reaction"]),
            (&"rebalance-recommendation".into(), &"observe".into())
        );
    }
    let record = wait_delivered(&guard, 2);
    assert_eq!(record["outcome"], "complete");
}

#[test]
fn a_drain_by_hand_without_a_daemon_is_told_before_the_command_ends() {
    let scene = Scene::new();
    let setup = scene.told_at(&scene.url());
    let output = setup.output(&["drain", "--window", "20s"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(scene.receiver.stages(), ["notice", "end"]);
    let records = fs::read_dir(setup.folder().join("state/responses")).unwrap();
    let records: Vec<Value> =
        records.map(|file| serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap()).collect();
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &"complete".into()), "its end is on disk");
    assert_eq!(scene.receiver.arrivals()[0].json()["notice"]["kind"], "by-hand");
}

#[test]
fn a_dry_run_tells_nobody() {
    let scene = Scene::new();
    let guard = scene.start(scene.told_at(&scene.url()).argument("--dry-run"));
    scene.imds.interrupt("terminate", seconds(10));
    let record = guard.wait_done(seconds(25));
    assert_eq!((&record["terms"]["dry_run"], &record["webhook"]), (&true.into(), &Value::Array(Vec::new())));
    assert!(scene.receiver.arrivals().is_empty());
}

#[test]
fn an_alert_is_triggered_and_resolved_by_the_shipped_template() {
    let scene = Scene::new();
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/webhook/pagerduty.json");
    let setup = scene.told_at(&scene.url()).config(&format!("template = \"{template}\""));
    let guard = scene.start(setup);
    scene.imds.interrupt("stop", seconds(15));
    guard.expect("both are told", seconds(25), || (scene.receiver.arrivals().len() == 2).then_some(()));
    let [trigger, resolve] = [0, 1].map(|which| scene.receiver.arrivals()[which].json());
    assert_eq!((&trigger["event_action"], &resolve["event_action"]), (&"trigger".into(), &"resolve".into()));
    assert_eq!(trigger["dedup_key"], resolve["dedup_key"]);
    let (id, key) = (scene.imds.instance_id(), trigger["dedup_key"].as_str().unwrap());
    assert!(key.contains(&id), "{key}");
    assert_eq!(trigger["payload"]["group"], "eu-west-1a m5.large");
    let summary = trigger["payload"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("spot interruption (stop) of ") && summary.contains("drain, 1"), "{summary}");
    assert_eq!(resolve["payload"]["custom_details"]["outcome"], "complete");
}

#[test]
fn a_server_that_is_slow_holds_up_no_pod() {
    let world = World::on_stand_in("webhook-slow", &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let authority = Authority::new("webhooks");
    let receiver = Receiver::start(&authority, &NAMES);
    receiver.reply(&[Reply::Slow(seconds(6))]);
    let setup = world.setup(PROGRAM);
    let more = webhook(&setup, &authority, &url(&receiver));
    let guard = world.start(setup.config(&more));
    world.interrupt(&guard, 25);
    let done = guard.wait_done(seconds(30));
    assert!(done["webhook"][0]["delivered_at"].is_null(), "the response is over before it has answered: {done:#}");
    let record = wait_delivered(&guard, 2);
    assert_eq!((&record["webhook"][0]["attempts"], &record["outcome"]), (&1.into(), &"complete".into()));
    wait_stages(&guard, &receiver, &["notice", "end"]);
}
