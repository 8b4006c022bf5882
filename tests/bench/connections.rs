//! How many requests fail when a node is taken away, with the hooks `nginx` and `haproxy` and without; `make connections`
//! runs it, as root.
//!
//! A load balancer (haproxy, a health check each second, no retries) stands before two nodes, one of which gets a notice
//! of 120 s. At its deadline all that serves there is killed. Everything listens on loopback of a test machine's own.
#![forbid(unsafe_code)]

mod load;
#[path = "../machine/machine.rs"]
mod machine;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use load::{Kind, Load, Outcome};
use machine::{Machine, Plan};

/// From the notice to the deadline.
const WINDOW: Duration = Duration::from_secs(120);
/// How long there is load before the notice, and after the deadline.
const CALM: Duration = Duration::from_secs(5);
const BALANCER: &str = "127.0.0.1:9000";

/// One way in which a node may be taken.
struct Way {
    name: &'static str,
    /// What serves on the node.
    server: &'static str,
    /// The settings of its hook, which is linked if there are some.
    settings: Option<&'static str>,
    /// No request may fail.
    must_be_zero: bool,
}

const WAYS: [Way; 5] = [
    Way { name: "nginx, without the hook", server: "nginx", settings: None, must_be_zero: false },
    Way {
        name: "nginx, hook that does not linger",
        server: "nginx",
        settings: Some("NGINX_LINGER=0"),
        must_be_zero: false,
    },
    Way {
        name: "nginx, hook",
        server: "nginx",
        settings: Some("NGINX_HEALTH_FILE=/var/www/html/health"),
        must_be_zero: true,
    },
    Way { name: "haproxy, without the hook", server: "haproxy", settings: None, must_be_zero: false },
    Way { name: "haproxy, hook", server: "haproxy", settings: Some("HAPROXY_FRONTENDS=health"), must_be_zero: true },
];

fn main() -> ExitCode {
    // What begins with dashes is cargo's.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs = asked.iter().find_map(|argument| argument.parse().ok()).unwrap_or(3);
    let server = asked.iter().find(|argument| argument.parse::<u32>().is_err());
    let mut as_it_must_be = true;
    println!("{:<34} {:>10} {:>10} {:>10}", "", "requests", "failed", "worst");
    for way in WAYS.iter().filter(|way| server.is_none_or(|server| server == way.server)) {
        let mut outcomes = Vec::new();
        for _ in 0..runs {
            let Some(outcome) = way.run() else { return ExitCode::FAILURE };
            outcomes.push(outcome);
        }
        outcomes.sort_by_key(Outcome::failures);
        let (median, worst) = (&outcomes[outcomes.len() / 2], outcomes.last().expect("a run").failures());
        let reached = !way.must_be_zero || worst == 0;
        as_it_must_be &= reached;
        let requests = outcomes.iter().map(|outcome| outcome.answered + outcome.failures()).min().expect("a run");
        let verdict = if reached { "" } else { "  NOT REACHED" };
        println!("{:<34} {requests:>10} {:>10} {worst:>10}{verdict}", way.name, median.failures());
        for (because, count) in &median.failed {
            println!("    {count:>5}  {because}");
        }
    }
    if as_it_must_be { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Way {
    /// From the boot of the nodes to some seconds after the deadline; `None` where no machine can be had.
    fn run(&self) -> Option<Outcome> {
        let small: Arc<[u8]> = contents(1000).into_bytes().into();
        let large: Arc<[u8]> = contents(700_000).into_bytes().into();
        let machine = self.plan()?.boot();
        start(&machine, "other-node", &["nginx", "-c", "/etc/nginx/other-node.conf"]);
        start(&machine, "balancer", &["haproxy", "-db", "-f", "/etc/haproxy/balancer.cfg"]);
        let nodes_are_up = || {
            let states = "echo 'show servers state' | socat - UNIX-CONNECT:/run/balancer.sock";
            let says = machine.says(&["sh", "-c", states]);
            says.lines().filter(|line| line.split(' ').nth(5) == Some("2")).count() == 2
        };
        machine.wait_for("both nodes", nodes_are_up);

        let short = Kind { clients: 24, path: "/small", body: small, pause: Duration::from_millis(40) };
        let long = Kind { clients: 24, path: "/large", body: large, pause: Duration::from_millis(100) };
        let load = Load::begin(&machine.network(), BALANCER, &[short, long]);
        thread::sleep(CALM);
        machine.interrupt(WINDOW);
        let deadline = Instant::now() + WINDOW;
        thread::sleep(deadline - Instant::now());
        lose_power(&machine);
        self.assert_responded(&machine);
        thread::sleep(CALM);
        Some(load.end())
    }

    /// There was a response, and the hook did what it was to do.
    fn assert_responded(&self, machine: &Machine) {
        let records = machine.records();
        let hooks = records.first().and_then(|record| record["hooks"].as_array()).expect("a response");
        let done = hooks.iter().any(|hook| hook["name"] == format!("50-{}", self.server) && hook["exit"] == 0);
        assert_eq!(done, self.settings.is_some(), "{}", machine.journal());
    }

    fn plan(&self) -> Option<Plan> {
        let mut plan = machine::plan_on("SPOT_GUARD_TEST_SERVERS")?
            .file("/etc/nginx/sites-available/default", 0o644, &site("127.0.0.1"))
            .file("/etc/nginx/other-node.conf", 0o644, &format!("{OTHER_NODE}http {{\n{}}}\n", site("127.0.0.2")))
            .file("/etc/haproxy/haproxy.cfg", 0o644, NODE)
            .file("/etc/haproxy/balancer.cfg", 0o644, &balancer(self.server))
            .file("/var/www/html/small", 0o644, &contents(1000))
            .file("/var/www/html/large", 0o644, &contents(700_000))
            .file("/var/www/html/health", 0o644, "well\n")
            .file("/var/www/other/health", 0o644, "well\n");
        if let Some(settings) = self.settings {
            let hook = format!("/usr/lib/spot-guard/hooks-available/{}", self.server);
            plan = plan.link(&format!("/etc/spot-guard/hooks/pre-drain.d/50-{}", self.server), &hook).file(
                "/etc/default/spot-guard-hooks",
                0o644,
                &format!("{settings}\n"),
            );
        }
        Some(plan)
    }
}

/// The same at each call.
fn contents(size: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    (0..size).map(|_| random.alphanumeric()).collect()
}

fn start(machine: &Machine, unit: &str, command: &[&str]) {
    machine.run(
        &[&["systemd-run", "--quiet", &format!("--unit={unit}"), "--property=LimitNOFILE=4096"], command].concat(),
    );
}

/// What serves on the node is gone at once, and does not come back.
fn lose_power(machine: &Machine) {
    machine.run(&["systemctl", "--runtime", "mask", "nginx", "haproxy"]);
    machine.says(&["systemctl", "kill", "--signal=KILL", "nginx", "haproxy"]);
}

const OTHER_NODE: &str = "daemon off;\npid /run/other-node.pid;\nevents {}\n";

fn site(address: &str) -> String {
    let health = if address == "127.0.0.2" { "location = /health { root /var/www/other; }" } else { "" };
    format!(
        "server {{
    listen {address}:80;
    root /var/www/html;
    location = /large {{ limit_rate 100k; }}
    {health}
}}
"
    )
}

/// The haproxy of the node that is taken, with that node's nginx behind it.
const NODE: &str = "global
    stats socket /run/haproxy/admin.sock mode 660 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:8000
    default_backend app
frontend health
    bind 127.0.0.1:8404
    monitor-uri /health
backend app
    server nginx 127.0.0.1:80
";

fn balancer(server: &str) -> String {
    let taken = if server == "nginx" { "127.0.0.1:80 check" } else { "127.0.0.1:8000 check port 8404" };
    format!(
        "global
    stats socket /run/balancer.sock mode 600 level admin
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen nodes
    bind {BALANCER}
    balance roundrobin
    option httpchk GET /health
    default-server inter 1s fall 2 rise 2
    server taken {taken}
    server other 127.0.0.2:80 check
"
    )
}
