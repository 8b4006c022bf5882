//! A reboot that EC2 has scheduled: the node is drained before it, and comes back in the next boot.

use std::time::Duration;

use stand_ins::cluster::{Cluster, TestNode};
use stand_ins::imds::{SCHEDULED, ScheduledEvent};
use stand_ins::kubelet::Kubelet;
use stand_ins::pods::PodSpec;
use time::OffsetDateTime;

use crate::machine::{INSTANCE, KUBECONFIG, Machine, kubeconfig, plan};

#[test]
fn a_machine_that_reboots_as_was_scheduled_is_drained_before_and_its_node_comes_back_after() {
    let Some(plan) = plan() else { return };
    let cluster = Cluster::for_test();
    let node = cluster.make_node("reboot", INSTANCE);
    cluster.make_pods(&node, &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let _kubelet = Kubelet::start(&cluster, &node);
    let mut machine = plan
        .item("meta-data/instance-id", INSTANCE)
        .file(KUBECONFIG, 0o600, &kubeconfig(&cluster, &node))
        .hook("post-drain.d/10-tell", "echo $SPOT_GUARD_ACTION >>/var/tmp/post-drain")
        .hook("uncordon.d/10-tell", "echo $SPOT_GUARD_NOTICE $SPOT_GUARD_ACTION >>/var/tmp/uncordon")
        .item(SCHEDULED, &events("active"))
        .boot();
    let _way = machine.reaches(cluster.server());
    machine.wait_for("the drain's end", || machine.outcome().is_some());
    assert_eq!(machine.outcome().as_deref(), Some("complete"), "{}", machine.journal());
    assert!(is_cordoned(&cluster, &node) && cluster.pod(&node, "web-0").is_none());

    let boot = boot_id(&machine);
    machine.run(&["systemctl", "reboot"]);
    machine.wait_for("the machine's end", || machine.is_off());
    assert!(is_cordoned(&cluster, &node) && !machine.path("/var/tmp/uncordon").exists());
    machine.serve(SCHEDULED, &events("completed"));
    machine.boot_again();
    assert_ne!(boot_id(&machine), boot);
    machine.wait_for("the node is back", || !is_cordoned(&cluster, &node));
    machine.wait_for("the way back has ended", || is_undone(&machine));

    assert_eq!(machine.read("/var/tmp/post-drain"), "reboot\n");
    assert_eq!(machine.read("/var/tmp/uncordon"), "maintenance reboot\n");
    let metadata = &cluster.node(&node)["metadata"];
    assert!(metadata["annotations"]["spot-guard/response"].is_null(), "{metadata:#}");
    assert_eq!(machine.records().len(), 1, "another response began");
    assert!(cluster.events(&node).iter().any(|event| event["reason"] == "Uncordon"));
}

/// One reboot, some minutes from now.
fn events(state: &str) -> String {
    let after = Duration::from_secs(300);
    let event = ScheduledEvent { id: "instance-event-1", code: "system-reboot", state, after };
    format!("[ {} ]", event.words(OffsetDateTime::now_utc()))
}

fn is_undone(machine: &Machine) -> bool {
    let records = machine.records();
    let mut phases = records[0]["phases"].as_array().unwrap().iter();
    phases.any(|phase| phase["name"] == "uncordon" && !phase["ended_at"].is_null())
}

fn is_cordoned(cluster: &Cluster, node: &TestNode) -> bool {
    cluster.node(node)["spec"]["unschedulable"] == true
}

fn boot_id(machine: &Machine) -> String {
    machine.says(&["cat", "/proc/sys/kernel/random/boot_id"])
}
