//! The machine that is measured on, in words.

use std::fs;

use time::OffsetDateTime;

pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: f64 = after(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
    format!(
        "{} UTC, spot-guard {}: {processors} × {}, {:.0} GiB of memory, Linux {}, load {} at the beginning.\n",
        OffsetDateTime::now_utc().date(),
        env!("CARGO_PKG_VERSION"),
        after(&read("/proc/cpuinfo"), "model name"),
        memory / 1024.0 / 1024.0,
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}
