//! A template of packaging/cloudformation, to look into.

use std::path::{Path, PathBuf};

use serde_json::Value;
use spot_guard::kubernetes::read::{Yaml, yaml};

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/cloudformation").join(name)
}

/// The template of this name. All scalars are texts, and functions are what they are given: `!Ref X` is `X`.
pub fn read(name: &str) -> Value {
    value(&yaml(&std::fs::read_to_string(path(name)).unwrap()).unwrap())
}

fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Text(text) => Value::from(text.as_str()),
        Yaml::List(list) => list.iter().map(value).collect(),
        Yaml::Map(map) => map.iter().map(|(key, of)| (key.clone(), value(of))).collect(),
    }
}
