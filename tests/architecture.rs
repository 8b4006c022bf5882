//! The modules depend on each other as docs/architecture.md says, and one way only.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The table of modules: each with those that it uses, in the order of the page.
fn documented() -> Vec<(String, BTreeSet<String>)> {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).unwrap();
    let (_, below) = page.split_once("\n## Modules\n").expect("the heading Modules");
    let in_code = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows = rows.filter_map(|line| match line.split('|').collect::<Vec<_>>()[..] {
        [_, module, _, uses, _] => Some((in_code(module).pop()?, in_code(uses).into_iter().collect())),
        _ => None,
    });
    rows.collect()
}

/// The code of each module, without its tests and comments.
fn sources(modules: &[String]) -> BTreeMap<&str, String> {
    fn files(folder: &Path, into: &mut Vec<String>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { files(&path, into) } else { into.push(path.display().to_string()) }
        }
    }
    let src = format!("{ROOT}/src/");
    let mut all = Vec::new();
    files(Path::new(&src), &mut all);
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    for file in all {
        let place = file.trim_start_matches(&src).trim_end_matches(".rs").replace('/', "::");
        let is_test = place.split("::").any(|part| ["tests", "against_a_server"].contains(&part));
        let is_in = |module: &&String| place == **module || place.starts_with(&format!("{module}::"));
        let Some(module) = modules.iter().filter(is_in).max_by_key(|module| module.len()) else { continue };
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines();
        for line in code.filter(|line| !is_test && !line.trim_start().starts_with("//")) {
            *sources.entry(module).or_default() += &format!("{line}\n");
        }
    }
    sources
}

/// The modules that are named in `code`: `response::driver` is not `response`.
fn used<'a>(code: &str, modules: &'a [String]) -> BTreeSet<&'a str> {
    let paths = code.split("crate::").skip(1);
    let paths = paths.filter_map(|rest| {
        let is_named = |module: &&String| {
            let rest = rest.strip_prefix(module.as_str());
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        };
        modules.iter().filter(is_named).max_by_key(|module| module.len())
    });
    paths.map(String::as_str).collect()
}

#[test]
fn modules_use_what_the_documentation_says_and_only_what_is_further_down() {
    let documented = documented();
    let modules: Vec<String> = documented.iter().map(|(module, _)| module.clone()).collect();
    let lib = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).unwrap();
    let public = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let named: BTreeSet<&str> = modules.iter().filter_map(|module| module.split("::").next()).collect();
    assert_eq!(named, public.collect());

    let sources = sources(&modules);
    for (place, (module, uses)) in documented.iter().enumerate() {
        let used: BTreeSet<&str> =
            used(&sources[module.as_str()], &modules).into_iter().filter(|other| other != module).collect();
        assert_eq!(used, uses.iter().map(String::as_str).collect(), "{module}");
        let further_down = &modules[place + 1..];
        assert!(used.iter().all(|other| further_down.iter().any(|lower| lower == other)), "{module} uses {used:?}");
    }
}
