//! Processors that never rest: a node in small, which as a whole takes from other tests no more than two threads would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

use stand_ins::control_group::ControlGroup;

/// How many processes never rest, for each processor.
const OF_PODS: usize = 4;
const OF_SERVICES: usize = 1;

/// systemd's weight of 100, which is the default, in the shares of version 1.
const DEFAULT: u64 = 1024;

pub struct Busy {
    loads: Vec<Child>,
    guard: ControlGroup,
    service: ControlGroup,
    pods: ControlGroup,
    // Removed after those within.
    _services: ControlGroup,
    _node: ControlGroup,
}

impl Busy {
    pub fn new() -> Option<Busy> {
        let node = ControlGroup::of("cpu")?;
        node.set("cpu.shares", &(2 * DEFAULT).to_string());
        let group = |node: &ControlGroup, name: &str, shares: u64| node.within(name, "cpu.shares", &shares.to_string());
        let services = group(&node, "system.slice", DEFAULT);
        // As the kubelet does it: the more processors, the more weight.
        let pods = group(&node, "kubepods", DEFAULT * processors() as u64);
        let guard = group(&services, "spot-guard.service", weight_of_unit() * DEFAULT / 100);
        let service = group(&services, "other.service", DEFAULT);
        Some(Busy { loads: Vec::new(), guard, service, pods, _services: services, _node: node })
    }

    /// Where spot-guard joins.
    pub fn door(&self) -> PathBuf {
        self.guard.door()
    }

    pub fn begin(&mut self) {
        for (group, each) in [(&self.pods, OF_PODS), (&self.service, OF_SERVICES)] {
            self.loads.extend((0..each * processors()).map(|_| never_resting(&group.door())));
        }
    }

    pub fn assert_still_busy(&mut self) {
        assert!(self.loads.iter_mut().all(|load| load.try_wait().unwrap().is_none()), "some of the load has ended");
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for load in &mut self.loads {
            let _ = load.kill();
            let _ = load.wait();
        }
    }
}

fn processors() -> usize {
    available_parallelism().unwrap().get()
}

fn weight_of_unit() -> u64 {
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/spot-guard.service")).unwrap();
    let weight = unit.lines().find_map(|line| line.strip_prefix("CPUWeight=")).expect("CPUWeight in the unit");
    weight.parse().unwrap()
}

/// Never rests while the test's process is there.
fn never_resting(door: &Path) -> Child {
    let work = "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done";
    let script = format!("echo $$ >{}; while kill -0 $PPID; do {work}; done", door.display());
    Command::new("sh").args(["-ec", &script]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
