//! A real node_exporter and a real Prometheus on loopback, on ports of their own; each ends when it is dropped.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stand_ins::folder::Folder;
use stand_ins::wait;

/// How long one may take to be there, on a busy machine.
const STARTUP: Duration = Duration::from_secs(60);

/// A port that was free a moment ago.
fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Starts a program that listens at a port, and waits until it says at `ready` that it is.
fn start(program: &Path, ready: &str, arguments: &[String], folder: &Folder) -> (Child, u16) {
    // Somebody else may have taken the port.
    for _ in 0..5 {
        let port = free();
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(arguments);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().expect("run it");
        let answers = wait::wait(STARTUP, || {
            let ended = child.try_wait().expect("look after it").is_some();
            let answers = ureq::get(format!("http://127.0.0.1:{port}{ready}")).call().is_ok();
            (ended || answers).then_some(!ended)
        });
        if answers == Some(true) {
            return (child, port);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    panic!("{} does not start\n{log}", program.display());
}

pub struct Exporter {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Exporter {
    /// Reads the files of `textfiles` and nothing else.
    pub fn start(programs: &Path, textfiles: &Path) -> Exporter {
        let folder = Folder::new("exporter");
        let directory = format!("--collector.textfile.directory={}", textfiles.display());
        let arguments = ["--collector.disable-defaults".to_owned(), "--collector.textfile".to_owned(), directory];
        let (child, port) = start(&programs.join("prometheus-node-exporter"), "/metrics", &arguments, &folder);
        Exporter { child, port, _folder: folder }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Prometheus {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Prometheus {
    /// Asks that exporter each second, and goes by these rules.
    pub fn start(programs: &Path, exporter: &Exporter, rules: &Path) -> Prometheus {
        let folder = Folder::new("prometheus");
        let target = format!("127.0.0.1:{}", exporter.port);
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n\
             - job_name: node\n  static_configs: [{{targets: [\"{target}\"]}}]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).expect("write its configuration");
        let data = folder.path().join("data");
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", data.display()),
            "--storage.tsdb.min-block-duration=2h".to_owned(),
        ];
        let (child, port) = start(&programs.join("prometheus"), "/-/ready", &arguments, &folder);
        Prometheus { child, port, _folder: folder }
    }

    /// What it answers to an expression.
    pub fn ask(&self, expression: &str) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let request = ureq::get(url).query("query", expression).config().http_status_as_error(false).build();
        let text = request.call().and_then(|mut answer| answer.body_mut().read_to_string());
        let answer: Value = text.map_err(|error| error.to_string()).map(|text| serde_json::from_str(&text).unwrap())?;
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer.to_string()) }
    }

    /// The only value, if there is one.
    pub fn value(&self, expression: &str) -> Option<f64> {
        let data = self.ask(expression).unwrap_or_else(|error| panic!("{error}"));
        let series = data["result"].as_array().cloned().unwrap_or_default();
        match &series[..] {
            [one] => one["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
