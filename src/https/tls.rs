//! TLS to a server: from certificates to a connection.
//!
//! Knows rustls. Knows nothing of where certificates come from, or of HTTP.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};
use ureq::Timeout;
use ureq::config::Config;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector, Transport, TransportAdapter,
};

/// Sessions kept for a quicker handshake; all are of one server.
const SESSIONS: usize = 8;

/// What certificates cannot be used for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// A file or an answer that should hold a PEM certificate holds none.
    NoCertificate,
    NoKey,
    /// Certificate and key do not belong together, or are of a kind that is not known.
    Pair(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::NoCertificate => f.write_str("there is no PEM certificate in it"),
            TlsError::NoKey => f.write_str("there is no PEM private key in it (PKCS#8, PKCS#1 or SEC1)"),
            TlsError::Pair(why) => write!(f, "certificate and key cannot be used together ({why})"),
        }
    }
}

/// Reads every certificate of a PEM text; what else is in it (the key, in the kubelet's own files) is passed over.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    if found.is_empty() { Err(TlsError::NoCertificate) } else { Ok(found) }
}

/// A client's certificates, its own first, and their key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads a client's certificates and key; either may be in a PEM text with other things.
pub fn identity(chain: &[u8], key: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
    Ok((certificates(chain)?, key))
}

/// The authorities in a PEM text. None at all is an error: ureq would go on without a word.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates(pem)?) {
        (0, _) => Err(TlsError::NoCertificate),
        _ => Ok(roots),
    }
}

/// A client that trusts what `roots` signed (`None`: any server) and shows `identity`.
///
/// The pair is checked here: ureq by itself panics on one that does not match, which a rotation can expose.
pub fn client(roots: Option<RootCertStore>, identity: Option<Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsError::Pair(e.to_string()))?;
    let builder = match roots {
        Some(roots) => builder.with_root_certificates(roots),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
    };
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| TlsError::Pair(e.to_string()))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// `insecure-skip-tls-verify`: whoever answers is the server. Signatures are still checked, they cost nothing.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Below TLS only whole records come by, in as many pieces as it takes.
const BELOW_TLS: usize = 4 << 10;

/// TCP with small buffers where TLS, which has buffers of its own, comes on top: with 64 connections at the peak of a
/// response they are most of the memory.
#[derive(Debug)]
pub struct Narrow {
    tcp: TcpConnector,
    below_tls: Config,
}

impl Default for Narrow {
    fn default() -> Narrow {
        let below_tls = Config::builder().input_buffer_size(BELOW_TLS).output_buffer_size(BELOW_TLS).build();
        Narrow { tcp: TcpConnector::default(), below_tls }
    }
}

impl<In: Transport> Connector<In> for Narrow {
    type Out = <TcpConnector as Connector<In>>::Out;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        if !details.needs_tls() {
            return self.tcp.connect(details, chained);
        }
        let narrow = ConnectionDetails {
            config: &self.below_tls,
            uri: details.uri,
            addrs: details.addrs.clone(),
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        self.tcp.connect(&narrow, chained)
    }
}

/// The last link in ureq's chain of connectors: TLS where the URL says so, and the pace of reading.
///
/// In the place of ureq's own, for the sake of `tls-server-name`, of errors instead of panics, and of `pace`.
#[derive(Debug)]
pub struct Secured {
    /// `None`: a server without TLS.
    pub client: Option<Arc<ClientConfig>>,
    /// The server's name where it is not the one in the URL.
    pub name: Option<ServerName<'static>>,
    /// A read of a body (not of its header) gives [`Timeout::PerRead`] after this time; reading can then go on. It
    /// works where the agent's `timeout_recv_body` is set.
    pub pace: Option<Duration>,
    /// Set once a connection came about.
    pub reached: Arc<AtomicBool>,
}

impl<In: Transport> Connector<In> for Secured {
    type Out = Paced<Either<In, Tls>>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Err(ureq::Error::ConnectionFailed) };
        let transport = match &self.client {
            Some(client) if details.needs_tls() && !transport.is_tls() => {
                let name = match &self.name {
                    Some(name) => name.clone(),
                    None => server_name(details.uri.host().unwrap_or_default()).ok_or(ureq::Error::HostNotFound)?,
                };
                Either::B(Tls::handshake(transport, client.clone(), name, details)?)
            }
            _ => Either::A(transport),
        };
        self.reached.store(true, Ordering::Relaxed);
        Ok(Some(Paced { transport, pace: self.pace }))
    }
}

/// The name that a server's certificate is to have: a DNS name or an IP address, IPv6 with or without its brackets.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()
}

/// A TLS connection.
pub struct Tls {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Tls {
    fn handshake(
        transport: impl Transport,
        client: Arc<ClientConfig>,
        name: ServerName<'static>,
        details: &ConnectionDetails,
    ) -> Result<Tls, ureq::Error> {
        let mut conn = ClientConnection::new(client, name)
            .map_err(|e| ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, e)))?;
        let mut sock = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Tls { buffers, stream: StreamOwned { conn, sock } })
    }
}

impl Transport for Tls {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A transport whose reads of a body come back from time to time, so that who reads can be told to end.
#[derive(Debug)]
pub struct Paced<T> {
    transport: T,
    pace: Option<Duration>,
}

impl<T: Transport> Transport for Paced<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.transport.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, mut timeout: NextTimeout) -> Result<bool, ureq::Error> {
        if timeout.reason == Timeout::RecvBody {
            timeout.per_read = self.pace.map(Into::into);
        }
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}
