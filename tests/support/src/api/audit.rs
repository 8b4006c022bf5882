//! The audit log, in the format of the real one (audit.k8s.io/v1, level Metadata, stage ResponseComplete).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::authorize::User;
use super::resources::Target;
use crate::http::Request;

/// The open log.
pub struct Audit(Mutex<File>);

impl Audit {
    pub fn create(path: &Path) -> io::Result<Audit> {
        OpenOptions::new().create(true).append(true).open(path).map(|file| Audit(Mutex::new(file)))
    }

    /// Writes the line of a request that was answered with `code`.
    pub fn note(&self, at: OffsetDateTime, user: &User, request: &Request, target: Option<&Target>, code: u16) {
        let mut line = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
            "requestURI": request.uri,
            "verb": target.map_or_else(|| request.method.to_lowercase(), |target| target.verb.to_owned()),
            "user": {"username": user.name, "groups": user.groups},
            "userAgent": request.header("User-Agent").unwrap_or_default(),
            "responseStatus": {"metadata": {}, "code": code},
            "requestReceivedTimestamp": microseconds(at),
            "stageTimestamp": microseconds(OffsetDateTime::now_utc()),
        });
        if let Some(target) = target {
            line["objectRef"] = reference(target);
        }
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk shows in the test that reads the log.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

fn reference(target: &Target) -> Value {
    let mut reference = json!({"resource": target.resource.plural, "apiVersion": target.resource.version});
    let parts = [
        ("namespace", target.namespace.as_str()),
        ("name", &target.name),
        ("subresource", &target.subresource),
        ("apiGroup", target.resource.group),
    ];
    for (field, value) in parts {
        if !value.is_empty() {
            reference[field] = value.into();
        }
    }
    reference
}

fn microseconds(time: OffsetDateTime) -> String {
    let whole = crate::imds::rfc3339(time);
    format!("{}.{:06}Z", whole.trim_end_matches('Z'), time.microsecond())
}
