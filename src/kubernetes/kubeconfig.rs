//! Kubeconfigs: where they lie and what they say.
//!
//! Knows the file's format and its rules of precedence. Reads no other file than the kubeconfig itself: what it names is
//! read by [`super::credentials`], again and again, as it changes.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::yaml::{self, Yaml};
use crate::secret::Secret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Where node agents leave the kubelet's kubeconfig, in the order in which they are looked at.
const KNOWN_PLACES: [&str; 4] = [
    // EKS (AL2023's nodeadm and AL2), kOps.
    "/var/lib/kubelet/kubeconfig",
    // kubeadm.
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
];

/// Where a kubeconfig is looked for: the configured one, or the kubelet's.
pub fn places(configured: Option<&Path>) -> Vec<PathBuf> {
    configured.map_or_else(|| KNOWN_PLACES.iter().map(PathBuf::from).collect(), |path| vec![path.to_owned()])
}

/// The largest file that is read, in bytes: kubeconfigs, certificates and tokens are a few kilobytes.
const FILE_LIMIT: u64 = 1 << 20;

/// The cluster and the user of a kubeconfig's current context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubeconfig {
    /// `https://host[:port][/prefix]`, or `http://…` for a server without TLS; no slash at the end.
    pub server: String,
    pub trust: Trust,
    /// The name that the server's certificate must have, where it is not the one in `server`.
    pub tls_server_name: Option<String>,
    pub proxy_url: Option<Secret>,
    pub user: User,
}

/// How the server's certificate is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It must be signed by one of these.
    Authority(Source),
    /// `insecure-skip-tls-verify`.
    Anyone,
    /// Nothing is said: enough only where there is no TLS.
    Unsaid,
}

/// Where bytes come from: the kubeconfig itself, or a file that may change at any time.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    Data(Vec<u8>),
    File(PathBuf),
}

/// Data may be a private key, so it is not shown.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Data(data) => write!(f, "{} bytes of data", data.len()),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How the user shows who it is; any combination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub certificate: Option<Certificate>,
    pub token: Option<Token>,
    pub exec: Option<Exec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub chain: Source,
    pub key: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Given(Secret),
    File(PathBuf),
}

/// A program that writes credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// `client.authentication.k8s.io/v1` or `/v1beta1`, which its answer must have too.
    pub api_version: String,
    /// A path, or a bare name for a look-up in PATH.
    pub command: PathBuf,
    pub arguments: Vec<String>,
    /// Added to the daemon's own environment. Values may be secrets.
    pub environment: Vec<(String, Secret)>,
    /// `provideClusterInfo`: the plugin is told of the cluster.
    pub with_cluster: bool,
}

/// A kubeconfig, or a file that it names, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigError {
    pub file: PathBuf,
    pub problem: Problem,
}

/// What is wrong with a kubeconfig. The texts are keys and names of the file, never values that may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    Unreadable(String),
    TooLarge,
    NotYaml(String),
    /// `current-context` is not set.
    NoContext,
    /// A name points at nothing: kind (`context`, `cluster`, `user`) and name.
    Unknown(&'static str, String),
    /// The key should be there.
    Missing(&'static str),
    /// The key has a value of the wrong kind: what was expected.
    Wrong(&'static str, &'static str),
    /// The key asks for something that spot-guard does not do, and why.
    Unsupported(&'static str, &'static str),
}

impl fmt::Display for KubeconfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the kubeconfig {}: {}", self.file.display(), self.problem)
    }
}

impl std::error::Error for KubeconfigError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unreadable(why) => write!(f, "it cannot be read ({why})"),
            Problem::TooLarge => write!(f, "it is larger than {} KiB", FILE_LIMIT >> 10),
            Problem::NotYaml(why) => write!(f, "it is not valid YAML ({why})"),
            Problem::NoContext => f.write_str("it has no current-context; name one of its contexts there"),
            Problem::Unknown(kind, name) => write!(f, "it has no {kind} named {:?}", beginning(name)),
            Problem::Missing(key) => write!(f, "{key} is missing"),
            Problem::Wrong(key, expected) => write!(f, "{key} should be {expected}"),
            Problem::Unsupported(key, why) => write!(f, "{key}: {why}"),
        }
    }
}

/// Reads the kubeconfig at `path`.
pub fn load(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    read_limited(path)
        .and_then(|text| String::from_utf8(text).map_err(|_| Problem::NotYaml("not UTF-8".to_owned())))
        .and_then(|text| parse(&text, folder))
        .map_err(|problem| KubeconfigError { file: path.to_owned(), problem })
}

/// Reads a file of at most 1 MiB.
pub(super) fn read_limited(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |e: std::io::Error| Problem::Unreadable(e.to_string());
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT { Err(Problem::TooLarge) } else { Ok(bytes) }
}

/// Reads a kubeconfig from its text (YAML, or JSON, which is YAML); relative paths in it start at `folder`.
pub fn parse(text: &str, folder: &Path) -> Result<Kubeconfig, Problem> {
    let root = &yaml::read(text).map_err(Problem::NotYaml)?;
    let context_name = text_at(root, "current-context")?.ok_or(Problem::NoContext)?;
    let context = named(root, "contexts", "context", &context_name)?;
    let cluster_name = text_at(context, "cluster")?.ok_or(Problem::Missing("the context's cluster"))?;
    let cluster = named(root, "clusters", "cluster", &cluster_name)?;
    let user = match text_at(context, "user")? {
        Some(name) => user(named(root, "users", "user", &name)?, folder)?,
        None => User::default(),
    };
    Ok(Kubeconfig {
        server: server(cluster)?,
        trust: trust(cluster, folder)?,
        tls_server_name: text_at(cluster, "tls-server-name")?,
        proxy_url: text_at(cluster, "proxy-url")?.map(Secret::new),
        user,
    })
}

fn server(cluster: &Yaml) -> Result<String, Problem> {
    let server = text_at(cluster, "server")?.ok_or(Problem::Missing("server"))?;
    // Like kubectl: without a scheme it is a plain host.
    let server = if server.contains("://") { server } else { format!("https://{server}") };
    if server.starts_with("https://") || server.starts_with("http://") {
        Ok(server.trim_end_matches('/').to_owned())
    } else {
        Err(Problem::Wrong("server", "a URL of https or http"))
    }
}

fn trust(cluster: &Yaml, folder: &Path) -> Result<Trust, Problem> {
    let authority = source(cluster, folder, "certificate-authority-data", "certificate-authority")?;
    match (flag_at(cluster, "insecure-skip-tls-verify")?, authority) {
        (true, _) => Ok(Trust::Anyone),
        (false, Some(authority)) => Ok(Trust::Authority(authority)),
        (false, None) => Ok(Trust::Unsaid),
    }
}

fn user(user: &Yaml, folder: &Path) -> Result<User, Problem> {
    for key in ["auth-provider", "username", "as"] {
        if *user.at(key) != Yaml::Null {
            return Err(Problem::Unsupported(
                "users[].user",
                "auth-provider, username and as are not known here; use a client certificate, a token or exec",
            ));
        }
    }
    let chain = source(user, folder, "client-certificate-data", "client-certificate")?;
    let key = source(user, folder, "client-key-data", "client-key")?;
    let certificate = match (chain, key) {
        (Some(chain), Some(key)) => Some(Certificate { chain, key }),
        (None, None) => None,
        (None, Some(_)) => return Err(Problem::Missing("client-certificate")),
        (Some(_), None) => return Err(Problem::Missing("client-key")),
    };
    let token = match text_at(user, "tokenFile")? {
        Some(path) => Some(Token::File(folder.join(path))),
        None => text_at(user, "token")?.map(|token| Token::Given(Secret::new(token))),
    };
    let exec = if *user.at("exec") == Yaml::Null { None } else { Some(exec(user.at("exec"), folder)?) };
    Ok(User { certificate, token, exec })
}

fn exec(exec: &Yaml, folder: &Path) -> Result<Exec, Problem> {
    let api_version = text_at(exec, "apiVersion")?.ok_or(Problem::Missing("exec.apiVersion"))?;
    if !["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"].contains(&api_version.as_str()) {
        return Err(Problem::Unsupported("exec.apiVersion", "client.authentication.k8s.io v1 and v1beta1 are known"));
    }
    if text_at(exec, "interactiveMode")?.as_deref() == Some("Always") {
        return Err(Problem::Unsupported("exec.interactiveMode", "nobody is there to answer the plugin"));
    }
    let command = text_at(exec, "command")?.ok_or(Problem::Missing("exec.command"))?;
    // As client-go: only what looks like a path is one; a bare name is looked up in PATH.
    let command = if command.contains('/') { folder.join(command) } else { PathBuf::from(command) };
    let arguments = list_at(exec, "args")?
        .iter()
        .map(|argument| match argument {
            Yaml::Text(text) => Ok(text.clone()),
            _ => Err(Problem::Wrong("exec.args", "a list of texts")),
        })
        .collect::<Result<_, _>>()?;
    let environment = list_at(exec, "env")?
        .iter()
        .map(|pair| {
            let name = text_at(pair, "name")?.ok_or(Problem::Missing("exec.env[].name"))?;
            Ok((name, Secret::new(text_at(pair, "value")?.unwrap_or_default())))
        })
        .collect::<Result<_, Problem>>()?;
    let with_cluster = flag_at(exec, "provideClusterInfo")?;
    Ok(Exec { api_version, command, arguments, environment, with_cluster })
}

/// The entry of the list `list` whose name is `name`, and in it the mapping `kind`.
fn named<'a>(root: &'a Yaml, list: &'static str, kind: &'static str, name: &str) -> Result<&'a Yaml, Problem> {
    for entry in list_at(root, list)? {
        if text_at(entry, "name")?.as_deref() == Some(name) {
            return Ok(entry.at(kind));
        }
    }
    Err(Problem::Unknown(kind, name.to_owned()))
}

/// Data beats the file; white space in base64, which YAML's folding leaves, is dropped.
fn source(map: &Yaml, folder: &Path, data: &'static str, file: &'static str) -> Result<Option<Source>, Problem> {
    if let Some(mut encoded) = text_at(map, data)? {
        encoded.retain(|c| !c.is_ascii_whitespace());
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| Problem::Wrong(data, "base64"))?;
        return Ok(Some(Source::Data(bytes)));
    }
    Ok(text_at(map, file)?.map(|path| Source::File(folder.join(path))))
}

/// As much of a name as a message shows.
pub(super) fn beginning(name: &str) -> &str {
    name.char_indices().nth(60).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

/// The text at `key`; an empty one is none, as in Go.
fn text_at(map: &Yaml, key: &'static str) -> Result<Option<String>, Problem> {
    match map.at(key) {
        Yaml::Null => Ok(None),
        Yaml::Text(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        _ => Err(Problem::Wrong(key, "a text")),
    }
}

fn flag_at(map: &Yaml, key: &'static str) -> Result<bool, Problem> {
    match map.at(key) {
        Yaml::Null => Ok(false),
        Yaml::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Yaml::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Problem::Wrong(key, "true or false")),
    }
}

fn list_at<'a>(map: &'a Yaml, key: &'static str) -> Result<&'a [Yaml], Problem> {
    match map.at(key) {
        Yaml::Null => Ok(&[]),
        Yaml::List(list) => Ok(list),
        _ => Err(Problem::Wrong(key, "a list")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A kubeconfig of one cluster and one user, each given as the YAML of its mapping in one line.
    fn config(cluster: &str, user: &str) -> Result<Kubeconfig, Problem> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: ctx\ncontexts:\n- name: other\n- context: {{cluster: c, \
             namespace: default, user: u}}\n  name: ctx\nclusters:\n- cluster: {cluster}\n  name: c\nusers:\n- name: u\n  \
             user: {user}\n"
        );
        parse(&text, Path::new("/etc/k"))
    }

    fn file(path: &str) -> Source {
        Source::File(path.into())
    }

    fn user(text: &str) -> Result<User, Problem> {
        config("{server: 'https://a'}", text).map(|config| config.user)
    }

    #[test]
    fn eks_has_an_exec_plugin_found_by_path_or_by_name() {
        for (version, command, arguments) in [
            ("v1beta1", "aws", "[eks, get-token, --cluster-name, C, --region, eu-west-1]"),
            ("v1beta1", "/usr/bin/aws-iam-authenticator", "[token, -i, C, --region, eu-west-1]"),
            ("v1", "./bin/plugin", "null"),
        ] {
            let exec = format!(
                "{{exec: {{apiVersion: client.authentication.k8s.io/{version}, command: {command}, args: {arguments}, \
                 env: [{{name: AWS_STS_REGIONAL_ENDPOINTS, value: regional}}], interactiveMode: IfAvailable}}}}"
            );
            let read =
                config("{server: 'https://abc.eks.amazonaws.com', certificate-authority: /ca.crt}", &exec).unwrap();
            assert_eq!(read.trust, Trust::Authority(file("/ca.crt")));
            let exec = read.user.exec.unwrap();
            assert_eq!(exec.api_version, format!("client.authentication.k8s.io/{version}"));
            let expected = if command == "./bin/plugin" { "/etc/k/./bin/plugin" } else { command };
            assert_eq!(exec.command, Path::new(expected));
            assert_eq!(exec.arguments.len(), arguments.matches(',').count() + usize::from(arguments != "null"));
            assert_eq!(exec.environment, [("AWS_STS_REGIONAL_ENDPOINTS".into(), Secret::new("regional".into()))]);
            assert!(!exec.with_cluster);
        }
    }

    #[test]
    fn kubeadm_has_certificate_and_key_in_one_file_k3s_and_rke2_in_two() {
        let pem = "/var/lib/kubelet/pki/kubelet-client-current.pem";
        let read = user(&format!("{{client-certificate: {pem}, client-key: {pem}}}")).unwrap();
        assert_eq!(read.certificate, Some(Certificate { chain: file(pem), key: file(pem) }));
        let read = user("{client-certificate: client-kubelet.crt, client-key: client-kubelet.key}").unwrap();
        let (chain, key) = (file("/etc/k/client-kubelet.crt"), file("/etc/k/client-kubelet.key"));
        assert_eq!(read.certificate, Some(Certificate { chain, key }));
    }

    #[test]
    fn kops_has_everything_inline_and_data_beats_the_file() {
        let cluster =
            "{server: 'https://api.internal.k', certificate-authority: /x, certificate-authority-data: 'Y2E='}";
        let read = config(cluster, "{client-certificate-data: Y2VydA==, client-key-data: \"a2\\n V5\\n\"}").unwrap();
        assert_eq!(read.trust, Trust::Authority(Source::Data(b"ca".to_vec())));
        let (chain, key) = (Source::Data(b"cert".to_vec()), Source::Data(b"key".to_vec()));
        assert_eq!(read.user.certificate, Some(Certificate { chain, key }));
    }

    #[test]
    fn json_is_a_kubeconfig_too() {
        let text = serde_json::json!({
            "current-context": "ctx",
            "contexts": [{"name": "ctx", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://[fd00::1]:6443/", "tls-server-name": "kubernetes",
                "insecure-skip-tls-verify": true, "proxy-url": "http://user:password@proxy:3128"}}],
            "users": [{"name": "u", "user": {"token": "t", "tokenFile": "token"}}],
        });
        for text in [text.to_string(), serde_json::to_string_pretty(&text).unwrap().replace("  ", "\t")] {
            let read = parse(&text, Path::new("/etc/k")).unwrap();
            assert_eq!(read.server, "https://[fd00::1]:6443");
            assert_eq!((read.trust.clone(), read.tls_server_name.as_deref()), (Trust::Anyone, Some("kubernetes")));
            assert_eq!(read.user.token, Some(Token::File("/etc/k/token".into())), "tokenFile beats token");
            assert!(!format!("{read:?}").contains("password"));
        }
    }

    #[test]
    fn the_known_forms_of_a_server() {
        for (written, expected) in [
            ("'https://127.0.0.1:6444'", Ok("https://127.0.0.1:6444")),
            ("'10.0.0.1:6443'", Ok("https://10.0.0.1:6443")),
            ("'http://localhost:8080/prefix/'", Ok("http://localhost:8080/prefix")),
            ("'unix:///run/k'", Err(Problem::Wrong("server", "a URL of https or http"))),
            ("''", Err(Problem::Missing("server"))),
        ] {
            let read = config(&format!("{{server: {written}}}"), "{}").map(|config| config.server);
            assert_eq!(read, expected.map(str::to_owned), "{written}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let exec = |rest: &str| user(&format!("{{exec: {{apiVersion: client.authentication.k8s.io/v1, {rest}}}}}"));
        assert_eq!(user("{client-key: k}"), Err(Problem::Missing("client-certificate")));
        assert_eq!(user("{client-certificate: c}"), Err(Problem::Missing("client-key")));
        assert_eq!(
            user("{client-certificate-data: '%', client-key: k}"),
            Err(Problem::Wrong("client-certificate-data", "base64"))
        );
        assert_eq!(user("{token: [t]}"), Err(Problem::Wrong("token", "a text")));
        assert!(matches!(user("{username: u, password: p}"), Err(Problem::Unsupported(..))));
        assert!(matches!(exec("interactiveMode: Always, command: c"), Err(Problem::Unsupported(..))));
        assert_eq!(exec("args: []"), Err(Problem::Missing("exec.command")));
        assert!(matches!(user("{exec: {apiVersion: v1alpha1, command: c}}"), Err(Problem::Unsupported(..))));
        for (text, expected) in [
            ("", Problem::NoContext),
            ("contexts: []", Problem::NoContext),
            ("current-context: x", Problem::Unknown("context", "x".into())),
            ("current-context: x\ncontexts: 3", Problem::Wrong("contexts", "a list")),
            (
                "current-context: x\ncontexts: [{name: x, context: {cluster: y}}]",
                Problem::Unknown("cluster", "y".into()),
            ),
            ("current-context: x\ncontexts: [{name: x}]", Problem::Missing("the context's cluster")),
        ] {
            assert_eq!(parse(text, Path::new("/")), Err(expected), "{text}");
        }
        assert!(matches!(parse("a: [", Path::new("/")), Err(Problem::NotYaml(_))));
        assert!(matches!(parse("a: 1\na: 2", Path::new("/")), Err(Problem::NotYaml(_))));
        let missing = load(Path::new("/nowhere/kubelet.conf")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot use the kubeconfig /nowhere/kubelet.conf: it cannot be read"), "{missing}");
    }

    #[test]
    fn a_name_that_looks_like_a_number_is_a_name() {
        let text = "current-context: 1\ncontexts: [{name: 1, context: {cluster: true}}]\n\
                    clusters: [{name: true, cluster: {server: 'https://a'}}]";
        assert_eq!(parse(text, Path::new("/")).unwrap().server, "https://a");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}", noise in "[\\[\\]{}:,&*!|>'\"%@`#?a-c \n\t-]{0,100}") {
            let _ = parse(&text, Path::new("/"));
            let _ = parse(&noise, Path::new("/"));
            let _ = user(&noise);
        }
    }
}
