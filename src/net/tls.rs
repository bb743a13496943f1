//! TLS over whatever was connected, by rustls. (Not ureq's own: that one knows no other name than the address's, and
//! panics over a key that does not fit its certificate.)

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, ConfigBuilder, StreamOwned, WantsVerifier,
    crypto::ring,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter, time::Duration,
    time::Instant,
};

use crate::error::Status;

/// How to speak TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must have.
    pub server_name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// To say whom to trust.
///
/// # Errors
/// None that can be met: ring knows our versions of TLS.
pub(crate) fn builder() -> crate::error::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_details(Arc::new(ring::default_provider()), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .map_err(|cause| Status::Configuration.error(format!("TLS: {cause}")))
}

/// rustls's own panics where the clock of this machine says that it is before 1970.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Adds TLS.
#[derive(Debug)]
pub(super) struct TlsConnector(Tls);

impl TlsConnector {
    /// Like this.
    pub fn with(tls: Tls) -> TlsConnector {
        TlsConnector(tls)
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = TlsTransport;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<TlsTransport>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        let connection = ClientConnection::new(self.0.config.clone(), self.0.server_name.clone());
        let mut connection = connection.map_err(io::Error::other)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(left(details));
        let shaken = connection.complete_io(&mut socket);
        shaken.map_err(|cause| alert_or(cause, &mut connection, &mut socket))?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(TlsTransport { buffers, stream: StreamOwned { conn: connection, sock: socket } }))
    }
}

/// Who refuses us says so and goes; then to write fails first. What he has said may still be there to be read.
fn alert_or(cause: io::Error, connection: &mut ClientConnection, socket: &mut TransportAdapter) -> io::Error {
    if matches!(cause.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
        while matches!(connection.read_tls(socket), Ok(1..)) {
            if let Err(refusal) = connection.process_new_packets() {
                return io::Error::new(ErrorKind::InvalidData, refusal);
            }
        }
    }
    cause
}

/// Of the time to connect, what the TCP connection has not taken.
fn left(details: &ConnectionDetails) -> NextTimeout {
    let after = match (details.timeout.after, details.now, (details.current_time)()) {
        (Duration::Exact(after), Instant::Exact(began), Instant::Exact(now)) => {
            Duration::Exact(after.saturating_sub(now.saturating_duration_since(began)))
        }
        (after, ..) => after,
    };
    NextTimeout { after, ..details.timeout }
}

/// A connection with TLS on it.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        let written = self.stream.write_all(output);
        Ok(written.map_err(|cause| alert_or(cause, &mut self.stream.conn, &mut self.stream.sock))?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf());
        let amount = amount.map_err(|cause| alert_or(cause, &mut self.stream.conn, &mut self.stream.sock))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

/// What TLS refuses, and so does not pass by itself: cause and remedy.
pub(crate) enum Refusal {
    /// Who answers is not who it should be, or no TLS can be spoken with it.
    OfTheirs(String),
    /// It does not want us as we are, or is no server for TLS.
    OfOurs(String),
}

/// What helps, where that depends on whom we ask.
pub(crate) struct Remedies<'a> {
    /// Its certificate is of a CA that is not trusted.
    pub unknown_ca: &'a str,
    /// Its certificate has another name: what helps besides to ask it by that one.
    pub other_name: &'a str,
    /// It says that it does not have the name that we ask for.
    pub unknown_name: &'a str,
    /// It does not speak TLS.
    pub plain: &'a str,
    /// It wants a certificate of ours, or another: all of it, cause and remedy.
    pub client_certificate: &'a str,
}

/// What of a failure is TLS's refusal.
pub(crate) fn refusal(cause: &io::Error, remedies: &Remedies) -> Option<Refusal> {
    Some(match cause.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(wrong) => Refusal::OfTheirs(certificate(wrong, remedies)),
        rustls::Error::AlertReceived(received) => Refusal::OfOurs(alert(*received, remedies)?),
        rustls::Error::InvalidMessage(_) => {
            Refusal::OfOurs(format!("what answers does not speak TLS; {}", remedies.plain))
        }
        rustls::Error::DecryptError => return None, // Broken on the way.
        rustls::Error::FailedToGetCurrentTime => Refusal::OfOurs(
            "certificates cannot be checked, since it is before 1970 here; set this machine's clock".into(),
        ),
        other => Refusal::OfTheirs(format!("no TLS connection can be made: {other}; {MODERN}")),
    })
}

const MODERN: &str = "it must know TLS 1.2 or newer, with ECDHE and AES-GCM or ChaCha20";

/// What a server means by an alert; none for those that pass.
fn alert(alert: AlertDescription, remedies: &Remedies) -> Option<String> {
    use AlertDescription as Alert;
    let ours = remedies.client_certificate;
    let why = match alert {
        Alert::CertificateRequired
        | Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => ours.into(),
        Alert::HandshakeFailure => format!("we do not agree: either {MODERN}; or {ours}"),
        Alert::ProtocolVersion | Alert::InsufficientSecurity => format!("we do not agree; {MODERN}"),
        Alert::UnrecognisedName => format!("it does not have that name; {}", remedies.unknown_name),
        Alert::CloseNotify | Alert::InternalError | Alert::BadRecordMac | Alert::UserCanceled => return None,
        _ => "it refuses to speak TLS with us".into(),
    };
    Some(format!("{why} (TLS alert {alert:?})"))
}

fn certificate(wrong: &CertificateError, remedies: &Remedies) -> String {
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{wrong}; renew the certificate, or set this machine's clock")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{wrong}; wait, or set this machine's clock")
        }
        CertificateError::UnknownIssuer => {
            format!("its certificate is of a CA that is not trusted here; {}", remedies.unknown_ca)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{wrong}; ask it by a name that it has{}", remedies.other_name)
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of a CA itself; issue one from it for the server".into()
        }
        other => format!("its certificate cannot be trusted: {other}"),
    }
}
