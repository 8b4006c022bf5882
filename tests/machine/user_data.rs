//! User data of packaging/user-data, run by the real cloud-init: as it stands there, but for the package's address.

use std::fs;
use std::path::Path;
use std::process::Command;

use stand_ins::cluster::Cluster;
use stand_ins::docs;
use stand_ins::imds::REBALANCE;
use stand_ins::kubelet::Kubelet;
use stand_ins::pods::PodSpec;

use crate::cloud;
use crate::install::RPM_OF_DEBIAN;
use crate::machine::{INSTANCE, KUBECONFIG, Machine, Plan, kubeconfig};
use crate::packages::package;

/// A kubelet that starts when user data has run: where both are to start, spot-guard waits for it.
const KUBELET: &str = "[Unit]\nAfter=cloud-final.service\n[Service]\nExecStart=/bin/sleep infinity\n";

/// As nodeadm does it on EKS: when user data has run, it puts the kubeconfig in place, and then starts the kubelet.
const NODEADM: &str = "[Unit]
After=cloud-final.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir -p /var/lib/kubelet && cp /root/kubeconfig /var/lib/kubelet && systemctl start kubelet'
";

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/user-data").join(name)).unwrap()
}

/// User data in which the package's place is filled in.
fn naming(user_data: &str, package: &Path, sha256: &str) -> String {
    let name = package.file_name().unwrap().to_str().unwrap();
    let filled = user_data.replace("PACKAGE=\"\"", &format!("PACKAGE=\"http://127.0.0.1:8000/{name}?signature=a/b\""));
    let filled = filled.replace("SHA256=\"\"", &format!("SHA256=\"{sha256}\""));
    assert_eq!(filled.matches(name).count() + filled.matches(sha256).count(), 2, "{filled}");
    filled
}

/// The plan of a machine whose user data installs the package whose file ends so.
fn installing(user_data: &str, end: &str) -> Option<Plan> {
    let plan = cloud::plan()?;
    let package = package(end);
    let said = Command::new("sha256sum").arg(&package).output().unwrap();
    let sha256 = String::from_utf8(said.stdout).unwrap().split(' ').next().unwrap().to_owned();
    Some(plan.user_data(&naming(user_data, &package, &sha256)).bare().served(&package))
}

/// With a unit that is started with the boot, and that may come after cloud-init.
fn with_unit(plan: Plan, name: &str, unit: &str) -> Plan {
    let wanted = format!("/etc/systemd/system/cloud-init.target.d/{name}.conf");
    plan.file(&format!("/etc/systemd/system/{name}.service"), 0o644, unit).file(
        &wanted,
        0o644,
        &format!("[Unit]\nWants={name}.service\n"),
    )
}

/// User data has ended well, and what follows a rebalance recommendation is what it has set, and not the default.
fn is_protected(machine: &Machine) {
    let looks =
        docs::blocks_of("image.md", "sh").into_iter().find(|block| block.contains("cloud-init status")).unwrap();
    machine.run(&["sh", "-euc", &looks]);
    assert_eq!(machine.unit("UnitFileState"), "enabled");
    machine.serve(REBALANCE, r#"{"noticeTime":"2026-11-26T12:00:00Z"}"#);
    machine.wait_for("the end of the response", || machine.outcome().is_some());
    let record = machine.records().remove(0);
    assert_eq!(record["notice"]["kind"], "rebalance-recommendation");
    assert_eq!((&record["terms"]["reaction"], &record["outcome"]), (&"drain".into(), &"complete".into()), "{record:#}");
}

#[test]
fn a_shell_part_installs_the_package_and_starts_it_without_waiting_for_itself() {
    let Some(plan) = installing(&read("spot-guard"), ".deb") else { return };
    let machine = with_unit(plan, "kubelet", KUBELET).boot();
    is_protected(&machine);
    assert_eq!(machine.says(&["systemctl", "is-active", "kubelet"]), "active\n");
}

#[test]
fn a_shell_part_brings_settings_to_a_machine_whose_image_has_started_it_already() {
    let Some(plan) = cloud::plan() else { return };
    is_protected(&plan.user_data(&read("spot-guard")).boot());
}

#[test]
fn beside_a_node_config_it_is_installed_just_so() {
    let Some(plan) = installing(&read("eks-nodeadm.mime"), ".rpm") else { return };
    let plan = plan.file("/usr/local/bin/rpm", 0o755, RPM_OF_DEBIAN);
    is_protected(&with_unit(plan, "kubelet", KUBELET).boot());
}

#[test]
fn beside_a_node_config_an_image_that_has_it_finds_the_kubeconfig_that_comes_after_user_data() {
    let Some(plan) = cloud::plan() else { return };
    let cluster = Cluster::for_test();
    let node = cluster.make_node("nodeadm", INSTANCE);
    cluster.make_pods(&node, &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let _kubelet = Kubelet::start(&cluster, &node);
    let machine = with_unit(plan.user_data(&read("eks-nodeadm.mime")), "nodeadm-run", NODEADM)
        .item("meta-data/instance-id", INSTANCE)
        .file("/root/kubeconfig", 0o600, &kubeconfig(&cluster, &node))
        .file("/etc/systemd/system/kubelet.service", 0o644, "[Service]\nExecStart=/bin/sleep infinity\n")
        .boot();
    let _way = machine.reaches(cluster.server());
    machine.wait_for("the node", || machine.unit("StatusText").contains(&format!("node {} is ready", node.name)));
    assert!(machine.path(KUBECONFIG).exists());
    is_protected(&machine);
    assert!(cluster.pod(&node, "web-0").is_none() && cluster.node(&node)["spec"]["unschedulable"] == true);
}

#[test]
fn a_package_that_is_another_is_not_installed_and_the_boot_goes_on() {
    let Some(plan) = cloud::plan() else { return };
    let package = package(".deb");
    let user_data = naming(&read("spot-guard"), &package, &"0".repeat(64));
    let machine = plan.user_data(&user_data).bare().served(&package).boot();
    assert_eq!(machine.says(&["cloud-init", "status"]), "status: error\n");
    assert!(machine.read("/var/log/cloud-init-output.log").contains("FAILED"));
    assert!(!machine.path("/usr/bin/spot-guard").exists());
}

#[test]
fn the_multipart_has_the_same_script_and_a_node_config_in_form() {
    let text = read("eks-nodeadm.mime");
    let (head, parts) = text.split_once("\n\n").unwrap();
    let boundary = head.split_once("boundary=\"").unwrap().1.split_once('"').unwrap().0;
    let parts: Vec<&str> = parts.split(&format!("--{boundary}")).map(|part| part.trim_start_matches('\n')).collect();
    let [_, config, script, end] = parts[..] else { panic!("{parts:?}") };
    assert_eq!(end, "--\n");
    assert_eq!(
        script.split_once("\n\n"),
        Some(("Content-Type: text/x-shellscript; charset=\"us-ascii\"", &*format!("{}\n", read("spot-guard"))))
    );

    let (kind, config) = config.split_once("\n\n").unwrap();
    assert_eq!(kind, "Content-Type: application/node.eks.aws");
    let wrong = saphyr_parser::Parser::new_from_str(config).find_map(Result::err);
    assert!(wrong.is_none(), "{wrong:?}");
    for line in ["apiVersion: node.eks.aws/v1alpha1", "kind: NodeConfig", "spec:", "  cluster:"] {
        assert!(config.lines().any(|has| has == line), "{line}: {config}");
    }
}
