//! Disruption budgets as they are on the wire.
//!
//! Knows which pods a budget covers and how many it lets go now. Sends nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::pods::Metadata;
use crate::config::Selector;

/// A `PodDisruptionBudget`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub namespace: String,
    pub name: String,
    /// How many of its pods may be evicted now (`status.disruptionsAllowed`).
    pub allowed: u32,
    covers: Covers,
}

/// The pods of its namespace that a budget is over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Covers {
    /// `{}` as selector.
    All,
    /// No selector, or one that cannot be read.
    None,
    Those(Selector),
}

impl Budget {
    /// Whether a pod with these labels, in this namespace, is under it.
    pub fn covers(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace
            && match &self.covers {
                Covers::All => true,
                Covers::None => false,
                Covers::Those(selector) => selector.matches(labels),
            }
    }
}

/// A list of budgets on the wire, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub struct WireBudgets {
    items: Vec<WireBudget>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireBudget {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    selector: Option<LabelSelector>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LabelSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    disruptions_allowed: i64,
}

impl From<WireBudgets> for Vec<Budget> {
    fn from(wire: WireBudgets) -> Vec<Budget> {
        let budget = |wire: WireBudget| Budget {
            namespace: wire.metadata.namespace,
            name: wire.metadata.name,
            allowed: u32::try_from(wire.status.disruptions_allowed).unwrap_or(0),
            covers: wire.spec.selector.map_or(Covers::None, |selector| selector.covers()),
        };
        wire.items.into_iter().map(budget).collect()
    }
}

impl LabelSelector {
    fn covers(&self) -> Covers {
        let labels = self.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.match_expressions.iter().flatten().map(Expression::text);
        let text = labels.chain(expressions).collect::<Vec<_>>().join(",");
        if text.is_empty() {
            return Covers::All;
        }
        Selector::parse(&text).map_or(Covers::None, Covers::Those)
    }
}

impl Expression {
    /// As `labelSelector` has it in a query. One that is none is refused when it is read.
    fn text(&self) -> String {
        let (key, values) = (&self.key, self.values.as_deref().unwrap_or_default().join(","));
        match self.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            other => format!("{key} {other} ({values})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(selector: Value) -> Budget {
        let item = json!({
            "metadata": {"namespace": "web", "name": "api"},
            "spec": {"minAvailable": 1, "selector": selector},
            "status": {"disruptionsAllowed": 2, "currentHealthy": 3},
        });
        let wire: WireBudgets = serde_json::from_value(json!({"items": [item]})).unwrap();
        Vec::from(wire).remove(0)
    }

    #[test]
    fn a_budget_covers_the_pods_of_its_namespace_that_its_selector_names() {
        let expressions = json!({"matchExpressions": [
            {"key": "app", "operator": "In", "values": ["api", "web"]},
            {"key": "tier", "operator": "DoesNotExist"},
        ]});
        let table = [
            (json!({"matchLabels": {"app": "api"}}), "web", true),
            (json!({"matchLabels": {"app": "api"}}), "db", false),
            (json!({"matchLabels": {"app": "web"}}), "web", false),
            (json!({}), "web", true),
            (Value::Null, "web", false),
            (expressions, "web", true),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]}), "web", false),
            (json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), "web", true),
            (json!({"matchExpressions": [{"key": "app", "operator": "Resembles", "values": ["api"]}]}), "web", false),
        ];
        let labels = BTreeMap::from([("app".to_owned(), "api".to_owned())]);
        for (selector, namespace, expected) in table {
            assert_eq!(budget(selector.clone()).covers(namespace, &labels), expected, "{selector} {namespace}");
        }
        assert_eq!(budget(json!({})).allowed, 2);
    }
}
