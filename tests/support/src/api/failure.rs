//! Refusals, worded and shaped as the real API server does.

use serde_json::{Value, json};

use super::resources::Resource;

/// A request that is refused: the `Status` object of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub code: u16,
    reason: &'static str,
    message: String,
    details: Value,
    pub retry_after: Option<u64>,
}

pub fn failure(code: u16, reason: &'static str, message: String, details: Value) -> Failure {
    Failure { code, reason, message, details, retry_after: None }
}

/// `details` that name an object.
pub fn about(resource: &Resource, name: &str) -> Value {
    let mut details = json!({"kind": resource.plural});
    if !name.is_empty() {
        details["name"] = name.into();
    }
    if !resource.group.is_empty() {
        details["group"] = resource.group.into();
    }
    details
}

impl Failure {
    pub fn not_found(resource: &Resource, name: &str) -> Failure {
        failure(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified()), about(resource, name))
    }

    /// 403, whoever forbids it: the authorizer or an admission plugin.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Failure {
        let what = if name.is_empty() { resource.qualified() } else { format!("{} \"{name}\"", resource.qualified()) };
        failure(403, "Forbidden", format!("{what} is forbidden: {why}"), about(resource, name))
    }

    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        failure(409, "Conflict", message, about(resource, name))
    }

    /// A UID (or resource version) that somebody demanded is not the object's.
    pub fn precondition(resource: &Resource, name: &str, what: &str, demanded: &str, real: &str) -> Failure {
        let then = if what == "UID" { "deleted and then recreated" } else { "modified" };
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the {what} in the precondition ({demanded}) does not match \
             the {what} in record ({real}). The object might have been {then}",
            resource.kind
        );
        failure(409, "Conflict", message, json!({"name": name, "kind": resource.kind}))
    }

    pub fn invalid(kind: &str, name: &str, why: &str) -> Failure {
        failure(422, "Invalid", format!("{kind} \"{name}\" is invalid: {why}"), json!({"name": name, "kind": kind}))
    }

    pub fn bad_request(message: &str) -> Failure {
        failure(400, "BadRequest", message.to_owned(), Value::Null)
    }

    pub fn unauthorized() -> Failure {
        failure(401, "Unauthorized", "Unauthorized".to_owned(), Value::Null)
    }

    /// Adds a cause to the details.
    pub fn because(mut self, cause: &str, message: &str) -> Failure {
        if self.details.is_null() {
            self.details = json!({});
        }
        self.details["causes"] = json!([{"reason": cause, "message": message}]);
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Failure {
        self.retry_after = Some(seconds);
        if self.details.is_null() {
            self.details = json!({});
        }
        self.details["retryAfterSeconds"] = seconds.into();
        self
    }

    /// The `Status` object.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        });
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body["code"] = self.code.into();
        body
    }
}

/// The `Status` object that says that all went well.
pub fn success(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code})
}
