//! YAML as a tree of texts: as much of it as a kubeconfig needs.
//!
//! Knows nothing of kubeconfigs. Built from the parser's events without recursion, so that no nesting exhausts the
//! stack, and with a budget, so that no aliases exhaust the memory. Scalars stay as they are written: a token of digits
//! is a token.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Far deeper than a kubeconfig, in levels.
const DEPTH: usize = 32;

/// Far more than a kubeconfig has, in scalars, lists and mappings; what an alias stands for counts each time.
const NODES: usize = 50_000;

/// Far more than a kubeconfig has, in bytes of text; again what an alias stands for counts each time.
const BYTES: usize = 4 << 20;

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// `null`, `~`, nothing, or what is not there.
    Null,
    /// Any other scalar, as written and without its quotes.
    Text(String),
    List(Vec<Yaml>),
    /// In the order of the text; each key is there once.
    Map(Vec<(String, Yaml)>),
}

/// A list or mapping that has begun.
struct Open {
    node: Yaml,
    /// The key of which the value comes next.
    key: Option<String>,
    anchor: usize,
}

/// Reads the first document of `text`. An error says where, and nothing of the text's values.
pub fn read(text: &str) -> Result<Yaml, String> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| e.to_string())?;
        match tree.take(event) {
            Ok(Some(root)) => return Ok(root),
            Ok(None) => (),
            Err(why) => return Err(format!("{why} in line {}", span.start.line())),
        }
    }
    Ok(Yaml::Null)
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Yaml>,
    anchors: BTreeMap<usize, Yaml>,
    /// What was made so far.
    size: Size,
}

/// What a tree takes.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn and(self, other: Size) -> Size {
        Size { nodes: self.nodes.saturating_add(other.nodes), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Tree {
    /// Gives the root once it is complete.
    fn take(&mut self, event: Event) -> Result<Option<Yaml>, &'static str> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let node = if null { Yaml::Null } else { Yaml::Text(text.into_owned()) };
                self.add(node, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.begin(Yaml::List(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => self.begin(Yaml::Map(Vec::new()), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { node, anchor, .. }) = self.open.pop() {
                    self.add(node, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias within what it stands for")?;
                self.size = self.size.and(node.size());
                self.check_size()?;
                let node = node.clone();
                self.put(node)?;
            }
            Event::DocumentEnd => return Ok(Some(self.root.take().unwrap_or(Yaml::Null))),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => (),
        }
        Ok(None)
    }

    fn begin(&mut self, node: Yaml, anchor: usize) -> Result<(), &'static str> {
        if self.open.len() >= DEPTH {
            return Err("too many levels");
        }
        self.open.push(Open { node, key: None, anchor });
        Ok(())
    }

    /// Takes in a node that is whole.
    fn add(&mut self, node: Yaml, anchor: usize) -> Result<(), &'static str> {
        self.size = self.size.and(node.own_size());
        if anchor > 0 {
            self.size = self.size.and(node.size());
            self.check_size()?;
            self.anchors.insert(anchor, node.clone());
        }
        self.check_size()?;
        self.put(node)
    }

    fn check_size(&self) -> Result<(), &'static str> {
        if self.size.nodes > NODES || self.size.bytes > BYTES { Err("too many values") } else { Ok(()) }
    }

    /// Puts a node where it belongs: into the innermost list or mapping that is open.
    fn put(&mut self, node: Yaml) -> Result<(), &'static str> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node, open.key.take(), node) {
            (Yaml::List(list), _, node) => list.push(node),
            (Yaml::Map(map), Some(key), node) => map.push((key, node)),
            (Yaml::Map(map), None, Yaml::Text(key)) => {
                if map.iter().any(|(there, _)| *there == key) {
                    return Err("a key that is there twice");
                }
                open.key = Some(key);
            }
            _ => return Err("a key that is no text"),
        }
        Ok(())
    }
}

impl Yaml {
    /// The value at `key`; null for one that is not there, and for all that is no mapping.
    pub fn at(&self, key: &str) -> &Yaml {
        let Yaml::Map(map) = self else { return &Yaml::Null };
        map.iter().find(|(there, _)| there == key).map_or(&Yaml::Null, |(_, value)| value)
    }

    /// What it takes, with all that it holds.
    fn size(&self) -> Size {
        let key = |text: &str| Size { nodes: 0, bytes: text.len() };
        match self {
            Yaml::Null | Yaml::Text(_) => self.own_size(),
            Yaml::List(list) => list.iter().fold(self.own_size(), |sum, node| sum.and(node.size())),
            Yaml::Map(map) => map.iter().fold(self.own_size(), |sum, (k, node)| sum.and(key(k)).and(node.size())),
        }
    }

    /// What it takes by itself.
    fn own_size(&self) -> Size {
        let bytes = if let Yaml::Text(text) = self { text.len() } else { 0 };
        Size { nodes: 1, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Yaml {
        Yaml::Text(text.to_owned())
    }

    #[test]
    fn scalars_stay_as_they_are_written() {
        let read = read("a: 0012\nb: '~'\nc: ~\nd:\ne: true\nf: |\n  x\n  y\ng: >-\n  x\n  y\nh: 1e10\n").unwrap();
        for (key, value) in [("a", "0012"), ("b", "~"), ("e", "true"), ("f", "x\ny\n"), ("g", "x y"), ("h", "1e10")] {
            assert_eq!(read.at(key), &text(value), "{key}");
        }
        assert_eq!((read.at("c"), read.at("d"), read.at("nowhere")), (&Yaml::Null, &Yaml::Null, &Yaml::Null));
    }

    #[test]
    fn an_alias_is_what_it_stands_for() {
        assert_eq!(read("a: &x [1, {b: 2}]\nc: *x").unwrap().at("c").clone(), read("[1, {b: 2}]").unwrap());
        assert!(read("a: &x [*x]").is_err());
        assert!(read("a: *x").is_err());
    }

    #[test]
    fn only_the_first_document_counts() {
        assert_eq!(read("---\na: b\n---\nc: d\n").unwrap().at("a"), &text("b"));
        assert_eq!(read("# nothing\n"), Ok(Yaml::Null));
    }

    #[test]
    fn what_is_no_tree_of_texts_is_an_error_with_its_line() {
        assert_eq!(read("a: 1\nb: 2\na: 3"), Err("a key that is there twice in line 3".to_owned()));
        assert!(read("? [a]\n: b").unwrap_err().starts_with("a key that is no text"));
        assert!(read("a: [").is_err());
    }

    #[test]
    fn neither_nesting_nor_aliases_nor_length_exhaust_anything() {
        let levels: String = (1..60).map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1)).collect();
        let texts = ["- ".repeat(500_000), "[".repeat(500_000), "{a: ".repeat(200_000), "? ".repeat(300_000)];
        let copies = format!("- &a {}\n{}", "x".repeat(200_000), "- *a\n".repeat(10_000));
        let more = [format!("a0: &a0 [x]\n{levels}"), "- x\n".repeat(200_000), copies];
        for text in texts.iter().chain(&more) {
            assert!(read(text).is_err(), "{}", &text[..20]);
        }
    }
}
