//! What people run today: a loop around curl that ends in `kubectl drain`.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use stand_ins::folder::Folder;
use stand_ins::imds::SPOT;
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::world::World;

const SCRIPT: &str = r#"
token=$(curl -sf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 21600" "$imds/latest/api/token")
until curl -sf -o /dev/null -H "X-aws-ec2-metadata-token: $token" "$imds/latest/$notice"; do
    sleep 1
done
exec kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout=110s
"#;

/// The running loop, and then kubectl: it has the loop's process. Ends when this is dropped.
pub struct Shell {
    child: Child,
    done: bool,
    /// Of its kubeconfig and its output.
    _folder: Folder,
}

/// Whether curl and kubectl are there.
pub fn is_possible() -> bool {
    let is_there = |program: &str, argument: &str| {
        Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    is_there("curl", "--version") && is_there("kubectl", "--help")
}

impl Shell {
    /// As an administrator: kubectl asks for more than a kubelet may.
    pub fn start(world: &World, server: &str) -> Shell {
        let folder = Folder::new("shell");
        let kubeconfigs = Kubeconfigs::new(&world.cluster, &world.node.name, folder.path()).through(server);
        let kubeconfig = kubeconfigs.administrator_named(&format!("system:node:{}", world.node.name));
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).env("KUBECONFIG", kubeconfig).env("HOME", folder.path());
        command.env("imds", world.imds.endpoint()).env("notice", SPOT).env("node", &world.node.name);
        let output = File::create(folder.path().join("output")).expect("a file for its output");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("the same file")).stderr(output);
        Shell { child: command.spawn().expect("run sh"), done: false, _folder: folder }
    }

    pub fn is_done(&mut self) -> bool {
        self.done = self.done || self.child.try_wait().expect("look after the shell").is_some();
        self.done
    }

    /// Its process, unless it has ended.
    pub fn pid(&self) -> Option<u32> {
        (!self.done).then(|| self.child.id())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if !self.is_done() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
