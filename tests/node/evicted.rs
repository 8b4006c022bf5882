//! With an API server that answers, real containers stop as their pods are evicted.

use stand_ins::record;

use crate::node::{Node, Tool};
use crate::seconds;
use crate::worker::Worker;

#[test]
fn evicted_containers_finish_their_work_and_daemon_set_pods_go_on() {
    let mut workers = Worker::many("web", 4, 15, 4);
    workers.push(Worker::new("queue-0", 15, 3).prepares());
    workers.push(Worker::new("nginx-0", 15, 3).stops_on_quit());
    workers.push(Worker::new("stubborn-0", 5, 0).ignores_term());
    let logs = Worker::new("logs-0", 15, 0).daemon_set();
    let Some(node) = Node::with("evicted", Tool::Crictl, &[&workers[..], &[logs]].concat()) else { return };

    let response = node.interrupt(node.guard(""), 30);
    let record = response.guard.wait_done(seconds(40));

    for worker in &workers {
        let story = node.story(&worker.name);
        assert_eq!((story.started.len(), story.told.len()), (1, 1), "{}: {story:?}", worker.name);
        let finishes = usize::from(worker.name != "stubborn-0");
        assert_eq!(story.finished.len(), finishes, "{}: {story:?}", worker.name);
        let outcome = if finishes == 1 { "graceful" } else { "killed" };
        assert_eq!(record::pod(&record, &worker.name)["outcome"], outcome, "{record:#}");
    }
    assert_eq!(node.story("queue-0").prepared.len(), 1);
    assert_eq!(record["outcome"], "complete", "{record:#}");
    assert!(record::hooks(&record).is_empty(), "nothing was left to stop locally: {record:#}");
    assert!(!node.kubelet_is_frozen());
    node.wait_for_pods_left(&["logs-0"]);
    assert_eq!(node.running(), ["logs-0"]);
    assert!(node.story("logs-0").told.is_empty());
}
