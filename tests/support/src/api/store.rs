//! The objects, their versions, and the changes that watches follow.
//!
//! Knows nothing of who asks, nor what the objects mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::failure::Failure;
use super::resources::Resource;
use crate::imds::rfc3339;

/// Where an object is: kind, namespace (empty for those of the cluster), name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: (&'static str, &'static str),
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(resource: &Resource, namespace: &str, name: &str) -> Key {
        Key { kind: (resource.group, resource.plural), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// One change to one object.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub kind: (&'static str, &'static str),
    pub namespace: String,
    /// What it became; when it was removed, what it was, with the version of its removal.
    pub object: Arc<Value>,
    /// What it was before; `None` when it is new.
    pub before: Option<Arc<Value>>,
    pub removed: bool,
}

/// All objects, as of now, and how they became so.
#[derive(Default)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    changes: Vec<Change>,
    version: u64,
    /// The version up to which changes were forgotten.
    pub compacted: u64,
}

impl Store {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Arc<Value>, Failure> {
        let object = self.objects.get(&Key::new(resource, namespace, name));
        object.cloned().ok_or_else(|| Failure::not_found(resource, name))
    }

    /// All of a kind, in a namespace or (with an empty one) in all, by name.
    pub fn list(&self, resource: &Resource, namespace: &str) -> Vec<Arc<Value>> {
        let first = Key::new(resource, namespace, "");
        let of_kind = self.objects.range(first.clone()..).take_while(|(key, _)| key.kind == first.kind);
        of_kind.filter(|(k, _)| namespace.is_empty() || k.namespace == namespace).map(|(_, o)| Arc::clone(o)).collect()
    }

    /// The changes after `version`, oldest first.
    pub fn changes_after(&self, version: u64) -> &[Change] {
        let start = self.changes.partition_point(|change| change.version <= version);
        self.changes.get(start..).unwrap_or_default()
    }

    /// Forgets all changes: a watch from any version so far is told that it is too old.
    pub fn compact(&mut self) {
        self.compacted = self.version;
        self.changes.clear();
    }

    /// Stores a new object, with all that the server itself fills in.
    pub fn create(&mut self, resource: &Resource, namespace: &str, mut object: Value) -> Result<Arc<Value>, Failure> {
        let name = self.name_of(&object);
        if self.objects.contains_key(&Key::new(resource, namespace, &name)) {
            let message = format!("{} \"{name}\" already exists", resource.qualified());
            return Err(super::failure::failure(409, "AlreadyExists", message, super::failure::about(resource, &name)));
        }
        object["apiVersion"] = resource.api_version().into();
        object["kind"] = resource.kind.into();
        let metadata = &mut object["metadata"];
        metadata["name"] = name.into();
        if resource.namespaced {
            metadata["namespace"] = namespace.into();
        }
        metadata["uid"] = fresh_uid().into();
        metadata["creationTimestamp"] = rfc3339(time::OffsetDateTime::now_utc()).into();
        if object.get("spec").is_some() {
            object["metadata"]["generation"] = 1.into();
        }
        Ok(self.put(resource, namespace, object))
    }

    /// Puts `object` in the place of what has its name; nothing changes if it is the same.
    pub fn replace(&mut self, resource: &Resource, namespace: &str, mut object: Value) -> Result<Arc<Value>, Failure> {
        let name = text(&object, "/metadata/name").to_owned();
        let old = self.get(resource, namespace, &name)?;
        let demanded = text(&object, "/metadata/resourceVersion");
        if !demanded.is_empty() && demanded != text(&old, "/metadata/resourceVersion") {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Failure::conflict(resource, &name, why));
        }
        for fixed in ["uid", "creationTimestamp", "namespace", "resourceVersion", "generation"] {
            if let Some(value) = old["metadata"].get(fixed) {
                object["metadata"][fixed] = value.clone();
            }
        }
        if object == *old {
            return Ok(old);
        }
        if let Some(generation) = old["metadata"]["generation"].as_u64().filter(|_| object["spec"] != old["spec"]) {
            object["metadata"]["generation"] = (generation + 1).into();
        }
        Ok(self.put(resource, namespace, object))
    }

    /// Removes an object for good.
    pub fn remove(&mut self, resource: &Resource, namespace: &str, name: &str) -> Result<Arc<Value>, Failure> {
        let old = self.get(resource, namespace, name)?;
        self.objects.remove(&Key::new(resource, namespace, name));
        self.version += 1;
        let mut last = (*old).clone();
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        let last = Arc::new(last);
        self.note(resource, namespace, &last, Some(old), true);
        Ok(last)
    }

    fn put(&mut self, resource: &Resource, namespace: &str, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let key = Key::new(resource, namespace, text(&object, "/metadata/name"));
        let object = Arc::new(object);
        let before = self.objects.insert(key, Arc::clone(&object));
        self.note(resource, namespace, &object, before, false);
        object
    }

    fn note(
        &mut self,
        resource: &Resource,
        namespace: &str,
        object: &Arc<Value>,
        before: Option<Arc<Value>>,
        removed: bool,
    ) {
        self.changes.push(Change {
            version: self.version,
            kind: (resource.group, resource.plural),
            namespace: namespace.to_owned(),
            object: Arc::clone(object),
            before,
            removed,
        });
    }

    fn name_of(&self, object: &Value) -> String {
        let (name, prefix) = (text(object, "/metadata/name"), text(object, "/metadata/generateName"));
        if name.is_empty() { format!("{prefix}{:05x}", self.version + 1) } else { name.to_owned() }
    }
}

/// The text at `pointer`, or nothing.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The part of an object that `PartialObjectMetadata` has.
pub fn only_metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// A random UUID, from the kernel.
fn fresh_uid() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("the kernel's UUIDs").trim().to_owned()
}
