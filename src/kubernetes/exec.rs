//! Exec plugins: programs that write credentials (`aws eks get-token`, `aws-iam-authenticator`).
//!
//! Knows the ExecCredential protocol of client.authentication.k8s.io v1 and v1beta1. Processes are started by
//! [`crate::process`].

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::kubeconfig::Exec;
use crate::moment::{Moment, Timestamp};
use crate::process::{self, Priority};
use crate::secret::Secret;

/// How long a plugin may take; `aws eks get-token` takes about a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same at low priority, on a busy machine.
const LOW_PATIENCE: Duration = Duration::from_secs(30);

/// How much a plugin may write, in bytes.
const OUTPUT_LIMIT: usize = 1 << 20;

/// What a plugin gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub token: Option<Secret>,
    /// PEM: certificates, key.
    pub certificate: Option<(Secret, Secret)>,
    pub expires: Option<Timestamp>,
}

/// Why a plugin gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecError {
    Process(process::Error),
    /// Its answer cannot be used: program and reason. Nothing of the answer's values is in it.
    Answer(String, &'static str),
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExecError::Process(error) => write!(f, "the credential plugin {error}"),
            ExecError::Answer(program, why) => {
                write!(f, "the credential plugin {program} gave no credentials that can be used: {why}")
            }
        }
    }
}

/// Runs the plugin. `cluster` is what it is told of the cluster if the kubeconfig says so.
pub fn run(exec: &Exec, priority: Priority, cluster: impl FnOnce() -> Value) -> Result<Credential, ExecError> {
    let mut spec = json!({ "interactive": false });
    if exec.with_cluster {
        spec["cluster"] = cluster();
    }
    let info = json!({ "kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec });
    let command = process::Command {
        program: exec.command.clone(),
        arguments: exec.arguments.iter().map(OsString::from).collect(),
        environment: environment(exec, env::vars_os(), &info.to_string()),
        input: [].into(),
        folder: None,
    };
    let patience = match priority {
        Priority::Ordinary => PATIENCE,
        Priority::Low => LOW_PATIENCE,
    };
    let ends = Moment::now() + patience;
    let limits = process::Limits { ends, patience: Duration::from_secs(1), output: OUTPUT_LIMIT };
    let output = process::run_to_end(&command, &limits, priority).map_err(ExecError::Process)?;
    read(&output.stdout, &exec.api_version).map_err(|why| ExecError::Answer(exec.command.display().to_string(), why))
}

/// The daemon's own environment, the kubeconfig's additions, and what the protocol adds. The AWS tools look for their
/// files in HOME, which a service may not have.
fn environment(exec: &Exec, own: impl Iterator<Item = (OsString, OsString)>, info: &str) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = own.collect();
    let mut set = |name: &str, value: &str, replace: bool| {
        let there = all.iter().position(|(n, _)| n.to_str() == Some(name));
        match there.and_then(|at| all.get_mut(at)) {
            Some(pair) if replace => pair.1 = value.into(),
            Some(_) => (),
            None => all.push((name.into(), value.into())),
        }
    };
    set("HOME", "/root", false);
    set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", false);
    for (name, value) in &exec.environment {
        set(name, value.reveal(), true);
    }
    set("KUBERNETES_EXEC_INFO", info, true);
    all
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: Option<String>,
    kind: Option<String>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Reads a plugin's answer, which must be of the version that was asked for.
pub fn read(output: &[u8], api_version: &str) -> Result<Credential, &'static str> {
    // serde_json's own message could quote a part of a token.
    let answer: ExecCredential =
        serde_json::from_slice(output).map_err(|_| "its standard output is no ExecCredential in JSON")?;
    if answer.kind.as_deref() != Some("ExecCredential") {
        return Err("its kind is not ExecCredential");
    }
    if answer.api_version.as_deref() != Some(api_version) {
        return Err("its apiVersion is not the one in the kubeconfig");
    }
    let status = answer.status.ok_or("it has no status")?;
    let filled = |text: Option<String>| text.filter(|t| !t.is_empty()).map(Secret::new);
    let token = filled(status.token);
    let certificate = match (filled(status.client_certificate_data), filled(status.client_key_data)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("it has a client certificate without key, or a key without certificate"),
    };
    if token.is_none() && certificate.is_none() {
        return Err("it has neither a token nor a client certificate");
    }
    let expires = match status.expiration_timestamp {
        Some(text) => Some(Timestamp::from_rfc3339(&text).ok_or("its expirationTimestamp is no RFC 3339 time")?),
        None => None,
    };
    Ok(Credential { token, certificate, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn answer(status: Value) -> Result<Credential, &'static str> {
        read(json!({"kind": "ExecCredential", "apiVersion": V1, "status": status}).to_string().as_bytes(), V1)
    }

    #[test]
    fn an_answer_holds_a_token_or_a_certificate_with_its_key() {
        let token = answer(json!({"token": "k8s-aws-v1.abc", "expirationTimestamp": "2026-11-22T20:14:00Z"})).unwrap();
        assert_eq!(token.token.unwrap().reveal(), "k8s-aws-v1.abc");
        assert_eq!(token.expires, Timestamp::from_rfc3339("2026-11-22T20:14:00Z"));
        let pair = answer(json!({"clientCertificateData": "c", "clientKeyData": "k"})).unwrap();
        assert!(pair.certificate.is_some() && pair.token.is_none() && pair.expires.is_none());
    }

    #[test]
    fn an_answer_that_cannot_be_used_is_refused_without_showing_it() {
        for status in [
            json!({}),
            json!({"token": ""}),
            json!({"clientCertificateData": "c"}),
            json!({"token": "t", "expirationTimestamp": "soon"}),
            Value::Null,
        ] {
            assert!(answer(status.clone()).is_err(), "{status}");
        }
        let other = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1",
            "status": {"token": "sesame"}});
        assert_eq!(read(other.to_string().as_bytes(), V1), Err("its apiVersion is not the one in the kubeconfig"));
        assert!(!read(b"sesame", V1).unwrap_err().contains("sesame"));
    }

    #[test]
    fn the_plugin_has_a_home_and_the_kubeconfigs_variables() {
        let exec = Exec {
            api_version: V1.into(),
            command: "aws".into(),
            arguments: vec![],
            environment: vec![("A".into(), Secret::new("new".into()))],
            with_cluster: false,
        };
        let own = [("A", "old"), ("PATH", "/bin"), ("B", "b")].map(|(n, v)| (n.into(), v.into()));
        let mut all = environment(&exec, own.into_iter(), "{}");
        all.sort();
        let expected = [("A", "new"), ("B", "b"), ("HOME", "/root"), ("KUBERNETES_EXEC_INFO", "{}"), ("PATH", "/bin")];
        assert_eq!(all, expected.map(|(n, v)| (n.into(), v.into())));
    }

    #[test]
    fn a_plugin_of_low_priority_gives_way_to_others() {
        // It is told once it runs already. Its token is its niceness.
        let script = r#"while [ $((i += 1)) -lt 1000 ] && [ $(nice) = $1 ]; do :; done
            printf '{"kind": "ExecCredential", "apiVersion": "%s", "status": {"token": "%s"}}' $2 $(nice)"#;
        let own = rustix::process::getpriority_process(None).unwrap();
        let exec = Exec {
            api_version: V1.into(),
            command: "/bin/sh".into(),
            arguments: ["-c", script, "sh", &own.to_string(), V1].map(str::to_owned).into(),
            environment: vec![],
            with_cluster: false,
        };
        let token = run(&exec, Priority::Low, || Value::Null).unwrap().token.unwrap();
        assert_eq!(token.reveal(), (own + 10).min(19).to_string());
    }
}
