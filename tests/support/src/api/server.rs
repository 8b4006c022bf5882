//! Connections: TLS, who is at the other end, one request after the other.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned,
};
use time::OffsetDateTime;

use super::Shared;
use super::authorize::User;
use super::failure::Failure;
use super::handle::{self, Reply};
use super::resources::Target;
use crate::certificates::{Authority, user_of};
use crate::http::{self, Request};

type Stream = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// The server's side of TLS, and what decides about a client's certificate at each request.
pub fn tls(authority: &Authority) -> (Arc<ServerConfig>, Arc<dyn ClientCertVerifier>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).expect("our own certificate");
    roots.add(root).expect("our own certificate as a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.allow_unauthenticated().build().expect("a verifier of clients");
    let identity = authority.server(&["localhost", "127.0.0.1", "::1", "kubernetes.default.svc"]);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_client_cert_verifier(Arc::new(Later(Arc::clone(&verifier))))
        .with_single_cert(vec![identity.certificate()], identity.key())
        .expect("our own certificate and key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (Arc::new(config), verifier)
}

/// Lets every certificate through the handshake, as the real one does: one that is unknown or expired is answered 401.
#[derive(Debug)]
struct Later(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Later {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

pub fn accept(listener: &TcpListener, tls: &Arc<ServerConfig>, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let (tls, shared) = (Arc::clone(tls), Arc::clone(shared));
        // A client that goes away in the middle is its own business.
        thread::spawn(move || stream.and_then(|stream| converse(stream, tls, &shared)).ok());
    }
}

fn converse(stream: TcpStream, tls: Arc<ServerConfig>, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    shared.state().connections.push(stream.try_clone()?);
    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(request) = Request::read(&mut stream)? {
        answer(&mut stream, &request, shared)?;
    }
    Ok(())
}

fn answer(stream: &mut Stream, request: &Request, shared: &Shared) -> io::Result<()> {
    let at = OffsetDateTime::now_utc();
    let target = Target::of(request);
    let delay = shared.state().switches.delay;
    if !delay.is_zero() {
        thread::sleep(delay);
    }
    let user = who(stream, request, shared);
    let reply = match &user {
        Ok(user) => handle::handle(user, request, target.as_ref(), shared),
        Err(failure) => Reply::of_failure(failure),
    };
    let user = user.unwrap_or_else(|_| User::new("", &[]));
    let to = stream.get_mut();
    match reply {
        Reply::Whole { code, headers, body } => {
            // Before the answer, so that whoever has the answer finds the line.
            shared.audit.note(at, &user, request, target.as_ref(), code);
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            http::respond(to, code, &headers, &body)
        }
        Reply::Stream(watch) => {
            let ended = watch.stream(shared, to);
            shared.audit.note(at, &user, request, target.as_ref(), 200);
            ended?;
            to.flush()
        }
    }
}

/// Who asks: by bearer token, else by certificate, else nobody in particular.
fn who(stream: &Stream, request: &Request, shared: &Shared) -> Result<User, Failure> {
    if let Some(token) = request.header("Authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        return shared.state().tokens.get(token.trim()).cloned().ok_or_else(Failure::unauthorized);
    }
    let Some(chain) = stream.get_ref().conn.peer_certificates() else { return Ok(User::anonymous()) };
    let Some((own, others)) = chain.split_first() else { return Ok(User::anonymous()) };
    // At each request, so that a certificate that expires is refused on a connection that stands.
    shared.verifier.verify_client_cert(own, others, UnixTime::now()).map_err(|_| Failure::unauthorized())?;
    let (name, groups) = user_of(own).ok_or_else(Failure::unauthorized)?;
    Ok(User { name, groups })
}
