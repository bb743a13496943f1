//! TLS in front of a plain server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::certificates::Pair;
use super::servers;

/// How a connection ends.
#[derive(Clone, Copy, PartialEq)]
pub enum Goodbye {
    /// With TLS's close_notify.
    Said,
    /// Without close_notify, as if the connection were cut.
    Unsaid,
}

/// Starts a TLS server that passes requests to `target`, which must close its connections. Returns its address.
pub fn secure(target: &str, pair: &Pair, goodbye: Goodbye) -> String {
    let chain = vec![CertificateDer::from_pem_file(&pair.certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let target = target.to_owned();
    // An error means that the client closed the connection, because it rejected the certificate.
    servers::start("127.0.0.1:0", || (), move |client| drop(serve(client, &target, config.clone(), goodbye)))
}

fn serve(mut client: TcpStream, target: &str, config: Arc<ServerConfig>, goodbye: Goodbye) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut tls = Stream::new(&mut connection, &mut client);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let mut server = TcpStream::connect(target)?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    tls.write_all(&answer)?;
    if goodbye == Goodbye::Said {
        connection.send_close_notify();
        connection.complete_io(&mut client)?;
    }
    Ok(())
}
