//! The annotation `spot-guard/response`: what spot-guard changed on the node, and so may undo.

use serde::{Deserialize, Serialize};

use crate::objects::{Node, Taint};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Annotation {
    /// The response's.
    pub id: String,
    pub cordoned: bool,
    pub labelled: bool,
    /// Those that were not there before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

impl Annotation {
    /// What stands on the node; `None` if nothing does that can be read.
    pub fn on(node: &Node) -> Option<Annotation> {
        node.response.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
