//! With an API server that is silent from the beginning, the shipped hook finds the pods and stops each in its time.

use crate::node::{Node, Response, Tool};
use crate::worker::Worker;

/// The longest grace period needs all of the time that is left, the shortest a little of its end.
fn workers() -> Vec<Worker> {
    let mut workers = Worker::many("web", 4, 10, 5);
    workers.extend(Worker::many("queue", 2, 25, 18));
    workers.push(Worker::new("model-0", 300, 20));
    workers.push(Worker::new("prepared-0", 12, 6).prepares());
    workers.push(Worker::new("nginx-0", 10, 5).stops_on_quit());
    workers.push(Worker::new("stubborn-0", 6, 0).ignores_term());
    workers
}

fn stops_each_in_its_time(purpose: &str, tool: Tool) {
    let workers = workers();
    let logs = Worker::new("logs-0", 10, 0).daemon_set();
    let Some(node) = Node::with(purpose, tool, &[&workers[..], &[logs]].concat()) else { return };
    let guard = node.guard("");
    node.freeze_api_server();
    let response = node.interrupt(guard, 40);
    response.wait_for_deadline();

    assert!(node.kubelet_is_frozen());
    for worker in &workers {
        assert_stopped_in_its_time(&node, &response, worker);
    }
    assert_eq!(node.running(), ["logs-0"], "something was started again, or not stopped");
    assert!(node.story("logs-0").told.is_empty());
}

fn assert_stopped_in_its_time(node: &Node, response: &Response, worker: &Worker) {
    let (story, log) = (node.story(&worker.name), response.guard.log());
    assert_eq!((story.started.len(), story.told.len()), (1, 1), "{}: {story:?}\n{log}", worker.name);
    // What it takes to begin a few stops on a busy machine.
    let before_drain_end = response.drain_end() - story.told[0];
    assert!(before_drain_end < worker.grace as f64 + 6.0, "{} was stopped {before_drain_end} s early", worker.name);
    if worker.name != "stubborn-0" {
        assert_eq!(story.finished.len(), 1, "{} was cut: {story:?}\n{log}", worker.name);
        assert!(story.finished[0] < response.deadline);
    }
    assert_eq!(story.prepared.len(), usize::from(worker.name == "prepared-0"), "{}", worker.name);
}

#[test]
fn crictl_stops_each_pod_in_its_time_while_the_api_server_is_frozen() {
    stops_each_in_its_time("crictl", Tool::Crictl);
}

#[test]
fn ctr_stops_each_pod_in_its_time_while_the_api_server_is_frozen() {
    stops_each_in_its_time("ctr", Tool::Ctr);
}
