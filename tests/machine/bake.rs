//! An image is made with Packer: the provisioners of packaging/packer, run by the real Packer over ssh on a machine that
//! stands for the one that Packer would start, and that is then booted anew.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use stand_ins::cluster::Cluster;
use stand_ins::docs;
use stand_ins::folder::Folder;
use stand_ins::kubelet::Kubelet;
use stand_ins::pods::PodSpec;
use stand_ins::skip::skip;

use crate::cloud;
use crate::machine::{INSTANCE, KUBECONFIG, Machine, Plan, kubeconfig};
use crate::packages::package;

/// Packer in a folder where all is as the page says: the templates, the packages, the user's files.
struct Packer(Folder);

impl Packer {
    /// `None`, after having said so, where there is no Packer.
    fn new() -> Option<Packer> {
        let packer = Command::new("packer").arg("version").env("CHECKPOINT_DISABLE", "1").output();
        if packer.is_err() {
            skip("there is no packer here");
            return None;
        }
        let packer = Packer(Folder::new("packer"));
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/packer");
        fs::create_dir(packer.path("packaging")).unwrap();
        let copied = Command::new("cp").arg("-r").arg(templates).arg(packer.path("packaging")).status().unwrap();
        assert!(copied.success());
        // Debian's Packer is one of those that refuse it.
        fs::remove_file(packer.path("packaging/packer/plugins.pkr.hcl")).unwrap();
        Some(packer)
    }

    /// With the packages, the file of variables that the page shows, and the plan of a machine of the image's kind, which
    /// a key of its own opens to ssh.
    fn with_machine() -> Option<(Packer, Plan)> {
        let packer = Packer::new()?;
        let plan = cloud::plan()?;
        fs::create_dir(packer.path("target")).unwrap();
        symlink(package(".deb").parent().unwrap(), packer.path("target/dist")).unwrap();
        fs::write(packer.path("image.pkrvars.hcl"), &docs::blocks_of("image.md", "hcl")[0]).unwrap();
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(packer.path("key")).status();
        assert!(made.unwrap().success());
        let key = fs::read_to_string(packer.path("key.pub")).unwrap();
        Some((packer, plan.user_data(&format!("#cloud-config\nssh_authorized_keys: [{}]\n", key.trim())).bare()))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Has this file laid over the image's root.
    fn lay(&self, path: &str, mode: u32, text: &str) {
        let path = self.path("fleet").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Bakes the machine with the page's command, and gives back whether that went well, and what it said.
    fn bake(&self, machine: &Machine) -> (bool, String) {
        let build =
            docs::blocks_of("image.md", "sh").into_iter().find(|block| block.contains("-only=null.machine")).unwrap();
        let output = self.run(machine.beside("bash").env("PKR_VAR_key", self.path("key")), &build);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, shell: &mut Command, commands: &str) -> Output {
        shell.args(["-euc", commands]).current_dir(self.0.path());
        shell.env("CHECKPOINT_DISABLE", "1").env("HOME", self.0.path()).output().unwrap()
    }
}

#[test]
fn the_templates_are_valid_and_formatted() {
    let Some(packer) = Packer::new() else { return };
    let format = concat!("packer fmt -check -diff ", env!("CARGO_MANIFEST_DIR"), "/packaging/packer");
    let formatted = packer.run(&mut Command::new("bash"), format);
    assert!(formatted.status.success(), "{formatted:?}");

    let page = docs::page("image.md");
    let builds: Vec<&str> = page.lines().filter(|line| line.starts_with("packer build -only=amazon-ebs.")).collect();
    assert_eq!(builds.len(), 2, "{builds:?}");
    fs::create_dir_all(packer.path("target/dist")).unwrap();
    for build in builds {
        let package = build.split(' ').find_map(|word| word.strip_prefix("package=")).unwrap();
        fs::write(packer.path(package), "").unwrap();
        let valid = packer.run(&mut Command::new("bash"), &build.replace("packer build", "packer validate"));
        assert!(valid.status.success(), "{build}: {valid:?}");
    }
}

#[test]
fn a_machine_that_is_booted_anew_after_the_bake_drains_its_node() {
    let Some((packer, plan)) = Packer::with_machine() else { return };
    let mut machine = plan.item("meta-data/instance-id", INSTANCE).boot();
    packer.lay("etc/spot-guard/config.d/60-fleet.toml", 0o644, "[hooks]\ntimeout = \"20s\"\n");
    // As a umask of 002 leaves it: in the image others cannot write to it.
    packer.lay(
        "etc/spot-guard/hooks/post-drain.d/10-tell",
        0o775,
        "#!/bin/sh\necho $SPOT_GUARD_TIMEOUT >/var/tmp/told\n",
    );
    let (well, said) = packer.bake(&machine);
    assert!(well, "{said}");
    assert_eq!((machine.unit("ActiveState"), machine.unit("UnitFileState")), ("inactive".into(), "enabled".into()));
    assert!(!machine.path("/tmp/spot-guard").exists(), "what was uploaded is left in the image");

    let cluster = Cluster::for_test();
    let node = cluster.make_node("baked", INSTANCE);
    cluster.make_pods(&node, &[PodSpec::new("web-0").grace(5).stops_in(0.5)]);
    let _kubelet = Kubelet::start(&cluster, &node);
    machine.run(&["systemctl", "poweroff"]);
    machine.wait_for("the machine's end", || machine.is_off());
    fs::create_dir_all(machine.path(KUBECONFIG).parent().unwrap()).unwrap();
    machine.write(KUBECONFIG, &kubeconfig(&cluster, &node));
    machine.boot_again();
    let _way = machine.reaches(cluster.server());
    machine.interrupt(Duration::from_secs(110));
    machine.wait_for("the end of the response", || machine.outcome().is_some());

    assert_eq!(machine.outcome().as_deref(), Some("complete"), "{}", machine.journal());
    assert!(cluster.pod(&node, "web-0").is_none() && cluster.node(&node)["spec"]["unschedulable"] == true);
    assert_eq!(machine.read("/var/tmp/told"), "20\n");
    let record = machine.records().remove(0);
    let hooks = record["hooks"].as_array().unwrap();
    let linked = hooks.iter().filter(|hook| hook["name"].as_str().unwrap().ends_with("-asg-lifecycle"));
    assert_eq!(linked.map(|hook| hook["exit"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(0)], "{record:#}");
}

#[test]
fn what_would_not_work_fails_the_bake_and_is_told() {
    let Some((packer, plan)) = Packer::with_machine() else { return };
    let machine = plan.boot();
    packer.lay("etc/spot-guard/config.d/60-fleet.toml", 0o644, "[hooks]\ntime-out = \"20s\"\n");
    let (well, said) = packer.bake(&machine);
    assert!(!well && said.contains("did you mean \"timeout\"?"), "{said}");

    // Without the links, which are there by now.
    fs::write(packer.path("image.pkrvars.hcl"), "files = \"fleet\"").unwrap();
    packer.lay("etc/spot-guard/config.d/60-fleet.toml", 0o644, "");
    packer.lay("etc/spot-guard/hooks/pre-drain.d/10-tell", 0o644, "#!/bin/sh\n");
    let (well, said) = packer.bake(&machine);
    assert!(!well && said.contains("pre-drain.d/10-tell is not executable"), "{said}");
}
