//! When the API server is back in the middle of a local drain, the pods are evicted and nothing is started again.

use crate::node::{Node, Tool};
use crate::seconds;
use crate::worker::Worker;

#[test]
fn what_was_stopped_locally_stays_stopped_when_the_api_server_is_back() {
    let stopped = Worker::many("queue", 3, 30, 8);
    let evicted = Worker::many("web", 3, 8, 4);
    let logs = Worker::new("logs-0", 10, 0).daemon_set();
    let workers = [&stopped[..], &evicted[..]].concat();
    let Some(node) = Node::with("back", Tool::Crictl, &[&workers[..], &[logs]].concat()) else { return };
    let guard = node.guard("");
    node.freeze_api_server();
    let response = node.interrupt(guard, 45);
    node.expect("the long ones are stopped", seconds(30), || {
        stopped.iter().all(|worker| !node.story(&worker.name).told.is_empty()).then_some(())
    });
    assert!(node.kubelet_is_frozen());
    node.thaw_api_server();
    let record = response.guard.wait_done(seconds(50));
    node.wait_for_pods_left(&["logs-0"]);

    for worker in &workers {
        let story = node.story(&worker.name);
        let steps = (story.started.len(), story.told.len(), story.finished.len());
        assert_eq!(steps, (1, 1, 1), "{}: {story:?}\n{}", worker.name, response.guard.log());
    }
    for worker in &evicted {
        let before_drain_end = response.drain_end() - node.story(&worker.name).told[0];
        assert!(before_drain_end > worker.grace as f64 + 4.0, "{} was not evicted", worker.name);
    }
    assert!(!node.kubelet_is_frozen());
    assert_eq!(node.running(), ["logs-0"]);
    assert!(node.story("logs-0").told.is_empty());
    assert_eq!(record["outcome"], "complete", "{record:#}");
    let runs = record["hooks"].as_array().unwrap();
    assert!(runs.len() >= 2 && runs.iter().all(|run| run["exit"] == 0), "{record:#}");
    assert_eq!(runs.last().unwrap()["argument"], "end", "{record:#}");
}
