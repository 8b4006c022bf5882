//! Machines as clouds make them: at their first boot cloud-init does what user data says, which lies in a folder here.

use crate::machine::{Plan, plan_on};

/// Only what user data needs, so that the boot is quick.
const CLOUD_INIT: &str = "datasource_list: [NoCloud]
network: {config: disabled}
ssh_deletekeys: false
cloud_init_modules: [write-files, users-groups, ssh]
cloud_config_modules: []
cloud_final_modules: [scripts-user]
";

/// The plan of a machine with cloud-init; `None`, after having said so, where none can be had.
pub fn plan() -> Option<Plan> {
    let plan = plan_on("SPOT_GUARD_TEST_CLOUD_MACHINE")?;
    Some(plan.file("/etc/cloud/cloud.cfg.d/90-test.cfg", 0o644, CLOUD_INIT).file(
        "/var/lib/cloud/seed/nocloud/meta-data",
        0o600,
        "instance-id: i-1\n",
    ))
}

impl Plan {
    /// Has cloud-init get this.
    pub fn user_data(self, text: &str) -> Plan {
        self.file("/var/lib/cloud/seed/nocloud/user-data", 0o600, text)
    }
}
