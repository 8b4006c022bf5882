//! The three forms of PATCH: merge (RFC 7386), JSON (RFC 6902) and strategic merge.

use serde_json::{Map, Value, json};

use super::failure::{Failure, failure};

/// Applies a patch of the given content type.
pub fn apply(content_type: &str, object: &Value, patch: &Value) -> Result<Value, Failure> {
    let mut patched = object.clone();
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/merge-patch+json" => merge(&mut patched, patch),
        "application/strategic-merge-patch+json" => strategic(&mut patched, patch, ""),
        "application/json-patch+json" => operations(&mut patched, patch)?,
        other => {
            let message = format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml, \
                 application/strategic-merge-patch+json (got {other:?})"
            );
            return Err(failure(415, "UnsupportedMediaType", message, Value::Null));
        }
    }
    Ok(patched)
}

fn merge(object: &mut Value, patch: &Value) {
    merge_with(object, patch, &mut |_, old, new| merge(old, new));
}

fn strategic(object: &mut Value, patch: &Value, field: &str) {
    if let (Some(key), Value::Array(new)) = (merge_key(field), patch) {
        return merge_list(object, new, key);
    }
    merge_with(object, patch, &mut |field, old, new| strategic(old, new, field));
}

/// Goes through a patch's fields: null removes, everything else is merged into what is there.
fn merge_with(object: &mut Value, patch: &Value, inner: &mut dyn FnMut(&str, &mut Value, &Value)) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (field, new) in fields {
        if new.is_null() {
            if let Value::Object(object) = object {
                object.remove(field);
            }
        } else {
            inner(field, &mut object[field.as_str()], new);
        }
    }
}

/// The field by which the elements of a list are told apart; lists without one are replaced as a whole. (The tags
/// `patchMergeKey` of k8s.io/api core/v1.)
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "conditions" | "addresses" => Some("type"),
        "containers" | "initContainers" | "volumes" => Some("name"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

fn merge_list(object: &mut Value, new: &[Value], key: &str) {
    if !object.is_array() {
        *object = Value::Array(Vec::new());
    }
    let Value::Array(list) = object else { return };
    for element in new {
        let old = list.iter().position(|old| old[key] == element[key]);
        let delete = element["$patch"] == "delete";
        match old {
            Some(index) if delete => drop(list.remove(index)),
            Some(index) => strategic(&mut list[index], element, ""),
            None if delete => {}
            None => list.push(element.clone()),
        }
    }
}

fn operations(object: &mut Value, patch: &Value) -> Result<(), Failure> {
    let Value::Array(operations) = patch else { return Err(Failure::bad_request("a JSON patch is an array")) };
    for operation in operations {
        let path = operation["path"].as_str().unwrap_or_default();
        if !operate(object, operation["op"].as_str().unwrap_or_default(), path, &operation["value"]) {
            let message = "the server rejected our request due to an error in our request".to_owned();
            return Err(failure(422, "Invalid", message, json!({})));
        }
    }
    Ok(())
}

/// One operation; whether it could be done.
fn operate(object: &mut Value, operation: &str, path: &str, value: &Value) -> bool {
    let Some((parent, last)) = path.rsplit_once('/') else { return false };
    let last = last.replace("~1", "/").replace("~0", "~");
    if operation == "test" {
        // What is not there equals null.
        return object.pointer(path).unwrap_or(&Value::Null) == value;
    }
    match (object.pointer_mut(parent), operation) {
        (Some(Value::Object(fields)), "add") => {
            fields.insert(last, value.clone());
            true
        }
        (Some(Value::Object(fields)), "replace") => match fields.get_mut(&last) {
            Some(old) => {
                *old = value.clone();
                true
            }
            None => false,
        },
        (Some(Value::Object(fields)), "remove") => fields.remove(&last).is_some(),
        (Some(Value::Array(list)), "add") if last == "-" => {
            list.push(value.clone());
            true
        }
        (Some(Value::Array(list)), _) => operate_on_list(list, operation, &last, value),
        _ => false,
    }
}

fn operate_on_list(list: &mut Vec<Value>, operation: &str, index: &str, value: &Value) -> bool {
    let Some(index) = index.parse::<usize>().ok().filter(|index| *index <= list.len()) else { return false };
    match operation {
        "add" => list.insert(index, value.clone()),
        "replace" if index < list.len() => list[index] = value.clone(),
        "remove" if index < list.len() => drop(list.remove(index)),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_patch_does_what_its_kind_says() {
        let node = json!({"spec": {"taints": [{"key": "a"}], "unschedulable": true},
                          "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "x"}]}});
        let table = [
            (
                "application/merge-patch+json",
                json!({"spec": {"unschedulable": null, "taints": [{"key": "b"}]}}),
                json!({"taints": [{"key": "b"}]}),
                json!([{"type": "Ready", "status": "True", "reason": "x"}]),
            ),
            (
                "application/strategic-merge-patch+json",
                json!({"spec": {"taints": [{"key": "b"}]}, "status": {"conditions": [
                    {"type": "New", "status": "True"}, {"type": "Ready", "status": "False"}]}}),
                json!({"taints": [{"key": "b"}], "unschedulable": true}),
                json!([{"type": "Ready", "status": "False", "reason": "x"}, {"type": "New", "status": "True"}]),
            ),
            (
                "application/json-patch+json",
                json!([{"op": "add", "path": "/spec/taints/-", "value": {"key": "b"}},
                       {"op": "remove", "path": "/spec/unschedulable"},
                       {"op": "test", "path": "/spec/taints/0", "value": {"key": "a"}}]),
                json!({"taints": [{"key": "a"}, {"key": "b"}]}),
                json!([{"type": "Ready", "status": "True", "reason": "x"}]),
            ),
        ];
        for (kind, patch, spec, conditions) in table {
            let patched = apply(kind, &node, &patch).unwrap();
            assert_eq!((&patched["spec"], &patched["status"]["conditions"]), (&spec, &conditions), "{kind}");
        }
        let failing = json!([{"op": "test", "path": "/spec/unschedulable", "value": false}]);
        assert_eq!(apply("application/json-patch+json", &node, &failing).unwrap_err().code, 422);
        assert_eq!(apply("text/plain", &node, &json!({})).unwrap_err().code, 415);
    }
}
