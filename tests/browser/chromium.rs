//! A headless Chromium: shows a page on a screen of some width, measures it, prints it, takes its picture.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names under which it may be installed.
const NAMES: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// A page is shown within this time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Looks for what is wider than the screen and for texts that lie over each other, and leaves what it has found as the
/// document's title.
const MEASURE: &str = include_str!("measure.js");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Light,
    Dark,
    /// As it is printed.
    Paper,
}

pub struct Chromium(PathBuf);

impl Chromium {
    pub fn find() -> Option<Chromium> {
        let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
        let mut files = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        files.find(|file| file.is_file()).map(Chromium)
    }

    /// What is wrong with the page on a screen of that width, or `nothing`.
    pub fn measure(&self, folder: &Path, page: &str, width: u32, look: Look) -> String {
        let page = match look {
            // What is laid out for paper, on a screen.
            Look::Paper => page.replace("@media print", "@media all").replace("@media screen", "@media speech"),
            Look::Light | Look::Dark => page.to_owned(),
        };
        // The page itself forbids scripts.
        let page = without_policy(&page).replace("</body>", &format!("<script>{MEASURE}</script></body>"));
        let dom = self.run(folder, &page, look, &[&size(width, 900), "--dump-dom"]);
        let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        title.map_or_else(|| format!("no page: {dom}"), |(title, _)| title.to_owned())
    }

    /// The page as a PDF.
    pub fn print(&self, folder: &Path, page: &str) -> Vec<u8> {
        let file = folder.join("page.pdf");
        self.run(folder, page, Look::Light, &[&format!("--print-to-pdf={}", file.display()), "--no-pdf-header-footer"]);
        fs::read(file).unwrap_or_default()
    }

    /// What a screen of that size shows of the page.
    pub fn take_picture(&self, folder: &Path, page: &str, (width, height): (u32, u32), look: Look, file: &Path) {
        let shot = format!("--screenshot={}", file.display());
        self.run(folder, page, look, &[&size(width, height), "--hide-scrollbars", &shot]);
        assert!(file.exists(), "no {}", file.display());
    }

    fn run(&self, folder: &Path, page: &str, look: Look, arguments: &[&str]) -> String {
        let file = folder.join("page.html");
        fs::write(&file, page).unwrap();
        let out = folder.join("out");
        let mut command = Command::new(&self.0);
        // Without a sandbox, as root has none to give; it shows only what was made here.
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.arg(format!("--blink-settings=preferredColorScheme={}", if look == Look::Dark { 0 } else { 1 }));
        command.args(arguments).arg(format!("file://{}", file.display()));
        command.stdin(Stdio::null()).stdout(fs::File::create(&out).unwrap()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let end = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let _ = child.kill();
                panic!("{} has not ended after {PATIENCE:?}", self.0.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        String::from_utf8_lossy(&fs::read(out).unwrap()).into_owned()
    }
}

fn size(width: u32, height: u32) -> String {
    format!("--window-size={width},{height}")
}

fn without_policy(page: &str) -> String {
    page.lines().filter(|line| !line.contains("Content-Security-Policy")).map(|line| format!("{line}\n")).collect()
}
