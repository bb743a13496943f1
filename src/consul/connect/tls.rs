//! TLS over whatever was connected, by rustls. (Not ureq's own: that one knows no other name than the address's, and
//! panics over a key that does not fit its certificate.)

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use rustls::{AlertDescription, CertificateError, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter, time::Duration,
    time::Instant,
};

use crate::consul::server::Server;
use crate::consul::tls::Tls;
use crate::error::{Error, Status};

/// Adds TLS.
#[derive(Debug)]
pub(super) struct TlsConnector(Tls);

impl TlsConnector {
    /// As these files want it.
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

/// What of a failure is TLS's refusal, and so does not pass by itself: cause and remedy.
pub(in crate::consul) fn explain(cause: &io::Error, server: &Server) -> Option<Error> {
    let has_certificate = server.tls.as_ref().is_some_and(|tls| tls.has_client_certificate);
    let (status, why) = match cause.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(wrong) => (Status::Unavailable, certificate(wrong)),
        rustls::Error::AlertReceived(alert) => (Status::Configuration, refusal(*alert, has_certificate)?),
        rustls::Error::InvalidMessage(_) => (
            Status::Configuration,
            "what answers does not speak TLS; if this is Consul's plain port, write http://HOST:PORT and unset CONSUL_HTTP_SSL".into(),
        ),
        rustls::Error::DecryptError => return None, // Broken on the way.
        other => (Status::Unavailable, format!("no TLS connection can be made: {other}; {MODERN}")),
    };
    Some(status.error(format!("Consul at {server}: {why}")))
}

const MODERN: &str = "it must know TLS 1.2 or newer, with ECDHE and AES-GCM or ChaCha20";

/// What a server means by an alert; none for those that pass.
fn refusal(alert: AlertDescription, has_certificate: bool) -> Option<String> {
    use AlertDescription as Alert;
    let ours = if has_certificate {
        "it does not accept our client certificate; is it of its CA, for clients, and not expired?"
    } else {
        "it wants a client certificate; give --client-cert and --client-key, or CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
    };
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
        Alert::UnrecognisedName => "it does not have that name; say which it has with --tls-server-name".into(),
        Alert::CloseNotify | Alert::InternalError | Alert::BadRecordMac | Alert::UserCanceled => return None,
        _ => "it refuses to speak TLS with us".into(),
    };
    Some(format!("{why} (TLS alert {alert:?})"))
}

fn certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{wrong}; renew the certificate, or set this machine's clock")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{wrong}; wait, or set this machine's clock")
        }
        CertificateError::UnknownIssuer => {
            "its certificate is of a CA that is not trusted here; name the CA's certificate with --ca-file, or CONSUL_CACERT".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{wrong}; ask it by a name that it has, or say which with --tls-server-name")
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of a CA itself; issue one from it for Consul".into()
        }
        other => format!("its certificate cannot be trusted: {other}"),
    }
}
