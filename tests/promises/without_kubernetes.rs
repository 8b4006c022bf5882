//! Without a cluster the hooks do the work: local-drain stops all there is at the start of the drain.

use std::fs;

use stand_ins::guard::Setup;
use stand_ins::imds::{Imds, SPOT};
use stand_ins::record;

use crate::{PROGRAM, seconds};

#[test]
fn without_kubernetes_the_hooks_run_in_the_order_of_the_phases() {
    let imds = Imds::on_loopback();
    let mut setup = Setup::new(PROGRAM).imds(&imds).without_kubernetes().config("[drain]\nreserve = \"3s\"");
    for phase in ["notice", "pre-drain", "local-drain", "post-drain"] {
        setup = setup.hook(phase, "10-x", "echo $1 $2 >>$OUT/order");
    }
    let guard = setup.start();
    guard.expect("IMDS is polled", seconds(10), || imds.log().into_iter().find(|asked| asked.path == SPOT));
    imds.interrupt("terminate", seconds(15));
    let record = guard.wait_done(seconds(20));

    assert_eq!(record["outcome"], "complete", "{record:#}");
    let order = fs::read_to_string(guard.out().join("order")).expect("the hooks have run");
    let mut order: Vec<&str> = order.lines().map(str::trim_end).collect();
    // The first two begin together.
    order[..2].sort_unstable();
    assert_eq!(order, ["notice", "pre-drain", "local-drain start", "post-drain"]);
    assert!(record::hooks(&record).contains(&"local-drain/10-x".to_owned()));
}
