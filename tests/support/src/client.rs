//! A client of an API server, real or not: one request, one answer, and watches line by line.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http;
use ureq::tls::{Certificate, ClientCert, PrivateKey, TlsConfig};

use crate::certificates::Identity;

pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Speaks to one API server as one identity. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    server: String,
    agent: Agent,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body, where the answer is 2xx.
    ///
    /// # Panics
    /// Where it is not.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "the API server answered {}: {}", self.status, self.body);
        self.body
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

impl Client {
    /// `ca` is PEM.
    pub fn new(server: &str, ca: &str, identity: Option<&Identity>) -> Client {
        let certificate = |pem: &str| Certificate::from_pem(pem.as_bytes()).expect("a certificate in PEM");
        let client = identity.map(|identity| {
            let key = PrivateKey::from_pem(identity.key_pem.as_bytes()).expect("a key in PEM");
            ClientCert::new_with_certs(&[certificate(&identity.certificate_pem)], key)
        });
        let tls = TlsConfig::builder()
            .root_certs([certificate(ca)].into_iter().into())
            .client_cert(client)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(64)
            .max_idle_connections_per_host(64)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .allow_non_standard_methods(true)
            .build();
        Client { server: server.trim_end().to_owned(), agent: config.new_agent() }
    }

    /// Sends one request; `body` `Null` is none.
    ///
    /// # Panics
    /// Where no answer comes.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.try_request(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends one request; `body` `Null` is none.
    ///
    /// # Errors
    /// Where no answer comes.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, ureq::Error> {
        let mut response = self.try_send(method, path, headers, body)?;
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status: response.status().as_u16(), body })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], &Value::Null)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &[("Content-Type", "application/json")], body)
    }

    /// `kind` is the content type: [`MERGE`], [`STRATEGIC`].
    pub fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        self.request("PATCH", path, &[("Content-Type", kind)], body)
    }

    pub fn delete(&self, path: &str, options: &Value) -> Answer {
        self.request("DELETE", path, &[("Content-Type", "application/json")], options)
    }

    /// Gives each event of a watch to `each` until that says to stop (false), or the watch ends. `None`: the server
    /// cannot be reached, as at the end of a test.
    pub fn watch(&self, path: &str, mut each: impl FnMut(Value) -> bool) -> Option<u16> {
        let response = self.try_send("GET", path, &[], &Value::Null).ok()?;
        let status = response.status().as_u16();
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        for line in lines.map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            let event = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{path}: {e}: {line}"));
            if !each(event) {
                break;
            }
        }
        Some(status)
    }

    fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.server));
        // Named like what it is tested beside: curl's and browsers' own agents would be answered in pretty print.
        request = request.header("User-Agent", "spot-guard-test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_null() {
            self.agent.run(request.body(()).expect("a request"))
        } else {
            self.agent.run(request.body(body.to_string()).expect("a request"))
        }
    }
}
