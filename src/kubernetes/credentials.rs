//! Credentials: read from where the kubeconfig says, and read again when that changes.
//!
//! Knows files that are replaced under it and tokens that expire. Knows nothing of connections.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
use serde_json::{Value, json};

use super::certificate;
use super::exec::{self, Credential, ExecError};
use super::kubeconfig::{self, Kubeconfig, Problem, Source, Token, Trust};
use crate::https::tls::{self, TlsError};
use crate::moment::{Moment, Timestamp};
use crate::process::Priority;
use crate::secret::Secret;

/// After a plugin failed, or gave something that is already over, it is not run again before this time.
const PLUGIN_REST: Duration = Duration::from_secs(10);

/// How long a response to a Spot interruption lasts. Until they are renewed, credentials are to last for one that may
/// begin at any moment.
const SPOT_RESPONSE: Duration = Duration::from_secs(120);

/// How long before their end credentials are renewed: half a minute, at low priority, before there is a hurry.
const RENEWED_BEFORE: Duration = Duration::from_secs(150);

/// What connections and requests are made with.
#[derive(Clone, Default)]
pub struct Keys {
    /// `None`: a server without TLS. The same `Arc` as long as nothing in it changed.
    pub tls: Option<Arc<ClientConfig>>,
    pub token: Option<Secret>,
    /// The common name of the client certificate's subject.
    pub common_name: Option<String>,
    /// Until when they are good, where they say so: the plugin's answer, else the client certificate.
    pub expires: Option<Timestamp>,
}

/// The credentials of one kubeconfig.
pub struct Credentials {
    config: Kubeconfig,
    /// The files that were read, as they were just before.
    watched: Vec<(PathBuf, Option<Identity>)>,
    executed: Option<Executed>,
    /// Not before this moment is the plugin run again.
    plugin_rests_until: Moment,
    /// Why its last run failed.
    plugin_error: Option<ExecError>,
    /// The last [`Credentials::fetch`] failed.
    incomplete: bool,
    /// What the present keys were made of.
    material: Material,
    keys: Keys,
}

/// A plugin's answer.
struct Executed {
    credential: Credential,
    /// `None`: it does not end.
    life: Option<Life>,
}

/// When credentials that end are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    renew: Moment,
    ends: Moment,
}

/// Certificates and key as bytes.
#[derive(Default, PartialEq, Eq)]
struct Material {
    authority: Option<Vec<u8>>,
    pair: Option<Pair>,
}

/// Certificates, key.
type Pair = (Vec<u8>, Vec<u8>);

/// A file, and not another that took its name. Rotation replaces files or what a symlink points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsError {
    /// A file that the kubeconfig names.
    File(PathBuf, Problem),
    /// What comes from there cannot be used for TLS.
    Tls(String, TlsError),
    Exec(ExecError),
    /// The server speaks TLS and the kubeconfig says nothing of whom to trust.
    NoTrust,
    /// The token has characters that no HTTP header may have.
    Token,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialsError::File(path, problem) => write!(f, "cannot use {}: {problem}", path.display()),
            CredentialsError::Tls(place, error) => write!(f, "cannot use {place}: {error}"),
            CredentialsError::Exec(error) => error.fmt(f),
            CredentialsError::NoTrust => f.write_str(
                "the kubeconfig names no certificate-authority for its cluster, so the server cannot be trusted",
            ),
            CredentialsError::Token => f.write_str("the token has characters that a token cannot have"),
        }
    }
}

impl Credentials {
    /// Nothing is read yet.
    pub fn new(config: Kubeconfig) -> Credentials {
        Credentials {
            config,
            watched: Vec::new(),
            executed: None,
            plugin_rests_until: Moment::default(),
            plugin_error: None,
            incomplete: false,
            material: Material::default(),
            keys: Keys::default(),
        }
    }

    /// Whether something has changed or is about to expire, so that [`Credentials::fetch`] is worth its while.
    /// `response_ends`: of the response that is under way.
    pub fn due(&self, now: Moment, response_ends: Option<Moment>) -> bool {
        self.incomplete
            || self.plugin_due(now, response_ends)
            || self.watched.iter().any(|(path, identity)| Identity::of(path) != *identity)
    }

    /// Why the plugin's last run failed, if it did: what it gave before may still be good.
    pub fn plugin_trouble(&self) -> Option<CredentialsError> {
        self.plugin_error.clone().map(CredentialsError::Exec)
    }

    fn plugin_due(&self, now: Moment, response_ends: Option<Moment>) -> bool {
        let due = |executed: &Executed| executed.life.is_some_and(|life| life.is_due(now, response_ends));
        self.config.user.exec.is_some() && self.plugin_rests_until <= now && self.executed.as_ref().is_none_or(due)
    }

    /// Reads everything anew; the plugin is run if its answer is about to expire, or if the server `refused` the last.
    ///
    /// What could not be read leaves all as it was: the former keys may still be good.
    pub fn fetch(
        &mut self,
        refused: bool,
        now: Moment,
        response_ends: Option<Moment>,
    ) -> Result<Keys, CredentialsError> {
        self.incomplete = true;
        // Before their contents: what changes in between is seen as changed the next time.
        self.watched = self.files().into_iter().map(|path| (path.clone(), Identity::of(&path))).collect();
        self.execute(refused, now, response_ends)?;
        let token = self.token()?;
        let material = Material { authority: self.authority()?, pair: self.pair()? };
        if self.keys.tls.is_none() || material != self.material {
            (self.keys.tls, self.keys.common_name) = self.tls(&material)?;
            self.material = material;
        }
        self.keys.expires = self.expires();
        self.keys.token = token;
        self.incomplete = false;
        Ok(self.keys.clone())
    }

    /// Every file that the keys come from.
    fn files(&self) -> Vec<PathBuf> {
        let user = &self.config.user;
        let mut files = Vec::new();
        let mut add = |source: &Source| {
            if let Source::File(path) = source {
                files.push(path.clone());
            }
        };
        if let Trust::Authority(authority) = &self.config.trust {
            add(authority);
        }
        if let Some(certificate) = &user.certificate {
            add(&certificate.chain);
            add(&certificate.key);
        }
        if let Some(Token::File(path)) = &user.token {
            files.push(path.clone());
        }
        files
    }

    /// Runs the plugin, if there is one and it is time. A failure matters once there is no earlier answer to go on
    /// with, or the server refused it.
    fn execute(&mut self, refused: bool, now: Moment, response_ends: Option<Moment>) -> Result<(), CredentialsError> {
        let Some(exec) = self.config.user.exec.clone() else { return Ok(()) };
        if self.plugin_due(now, response_ends) || (refused && self.plugin_rests_until <= now) {
            self.plugin_rests_until = now + PLUGIN_REST;
            let priority = if refused { Priority::Ordinary } else { self.plugin_priority(now, response_ends) };
            match exec::run(&exec, priority, || cluster_info(&self.config)) {
                Ok(credential) => {
                    let left = credential.expires.map(|at| at.later_than(Timestamp::now()).unwrap_or_default());
                    let life = left.map(|left| Life::of(left, now));
                    self.executed = Some(Executed { credential, life });
                    self.plugin_error = None;
                }
                Err(error) => self.plugin_error = Some(error),
            }
        }
        match &self.plugin_error {
            Some(error) if refused || self.executed.is_none() => Err(CredentialsError::Exec(error.clone())),
            _ => Ok(()),
        }
    }

    fn plugin_priority(&self, now: Moment, response_ends: Option<Moment>) -> Priority {
        let life = self.executed.as_ref().and_then(|executed| executed.life);
        life.map_or(Priority::Ordinary, |life| life.priority(now, response_ends))
    }

    fn expires(&self) -> Option<Timestamp> {
        if let Some(executed) = &self.executed {
            return executed.credential.expires;
        }
        let (chain, _) = self.material.pair.as_ref()?;
        certificate::not_after(tls::certificates(chain).ok()?.first()?)
    }

    fn token(&self) -> Result<Option<Secret>, CredentialsError> {
        if let Some(token) = self.executed.as_ref().and_then(|e| e.credential.token.clone()) {
            return Ok(Some(token));
        }
        let token = match &self.config.user.token {
            None => return Ok(None),
            Some(Token::Given(token)) => token.reveal().to_owned(),
            Some(Token::File(path)) => {
                String::from_utf8(read(path)?).map_err(|_| CredentialsError::Token)?.trim().to_owned()
            }
        };
        let sendable = token.bytes().all(|byte| byte.is_ascii_graphic());
        if sendable { Ok(Some(Secret::new(token))) } else { Err(CredentialsError::Token) }
    }

    fn authority(&self) -> Result<Option<Vec<u8>>, CredentialsError> {
        match &self.config.trust {
            Trust::Authority(source) => bytes(source).map(Some),
            Trust::Anyone | Trust::Unsaid => Ok(None),
        }
    }

    fn pair(&self) -> Result<Option<Pair>, CredentialsError> {
        let given = self.executed.as_ref().and_then(|e| e.credential.certificate.as_ref());
        if let Some((chain, key)) = given {
            return Ok(Some((chain.reveal().into(), key.reveal().into())));
        }
        let Some(certificate) = &self.config.user.certificate else { return Ok(None) };
        Ok(Some((bytes(&certificate.chain)?, bytes(&certificate.key)?)))
    }

    fn tls(&self, material: &Material) -> Result<(Option<Arc<ClientConfig>>, Option<String>), CredentialsError> {
        if !self.config.server.starts_with("https://") {
            return Ok((None, None));
        }
        let of_user = |e| CredentialsError::Tls(self.certificates_place(), e);
        let identity = match &material.pair {
            Some((chain, key)) => Some(tls::identity(chain, key).map_err(of_user)?),
            None => None,
        };
        let name = identity.as_ref().and_then(|(chain, _)| certificate::common_name(chain.first()?));
        let of_authority = |e| CredentialsError::Tls(place("the certificate authority", &self.config.trust), e);
        let roots = match (&material.authority, &self.config.trust) {
            (Some(pem), _) => Some(tls::roots(pem).map_err(of_authority)?),
            (None, Trust::Anyone) => None,
            (None, _) => return Err(CredentialsError::NoTrust),
        };
        Ok((Some(tls::client(roots, identity).map_err(of_user)?), name))
    }

    fn certificates_place(&self) -> String {
        match (&self.executed, &self.config.user.certificate) {
            (Some(Executed { credential: Credential { certificate: Some(_), .. }, .. }), _) => {
                "the plugin's client certificate".to_owned()
            }
            (_, Some(certificate)) => match (&certificate.chain, &certificate.key) {
                (Source::File(chain), Source::File(key)) if chain != key => {
                    format!("the client certificate {} with {}", chain.display(), key.display())
                }
                (Source::File(chain), _) => format!("the client certificate {}", chain.display()),
                _ => "the client certificate in the kubeconfig".to_owned(),
            },
            _ => "the client certificate".to_owned(),
        }
    }
}

/// What a plugin is told with `provideClusterInfo`.
fn cluster_info(config: &Kubeconfig) -> Value {
    let mut cluster = json!({ "server": config.server });
    if let Trust::Authority(authority) = &config.trust
        && let Ok(pem) = bytes(authority)
    {
        cluster["certificate-authority-data"] = BASE64_STANDARD.encode(pem).into();
    }
    if config.trust == Trust::Anyone {
        cluster["insecure-skip-tls-verify"] = true.into();
    }
    if let Some(name) = &config.tls_server_name {
        cluster["tls-server-name"] = name.as_str().into();
    }
    if let Some(proxy) = &config.proxy_url {
        cluster["proxy-url"] = proxy.reveal().into();
    }
    cluster
}

impl Life {
    /// Of credentials that are good for `left`: those that live less than ten minutes are renewed after three quarters.
    fn of(left: Duration, now: Moment) -> Life {
        let used = left - RENEWED_BEFORE.min(left / 4);
        Life { renew: now + used.max(PLUGIN_REST), ends: now + left }
    }

    /// Nothing is renewed beside a response that it lasts for.
    fn is_due(self, now: Moment, response_ends: Option<Moment>) -> bool {
        let lasts = response_ends.is_some_and(|end| now < end && end <= self.ends);
        self.renew <= now && !lasts
    }

    /// There is a hurry once it does not last for the response that is under way, or for one that began now.
    fn priority(self, now: Moment, response_ends: Option<Moment>) -> Priority {
        let needed = response_ends.unwrap_or_default().max(now + SPOT_RESPONSE);
        if self.ends < needed { Priority::Ordinary } else { Priority::Low }
    }
}

fn place(what: &str, trust: &Trust) -> String {
    match trust {
        Trust::Authority(Source::File(path)) => format!("{what} {}", path.display()),
        _ => format!("{what} in the kubeconfig"),
    }
}

fn bytes(source: &Source) -> Result<Vec<u8>, CredentialsError> {
    match source {
        Source::Data(data) => Ok(data.clone()),
        Source::File(path) => read(path),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    kubeconfig::read_limited(path).map_err(|problem| CredentialsError::File(path.to_owned(), problem))
}

impl Identity {
    /// `None`: it cannot be looked at.
    pub fn of(path: &Path) -> Option<Identity> {
        let seen = fs::metadata(path).ok()?;
        let modified = (seen.mtime(), seen.mtime_nsec());
        Some(Identity { device: seen.dev(), inode: seen.ino(), size: seen.size(), modified })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn a_credential_is_renewed_in_time_for_a_whole_response_and_never_in_a_rush() {
        // `aws eks get-token` gives 14 minutes.
        for (left, renewed) in [(840, 690), (3600, 3450), (600, 450), (200, 150), (61, 45), (30, 22), (5, 10), (0, 10)]
        {
            let life = Life::of(Duration::from_secs(left), at(1000));
            assert_eq!((life.renew.since(at(1000)).as_secs(), life.ends), (renewed, at(1000 + left)), "{left}");
        }
    }

    #[test]
    fn a_plugin_is_not_run_beside_a_response_that_its_credentials_last_for() {
        let life = Life { renew: at(690), ends: at(840) };
        for (now, response_ends, due) in [
            (689, None, false),
            (690, None, true),
            (700, Some(800), false),
            (700, Some(840), false),
            // They would end in its midst.
            (700, Some(841), true),
            (689, Some(841), false),
            // It is over.
            (800, Some(800), true),
            (900, Some(800), true),
        ] {
            assert_eq!(life.is_due(at(now), response_ends.map(at)), due, "{now} {response_ends:?}");
        }
    }

    #[test]
    fn a_plugin_gives_way_to_others_only_while_its_credentials_last_for_any_response() {
        let life = Life { renew: at(690), ends: at(840) };
        for (now, response_ends, priority) in [
            (690, None, Priority::Low),
            (720, None, Priority::Low),
            (721, None, Priority::Ordinary),
            (690, Some(840), Priority::Low),
            (690, Some(841), Priority::Ordinary),
            (700, Some(600), Priority::Low),
        ] {
            assert_eq!(life.priority(at(now), response_ends.map(at)), priority, "{now} {response_ends:?}");
        }
    }
}
