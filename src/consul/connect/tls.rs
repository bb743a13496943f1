//! TLS over whatever was connected, by rustls. (Not ureq's own: that one knows no other name than the address's, and
//! panics over a key that does not fit its certificate.)

use std::fmt;
use std::io::{self, Read, Write};

use rustls::pki_types::ServerName;
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
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = match &self.0.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|cause| io::Error::other(cause.to_string()))?,
        };
        let mut connection = ClientConnection::new(self.0.config.clone(), name).map_err(io::Error::other)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(left(details));
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(TlsTransport { buffers, stream: StreamOwned { conn: connection, sock: socket } }))
    }
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
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
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

/// What of a failure is TLS's, and does not pass by itself: cause and remedy.
pub(in crate::consul) fn explain(cause: &io::Error, server: &Server) -> Option<Error> {
    use AlertDescription as Alert;
    let has_certificate = server.tls.as_ref().is_some_and(|tls| tls.has_client_certificate);
    let (status, why) = match cause.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(wrong) => (Status::Unavailable, certificate(wrong)),
        rustls::Error::AlertReceived(Alert::InternalError | Alert::CloseNotify) => return None,
        rustls::Error::AlertReceived(alert) if has_certificate => (
            Status::Configuration,
            format!("it does not accept us (TLS alert {alert:?}); is the client certificate of its CA, for clients, and not expired?"),
        ),
        rustls::Error::AlertReceived(alert) => (
            Status::Configuration,
            format!("it wants a client certificate (TLS alert {alert:?}); give --client-cert and --client-key, or CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"),
        ),
        rustls::Error::InvalidMessage(_) => (
            Status::Configuration,
            "what answers does not speak TLS; if this is Consul's plain port, write http://HOST:PORT and unset CONSUL_HTTP_SSL".into(),
        ),
        other => (Status::Unavailable, format!("no TLS connection can be made: {other}; are its TLS settings those of this decade?")),
    };
    Some(status.error(format!("Consul at {server}: {why}")))
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
        other => format!("its certificate cannot be trusted: {other}"),
    }
}
