//! What each crate adds to the program: the sizes of its symbols, as `nm` has them in a build that kept them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::Plan;
use crate::report::{Goal, Report};

pub fn measure(plan: &Plan, report: &mut Report) {
    report.heading(
        "Binary",
        "KiB by crate, of the same build with its symbols kept. A generic function counts where it is defined. The rest \
         is what has no symbol: strings, tables, headers.",
    );
    let stripped = size(&crate::binary());
    if let Some(unstripped) = &plan.unstripped {
        let mut crates: Vec<(String, f64)> = by_crate(unstripped).into_iter().collect();
        crates.sort_by(|(_, first), (_, second)| second.total_cmp(first));
        let known: f64 = crates.iter().map(|(_, size)| size).sum();
        let mut rows: Vec<Vec<String>> = crates.into_iter().filter(|(_, size)| *size >= KIB).map(row).collect();
        rows.push(row(("(the rest)".to_owned(), stripped - known)));
        rows.push(row(("all".to_owned(), stripped)));
        report.table(&["crate", "KiB"], &rows);
    }
    report.goals(&[Goal::new("binary", "MiB", stripped / KIB / KIB, 2.5)]);
}

const KIB: f64 = 1024.0;

fn size(path: &std::path::Path) -> f64 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len() as f64
}

fn row((name, size): (String, f64)) -> Vec<String> {
    vec![name, format!("{:.0}", size / KIB)]
}

/// Bytes of each crate's symbols, of code and data that lie in the file.
fn by_crate(program: &std::path::Path) -> BTreeMap<String, f64> {
    let output = Command::new("nm").args(["--print-size", "--demangle"]).arg(program).output().expect("nm of binutils");
    let mut crates = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(_), Some(size), Some(kind), Some(symbol)) = (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let is_in_the_file = !kind.eq_ignore_ascii_case("b");
        if let (true, Ok(size)) = (is_in_the_file, u64::from_str_radix(size, 16)) {
            *crates.entry(crate_of(symbol)).or_default() += size as f64;
        }
    }
    crates
}

/// `ureq` of `<ureq::body::Body as std::io::Read>::read`; names without a path are C's.
fn crate_of(symbol: &str) -> String {
    let path = symbol.trim_start_matches(['<', '&', '(', '[', '*', '_']).trim_start_matches("mut ");
    let path = path.trim_start_matches("dyn ");
    match path.split_once("::") {
        Some((name, _)) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => name.to_owned(),
        _ if symbol.contains("ring_core") => "ring (C and assembly)".to_owned(),
        _ if symbol.contains("::") => "(generics of several)".to_owned(),
        _ => "C library and start".to_owned(),
    }
}
