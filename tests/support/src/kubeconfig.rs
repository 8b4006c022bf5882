//! Kubeconfigs as kubelets have them, for one node of a test.
//!
//! Paths and forms are those of kubeadm (a combined file behind a symlink that rotation replaces), kOps (all inline) and
//! EKS (an exec plugin).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::certificates::Identity;
use crate::cluster::Cluster;

/// Writes the kubeconfigs of one node into a folder.
pub struct Kubeconfigs<'a> {
    cluster: &'a Cluster,
    node: String,
    folder: PathBuf,
    /// Where the API server is reached: itself, or a proxy before it.
    server: String,
}

impl<'a> Kubeconfigs<'a> {
    pub fn new(cluster: &'a Cluster, node: &str, folder: &Path) -> Kubeconfigs<'a> {
        fs::create_dir_all(folder.join("pki")).expect("a folder for keys");
        Kubeconfigs { cluster, node: node.to_owned(), folder: folder.to_owned(), server: cluster.server().to_owned() }
    }

    /// Reaches the API server by this URL.
    pub fn through(mut self, server: &str) -> Kubeconfigs<'a> {
        server.clone_into(&mut self.server);
        self
    }

    /// kubeadm's: certificate and key are one file behind `pki/kubelet-client-current.pem`.
    pub fn combined(&self) -> PathBuf {
        self.rotate(&self.cluster.identity_of(&self.node));
        fs::write(self.folder.join("ca.crt"), &self.cluster.authority().certificate_pem).expect("write ca.crt");
        let current = self.folder.join("pki/kubelet-client-current.pem");
        let current = current.display();
        self.write(
            &format!("certificate-authority: {}", self.folder.join("ca.crt").display()),
            &format!("client-certificate: {current}\n    client-key: {current}"),
        )
    }

    /// What a kubelet does when its certificate is renewed: a new file, and the symlink replaced.
    pub fn rotate(&self, identity: &Identity) {
        let pki = self.folder.join("pki");
        let number = fs::read_dir(&pki).expect("the folder of keys").count();
        let file = pki.join(format!("kubelet-client-{number}.pem"));
        fs::write(&file, format!("{}{}", identity.certificate_pem, identity.sec1_key_pem())).expect("write a key");
        only_mine(&file, 0o600);
        let (new, current) = (pki.join("new"), pki.join("kubelet-client-current.pem"));
        symlink(&file, &new).expect("make a symlink");
        fs::rename(&new, &current).expect("replace a symlink");
    }

    /// kOps': everything inside.
    pub fn inline(&self) -> PathBuf {
        let identity = self.cluster.identity_of(&self.node);
        let (certificate, key) = (encode(&identity.certificate_pem), encode(&identity.key_pem));
        self.write(&self.inline_ca(), &format!("client-certificate-data: {certificate}\n    client-key-data: {key}"))
    }

    /// An administrator's, who may do everything.
    pub fn administrator(&self) -> PathBuf {
        self.administrator_named("operator")
    }

    /// An administrator's, whom the audit log has under this name.
    pub fn administrator_named(&self, user: &str) -> PathBuf {
        let identity = self.cluster.authority().client(user, "system:masters", Duration::from_secs(86400));
        let (certificate, key) = (encode(&identity.certificate_pem), encode(&identity.key_pem));
        self.write(&self.inline_ca(), &format!("client-certificate-data: {certificate}\n    client-key-data: {key}"))
    }

    /// A bearer token inside.
    pub fn token(&self, token: &str) -> PathBuf {
        self.write(&self.inline_ca(), &format!("token: {token}"))
    }

    /// A bearer token in a file beside it; gives back both, the kubeconfig first.
    pub fn token_file(&self, token: &str) -> (PathBuf, PathBuf) {
        let file = self.folder.join("token");
        fs::write(&file, token).expect("write a token");
        (self.write(&self.inline_ca(), &format!("tokenFile: {}", file.display())), file)
    }

    /// EKS': a plugin prints the credentials. They are the node's certificate, with this lifetime, signed once, here;
    /// each run of the plugin adds its time to `plugin.log` in the folder.
    pub fn exec_plugin(&self, api_version: &str, lifetime: Duration) -> PathBuf {
        let user = format!("system:node:{}", self.node);
        let identity = self.cluster.authority().client(&user, "system:nodes", Duration::from_secs(86400));
        let expires = crate::imds::rfc3339(OffsetDateTime::now_utc() + lifetime);
        let status = json!({"clientCertificateData": identity.certificate_pem, "clientKeyData": identity.key_pem,
                            "expirationTimestamp": expires});
        self.plugin(api_version, &json!({"apiVersion": api_version, "kind": "ExecCredential", "status": status}))
    }

    /// A plugin that prints a bearer token, which is good until it is refused.
    pub fn exec_plugin_with_token(&self, api_version: &str, token: &str) -> PathBuf {
        let status = json!({"token": token});
        self.plugin(api_version, &json!({"apiVersion": api_version, "kind": "ExecCredential", "status": status}))
    }

    /// How often the plugin has run.
    pub fn plugin_runs(&self) -> usize {
        fs::read_to_string(self.folder.join("plugin.log")).map_or(0, |log| log.lines().count())
    }

    /// When the plugin ran last.
    pub fn plugin_ran_at(&self) -> OffsetDateTime {
        let log = fs::read_to_string(self.folder.join("plugin.log")).expect("it has run");
        OffsetDateTime::parse(log.lines().last().expect("it has run"), &Rfc3339).expect("a time")
    }

    fn plugin(&self, api_version: &str, credential: &serde_json::Value) -> PathBuf {
        let at = |name: &str| self.folder.join(name);
        fs::write(at("credential.json"), credential.to_string()).expect("write a credential");
        only_mine(&at("credential.json"), 0o600);
        // It answers only what asks as a kubelet would (client-go's exec protocol).
        let script = format!(
            "#!/bin/sh\ndate -u +%Y-%m-%dT%H:%M:%S.%3NZ >>{0}/plugin.log\n[ \"$CLUSTER\" = test ] || exit 1\n\
             case $KUBERNETES_EXEC_INFO in *ExecCredential*) exec cat {0}/credential.json ;; *) exit 1 ;; esac\n",
            self.folder.display()
        );
        fs::write(at("get-token"), script).expect("write a plugin");
        only_mine(&at("get-token"), 0o755);
        let user = format!(
            "exec:\n      apiVersion: {api_version}\n      command: {}\n      args: [eks, get-token]\n      \
             env:\n      - name: CLUSTER\n        value: test\n      interactiveMode: Never",
            at("get-token").display()
        );
        self.write(&self.inline_ca(), &user)
    }

    fn inline_ca(&self) -> String {
        format!("certificate-authority-data: {}", encode(&self.cluster.authority().certificate_pem))
    }

    fn write(&self, authority: &str, user: &str) -> PathBuf {
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    {authority}\n    server: {0}\n\
             contexts:\n- name: kubelet\n  context:\n    cluster: kubernetes\n    user: kubelet\n\
             current-context: kubelet\npreferences: {{}}\nusers:\n- name: kubelet\n  user:\n    {user}\n",
            self.server
        );
        let path = self.folder.join("kubelet.conf");
        fs::write(&path, text).expect("write a kubeconfig");
        only_mine(&path, 0o600);
        path
    }
}

fn encode(pem: &str) -> String {
    STANDARD.encode(pem)
}

fn only_mine(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set the mode of a file");
}
