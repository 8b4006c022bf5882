//! Field and label selectors, as query parameters and as in a budget's spec.

use serde_json::Value;

/// Whether `object` is what a field selector asks for (`spec.nodeName=a,status.phase!=Failed`). An absent field is an
/// empty one.
pub fn fields_match(selector: &str, object: &Value) -> bool {
    selector.split(',').filter(|term| !term.is_empty()).all(|term| {
        let (field, value) = term.split_once('=').unwrap_or((term, ""));
        let (field, wanted) = field.strip_suffix('!').map_or((field, true), |field| (field, false));
        let value = value.trim_start_matches('=');
        let pointer = format!("/{}", field.replace('.', "/"));
        let real = object.pointer(&pointer).map(plain).unwrap_or_default();
        (real == value) == wanted
    })
}

/// Whether `object` has the labels that a label selector asks for (`a=b,c!=d,e in (f,g),!h`).
pub fn labels_match(selector: &str, object: &Value) -> bool {
    terms(selector).iter().all(|term| term_matches(term.trim(), &object["metadata"]["labels"]))
}

/// Whether `object` has the labels that a `LabelSelector` (matchLabels, matchExpressions) asks for.
pub fn selector_matches(selector: &Value, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    let equal = selector["matchLabels"].as_object();
    let expressions = selector["matchExpressions"].as_array();
    equal.is_none_or(|all| all.iter().all(|(key, value)| labels.get(key) == Some(value)))
        && expressions.is_none_or(|all| all.iter().all(|expression| expression_matches(expression, labels)))
}

fn expression_matches(expression: &Value, labels: &Value) -> bool {
    let label = expression["key"].as_str().and_then(|key| labels.get(key));
    let listed = || label.is_some_and(|l| expression["values"].as_array().is_some_and(|values| values.contains(l)));
    match expression["operator"].as_str() {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

fn term_matches(term: &str, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key.trim()).and_then(Value::as_str);
    if let Some((left, values)) = term.split_once('(') {
        let listed = |key: &str| {
            label(key).is_some_and(|l| values.trim_end_matches(')').split(',').any(|value| value.trim() == l))
        };
        let left = left.trim();
        return match left.strip_suffix(" notin") {
            Some(key) => !listed(key),
            None => listed(left.trim_end_matches(" in")),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return label(key) != Some(value.trim());
    }
    if let Some((key, value)) = term.split_once('=') {
        return label(key) == Some(value.trim_start_matches('=').trim());
    }
    match term.strip_prefix('!') {
        Some(key) => label(key).is_none(),
        None => label(term).is_some(),
    }
}

/// Splits at commas, but not inside parentheses.
fn terms(selector: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms.retain(|term| !term.trim().is_empty());
    terms
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_choose_what_they_say() {
        let pod = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {"nodeName": "a"}});
        for (selector, matches) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app!=web", false),
            ("app in (api, web),tier", true),
            ("app notin (api,web)", false),
            ("!app", false),
            ("!other,other!=x", true),
        ] {
            assert_eq!(labels_match(selector, &pod), matches, "{selector}");
        }
        for (selector, matches) in [("spec.nodeName=a", true), ("spec.nodeName!=a", false), ("status.phase=", true)] {
            assert_eq!(fields_match(selector, &pod), matches, "{selector}");
        }
    }
}
