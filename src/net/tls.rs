//! TLS over a connection, by rustls. ureq's own TLS is not used, because it verifies no other name than the address's,
//! and panics if a key does not match its certificate.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, StreamOwned, WantsVerifier, crypto::ring};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter, time::Duration,
    time::Instant,
};

use crate::error::Status;

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

/// The beginning of a TLS configuration; the caller adds the trusted CAs.
///
/// # Errors
/// 78 if ring does not support the TLS versions, which cannot happen.
pub(crate) fn builder() -> crate::error::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_details(Arc::new(ring::default_provider()), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .map_err(|cause| Status::Configuration.error(format!("TLS: {cause}")))
}

/// Replaces rustls's clock, which panics if this machine's clock is before 1970.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

#[derive(Debug)]
pub(super) struct TlsConnector(Tls);

impl TlsConnector {
    pub fn new(tls: Tls) -> TlsConnector {
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
        socket.set_timeout(remaining(details));
        let handshake = connection.complete_io(&mut socket);
        handshake.map_err(|cause| alert_or(cause, &mut connection, &mut socket))?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(TlsTransport { buffers, stream: StreamOwned { conn: connection, sock: socket } }))
    }
}

/// The server's TLS alert, if it sent one, otherwise `cause`. A server that refuses the connection sends an alert and
/// closes it; our next write fails before the alert is read.
fn alert_or(cause: io::Error, connection: &mut ClientConnection, socket: &mut TransportAdapter) -> io::Error {
    if matches!(cause.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
        while matches!(connection.read_tls(socket), Ok(1..)) {
            if let Err(alert) = connection.process_new_packets() {
                return io::Error::new(ErrorKind::InvalidData, alert);
            }
        }
    }
    cause
}

/// The rest of the connect timeout after the TCP connection.
fn remaining(details: &ConnectionDetails) -> NextTimeout {
    let after = match (details.timeout.after, details.now, (details.current_time)()) {
        (Duration::Exact(after), Instant::Exact(began), Instant::Exact(now)) => {
            Duration::Exact(after.saturating_sub(now.saturating_duration_since(began)))
        }
        (after, ..) => after,
    };
    NextTimeout { after, ..details.timeout }
}

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
