//! What each crate adds to the program: the sizes of its symbols, as `nm` has them in a build that kept them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Plan;
use crate::report::{Goal, Report};

const KIB: f64 = 1024.0;

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

fn size(path: &Path) -> f64 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len() as f64
}

fn row((name, size): (String, f64)) -> Vec<String> {
    vec![name, format!("{:.0}", size / KIB)]
}

/// Bytes of each crate's symbols, of code and data that lie in the file.
fn by_crate(program: &Path) -> BTreeMap<String, f64> {
    let output = Command::new("nm").args(["--print-size", "--demangle"]).arg(program).output().expect("nm of binutils");
    let (mut crates, mut places) = (BTreeMap::new(), BTreeSet::new());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [place, size, kind, symbol] = words[..] else { continue };
        let is_in_the_file = !kind.eq_ignore_ascii_case("b");
        // One place may have several names.
        if let (true, Ok(size)) = (is_in_the_file, u64::from_str_radix(size, 16))
            && places.insert(place.to_owned())
        {
            *crates.entry(crate_of(symbol)).or_default() += size as f64;
        }
    }
    crates
}

/// `ureq` of `<&mut ureq::body::Body as std::io::Read>::read`; what has no path is C's.
fn crate_of(symbol: &str) -> String {
    let Some((before, _)) = symbol.split_once("::") else {
        return "C and assembly, of ring and of the C library".to_owned();
    };
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    before.rsplit(|c| !is_of_a_name(c)).next().unwrap_or(before).to_owned()
}
