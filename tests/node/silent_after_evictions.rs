//! When the API server falls silent after it has accepted evictions, and the kubelet has heard of none, nobody else
//! stops those pods.

use crate::node::{Node, Tool};
use crate::seconds;
use crate::worker::Worker;

#[test]
fn pods_whose_eviction_the_kubelet_never_heard_of_are_stopped_in_their_time() {
    let evicted = Worker::many("web", 10, 14, 8);
    let held = Worker::many("db", 3, 14, 8);
    let logs = Worker::new("logs-0", 10, 0).daemon_set();
    let workers = [&evicted[..], &held[..]].concat();
    let Some(node) = Node::with("unheard", Tool::Ctr, &[&workers[..], &[logs]].concat()) else { return };
    node.cluster.make_budget(&node.node, "db", "db", held.len(), held.len());
    let guard = node.guard("");

    node.kubelet_faults.hang();
    let response = node.interrupt(guard, 40);
    response.guard.expect("the evictions are accepted", seconds(15), || {
        let audit = node.cluster.audit_of(&node.node);
        let accepted = audit.iter().filter(|request| request.what() == "create pods/eviction" && request.code == 201);
        (accepted.count() == evicted.len()).then_some(())
    });
    node.faults.hang();
    response.wait_for_deadline();

    for worker in &workers {
        let (story, log) = (node.story(&worker.name), response.guard.log());
        let steps = (story.started.len(), story.told.len(), story.finished.len());
        assert_eq!(steps, (1, 1, 1), "{}: {story:?}\n{log}", worker.name);
        let before_drain_end = response.drain_end() - story.told[0];
        assert!(before_drain_end < worker.grace as f64 + 4.0, "{} was stopped {before_drain_end} s early", worker.name);
    }
    assert!(node.kubelet_is_frozen());
    assert_eq!(node.running(), ["logs-0"], "something was started again, or not stopped");
    assert!(node.story("logs-0").told.is_empty());
}
