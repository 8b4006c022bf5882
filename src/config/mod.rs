//! The configuration: fragments as written, merged, and validated into [`Settings`].
//!
//! Knows where settings are written and what each may be. Nothing here acts on them.

mod accept;
mod duration;
mod environment;
mod fragment;
mod nearest;
mod places;
mod problem;
pub mod schema;
pub mod selector;
mod settings;
pub mod template;
mod terms;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fragment::{Assignment, Fragment};
use schema::SCHEMA;

pub use accept::{is_address, is_header_value};
pub use duration::{DurationError, duration_text, parse_duration};
pub use nearest::nearest;
pub use problem::{Complaint, Hint, Origin, Problem};
pub use settings::*;
pub use terms::Terms;
pub use value::{Value, key_text, quoted, without_password};

/// Where settings are looked for, later ones winning: files, then the environment, then flags.
#[derive(Clone, Debug)]
pub struct Sources {
    pub files: Files,
    /// Variables of the environment; all but `SPOT_GUARD_CONFIG_*` and `AWS_EC2_METADATA_*` are passed over.
    pub environment: Vec<(String, String)>,
    pub flags: Flags,
}

/// Which files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// The usual places, below this root (`/`).
    Places(PathBuf),
    /// This file instead of the usual places.
    One(PathBuf),
}

/// What the command line sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Flags that stand for a setting, without the dashes, each with its value as written.
    pub settings: Vec<(&'static str, String)>,
    /// Instead of the two folders of hooks.
    pub hooks: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub runtime: Option<PathBuf>,
    pub dry_run: bool,
}

impl Flags {
    /// What is wrong with the flags themselves: wrong usage, whatever the other sources say.
    pub fn problems(&self) -> Vec<Problem> {
        self.fragments().filter_map(Result::err).flatten().collect()
    }

    fn fragments(&self) -> impl Iterator<Item = Fragment> {
        self.settings.iter().filter_map(|(flag, value)| {
            let row = SCHEMA.iter().position(|row| row.flag == Some(*flag))?;
            Some(fragment::from_text(row, value, Origin::Flag(flag)))
        })
    }
}

/// What came of the sources.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Every setting with its origin, in the order of the schema.
    pub entries: Vec<Entry>,
    /// What was left out, and why: a file, a variable or a flag, each as a whole.
    pub problems: Vec<Problem>,
    /// The files that were looked into, in the order in which they count.
    pub files: Vec<PathBuf>,
}

/// A setting as it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub table: &'static str,
    /// In an open table the name that the user chose.
    pub key: String,
    pub value: Value,
    pub origin: Origin,
}

/// Reads all sources. What is broken is left out as a whole and told; the rest counts.
pub fn load(sources: &Sources) -> Loaded {
    let mut merged = Merged::default();
    let environment = sources.environment.as_slice();
    let (places, unreadable) = places::read(&sources.files);
    let files = places.iter().map(|place| place.path.clone()).collect();

    merged.problems.extend(unreadable);
    environment::aws_endpoint_mode(environment).into_iter().for_each(|fragment| merged.add(fragment));
    for place in places {
        merged.add(file_fragment(&place.path, place.text));
    }
    environment::aws_endpoint(environment).into_iter().for_each(|fragment| merged.add(fragment));
    environment::ours(environment).into_iter().for_each(|fragment| merged.add(fragment));
    sources.flags.fragments().for_each(|fragment| merged.add(fragment));

    let Merged { assignments, mut problems } = merged;
    let mut settings = settings(assignments.values());
    problems.extend(template_problems(&settings));
    settings.imds.disabled = environment::aws_disabled(environment);
    apply_folders(&mut settings, &sources.flags);
    let entries = assignments.into_values().filter_map(entry).collect();
    Loaded { settings, entries, problems, files }
}

/// What is wrong with one file, taken by itself.
pub fn check_file(path: &Path) -> Vec<Problem> {
    match file_fragment(path, places::read_file(path)) {
        Ok(assignments) => {
            let settings = settings(assignments.iter());
            // It may be the file of another machine, on which the template lies.
            let template_is_here = settings.webhook.template.as_ref().is_some_and(|path| path.exists());
            if template_is_here { template_problems(&settings) } else { Vec::new() }
        }
        Err(problems) => problems,
    }
}

/// What is wrong with the file that is named as a template. The setting that names it stands.
fn template_problems(settings: &Settings) -> Vec<Problem> {
    let Some(path) = &settings.webhook.template else { return Vec::new() };
    match places::read_file(path) {
        Ok(text) => {
            let problem = |(line, complaint)| Problem { origin: Origin::line(path, line), complaint };
            template::check(&text).into_iter().map(problem).collect()
        }
        Err(complaint) => vec![Problem { origin: Origin::file(path), complaint }],
    }
}

fn file_fragment(path: &Path, text: Result<String, Complaint>) -> Fragment {
    let problem = |complaint| vec![Problem { origin: Origin::file(path), complaint }];
    text.map_err(problem).and_then(|text| fragment::from_file(path, &text))
}

/// The settings when nobody sets anything.
pub fn built_in() -> Settings {
    settings(Merged::default().assignments.values())
}

/// All assignments so far by row and name, the latest of each.
struct Merged {
    assignments: BTreeMap<(usize, String), Assignment>,
    problems: Vec<Problem>,
}

impl Default for Merged {
    /// Begins with what is built in.
    fn default() -> Merged {
        let built_in = SCHEMA.iter().enumerate().filter_map(|(row, schema_row)| {
            let (name, value) = (schema_row.key.to_owned(), schema_row.built_in.clone()?);
            Some(((row, name.clone()), Assignment { row, name, value, origin: Origin::BuiltIn }))
        });
        Merged { assignments: built_in.collect(), problems: Vec::new() }
    }
}

impl Merged {
    fn add(&mut self, fragment: Fragment) {
        match fragment {
            Ok(assignments) => {
                let keyed = assignments.into_iter().map(|it| ((it.row, it.name.clone()), it));
                self.assignments.extend(keyed);
            }
            Err(problems) => self.problems.extend(problems),
        }
    }
}

fn settings<'a>(assignments: impl Iterator<Item = &'a Assignment>) -> Settings {
    let mut settings = schema::blank();
    for assignment in assignments {
        if let Some(row) = SCHEMA.get(assignment.row) {
            // Cannot fail: what does not fit never became an assignment, and a test puts in every built-in value.
            let _ = (row.put)(&mut settings, &assignment.name, &assignment.value);
        }
    }
    settings
}

fn apply_folders(settings: &mut Settings, flags: &Flags) {
    let folders = &mut settings.folders;
    if let Some(hooks) = &flags.hooks {
        folders.hooks = vec![hooks.clone()];
    }
    if let Some(state) = &flags.state {
        folders.state.clone_from(state);
    }
    if let Some(runtime) = &flags.runtime {
        folders.runtime.clone_from(runtime);
    }
    settings.dry_run = flags.dry_run;
}

fn entry(assignment: Assignment) -> Option<Entry> {
    let table = SCHEMA.get(assignment.row)?.table;
    Some(Entry { table, key: assignment.name, value: assignment.value, origin: assignment.origin })
}
