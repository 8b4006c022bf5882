//! Credentials as nodes have them work, and are there before a notice comes.

use std::time::{Duration, Instant};

use serde_json::Value;
use stand_ins::api::User;
use stand_ins::guard::Guard;
use stand_ins::pods::PodSpec;
use stand_ins::record;
use stand_ins::world::World;
use time::format_description::well_known::Rfc3339;

use crate::{PROGRAM, seconds};

const V1: &str = "client.authentication.k8s.io/v1";

fn pods() -> [PodSpec; 1] {
    [PodSpec::new("web-0").grace(5).stops_in(0.5)]
}

/// Interrupts, and asserts that the drain was complete and quick.
fn assert_drains(world: &World, guard: &Guard) {
    assert_drains_within(world, guard, 3.0);
}

fn assert_drains_within(world: &World, guard: &Guard, patience: f64) {
    world.interrupt(guard, 20);
    let record = guard.wait_done(seconds(25));
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert_eq!(record["node"]["cordoned_by_us"], true);
    assert!(record::since_notice(&record, &record::pod(&record, "web-0")["asked_at"]) < patience, "{record:#}");
}

#[test]
fn an_exec_plugin_runs_before_the_notice_and_not_again_while_its_credentials_last() {
    for version in ["client.authentication.k8s.io/v1beta1", V1] {
        let world = World::new("exec", &pods());
        let setup = world.setup_without_cluster(PROGRAM);
        let kubeconfigs = world.kubeconfigs(&setup);
        let path = kubeconfigs.exec_plugin(version, Duration::from_secs(3600));
        let guard = world.start(setup.kubeconfig(&path));
        assert_eq!(kubeconfigs.plugin_runs(), 1, "{version}");
        assert_drains(&world, &guard);
        assert_eq!(kubeconfigs.plugin_runs(), 1, "{version}");
        world.assert_only_allowed_requests();
    }
}

/// A world with a pod that stays until it is killed at the end of a response.
fn world_of_a_long_response(purpose: &str) -> World {
    World::new(purpose, &[PodSpec::new("web-0").grace(100).never_stops()])
}

#[test]
fn an_exec_plugin_is_not_run_beside_a_response_that_its_credentials_last_for_but_after_it() {
    let world = world_of_a_long_response("spared");
    let setup = world.setup_without_cluster(PROGRAM);
    let kubeconfigs = world.kubeconfigs(&setup);
    // To be renewed after 30 s, which the keeper notices 5 s later at the latest.
    let began = Instant::now();
    let path = kubeconfigs.exec_plugin(V1, seconds(40));
    let guard = world.start(setup.kubeconfig(&path));
    world.interrupt(&guard, 38 - began.elapsed().as_secs());
    guard.expect("the plugin is run again", seconds(60), || (kubeconfigs.plugin_runs() > 1).then_some(()));
    let record = guard.record().expect("a response");
    let before_deadline =
        record::before_deadline(&record, &kubeconfigs.plugin_ran_at().format(&Rfc3339).unwrap().into());
    assert!(before_deadline <= 0.0, "{before_deadline} s before the deadline: {record:#}");
    assert_eq!(record::pod(&record, "web-0")["outcome"], "left", "the response lasted to its deadline: {record:#}");
}

#[test]
fn an_exec_plugin_is_run_beside_a_response_that_its_credentials_do_not_last_for() {
    let world = world_of_a_long_response("needed");
    let setup = world.setup_without_cluster(PROGRAM);
    let kubeconfigs = world.kubeconfigs(&setup);
    // To be renewed after 15 s.
    let path = kubeconfigs.exec_plugin(V1, seconds(20));
    let guard = world.start(setup.kubeconfig(&path));
    world.interrupt(&guard, 90);
    guard.expect("the plugin is run again", seconds(60), || (kubeconfigs.plugin_runs() > 1).then_some(()));
    let record = guard.record().expect("a response");
    assert_eq!(record["outcome"], Value::Null, "it is still under way: {record:#}");
}

#[test]
fn an_exec_plugin_runs_again_when_its_token_is_refused() {
    let world = World::on_stand_in("token", &pods());
    let api = world.cluster.api().expect("a stand-in");
    let user = User::new(&format!("system:node:{}", world.node.name), &["system:nodes"]);
    api.accept_token("first", user.clone());
    let setup = world.setup_without_cluster(PROGRAM);
    let kubeconfigs = world.kubeconfigs(&setup);
    let path = kubeconfigs.exec_plugin_with_token("client.authentication.k8s.io/v1beta1", "first");
    let guard = world.start(setup.kubeconfig(&path));
    kubeconfigs.exec_plugin_with_token("client.authentication.k8s.io/v1beta1", "second");
    api.accept_token("second", user);
    api.revoke_token("first");
    // A plugin rests 5 s between two runs.
    assert_drains_within(&world, &guard, 8.0);
    assert_eq!(kubeconfigs.plugin_runs(), 2);
}

#[test]
fn a_token_file_is_read_again() {
    let world = World::on_stand_in("file", &pods());
    let api = world.cluster.api().expect("a stand-in");
    let user = User::new(&format!("system:node:{}", world.node.name), &["system:nodes"]);
    api.accept_token("first", user.clone());
    let setup = world.setup_without_cluster(PROGRAM);
    let (path, token) = world.kubeconfigs(&setup).token_file("first");
    let guard = world.start(setup.kubeconfig(&path));
    std::fs::write(token, "second").expect("write the token");
    api.accept_token("second", user);
    api.revoke_token("first");
    assert_drains(&world, &guard);
}

#[test]
fn inline_certificates_work() {
    let world = World::new("inline", &pods());
    let setup = world.setup_without_cluster(PROGRAM);
    let path = world.kubeconfigs(&setup).inline();
    let guard = world.start(setup.kubeconfig(&path));
    assert_drains(&world, &guard);
    world.assert_only_allowed_requests();
}

#[test]
fn a_certificate_that_is_rotated_while_it_runs_is_taken_up() {
    let world = World::new("rotate", &pods());
    let setup = world.setup_without_cluster(PROGRAM);
    let kubeconfigs = world.kubeconfigs(&setup);
    let path = kubeconfigs.combined();
    let user = format!("system:node:{}", world.node.name);
    let old = world.cluster.authority().client(&user, "system:nodes", seconds(8));
    kubeconfigs.rotate(&old);
    let guard = world.start(setup.kubeconfig(&path));
    kubeconfigs.rotate(&world.cluster.identity_of(&world.node.name));
    let admin =
        stand_ins::client::Client::new(world.cluster.server(), &world.cluster.authority().certificate_pem, Some(&old));
    guard.expect("the old certificate is good for nothing", seconds(20), || {
        (admin.get(&format!("/api/v1/nodes/{}", world.node.name)).status == 401).then_some(())
    });
    assert_drains(&world, &guard);
}
