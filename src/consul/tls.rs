//! TLS to Consul: the trusted CAs and the client certificate, from the options and variables of Consul's own client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::options::ConnectOptions;
use crate::context::Context;
use crate::error::{Error, Result, Status};
use crate::net::tls::Tls;
use crate::net::trust::{self, certificates, wrong};
use crate::net::{self, Route};
use crate::util::read;

/// The TLS configuration for this host, and whether it has a client certificate. Options come before variables, and
/// variables before the system's CAs.
///
/// # Errors
/// 78 if a file cannot be read or has the wrong content, or only one of certificate and key is given.
pub(super) fn from_options(
    flags: &ConnectOptions,
    host: &str,
    verify: bool,
    context: &Context,
) -> Result<(Route, bool)> {
    let file = |flag: &Option<PathBuf>, option: &'static str, variable: &'static str| {
        Result::Ok(match flag {
            Some(path) => Some((path.clone(), option)),
            None => context.env.text(variable)?.map(|path| (PathBuf::from(path), variable)),
        })
    };
    let ca_file = file(&flags.ca_file, "--ca-file", "CONSUL_CACERT")?;
    let ca_path = file(&None, "", "CONSUL_CAPATH")?;
    let certificate = file(&flags.client_cert, "--client-cert", "CONSUL_CLIENT_CERT")?;
    let key = file(&flags.client_key, "--client-key", "CONSUL_CLIENT_KEY")?;
    let builder = net::tls::builder()?;
    let builder = if verify {
        builder.with_root_certificates(roots(ca_file, ca_path, context)?)
    } else {
        context.warn("warning: Consul's certificate is not verified (CONSUL_HTTP_SSL_VERIFY)");
        let unverified = Unverified(builder.crypto_provider().clone());
        builder.dangerous().with_custom_certificate_verifier(Arc::new(unverified))
    };
    let has_client_certificate = certificate.is_some();
    let config = match (certificate, key) {
        (None, None) => builder.with_no_client_auth(),
        (Some((certificate, option)), Some((key, key_option))) => {
            let (chain, private) = (certificates(&certificate, option)?, private_key(&key, key_option)?);
            builder.with_client_auth_cert(chain, private).map_err(|cause| {
                let what = match cause {
                    rustls::Error::InconsistentKeys(_) => "do not match; are they one pair?".into(),
                    other => format!("cannot be used: {other}; use RSA (2048 bits or more), P-256, P-384 or Ed25519"),
                };
                let (certificate, key) = (certificate.display(), key.display());
                Status::Configuration.error(format!("the client certificate {certificate} and the key {key} {what}"))
            })?
        }
        (Some(_), None) => {
            return Err(half("certificate", "key", &context.either(&["--client-key", "CONSUL_CLIENT_KEY"])));
        }
        (None, Some(_)) => {
            return Err(half("key", "certificate", &context.either(&["--client-cert", "CONSUL_CLIENT_CERT"])));
        }
    };
    let (name, source) = match (&flags.tls_server_name, context.env.text("CONSUL_TLS_SERVER_NAME")?) {
        (Some(name), _) => (name.clone(), "--tls-server-name"),
        (None, Some(name)) => (name, "CONSUL_TLS_SERVER_NAME"),
        (None, None) => (host.to_owned(), "the address"),
    };
    let server_name = ServerName::try_from(name.clone())
        .map_err(|_| Status::Configuration.error(format!("{source}: \"{name}\" is not the name of a server")))?;
    Ok((Route::Tls(Tls { config: Arc::new(config), server_name }), has_client_certificate))
}

fn half(given: &str, missing: &str, ways: &str) -> Error {
    Status::Configuration.error(format!("there is a client {given}, but no {missing}; name it with {ways}"))
}

/// A CA file takes precedence over a CA directory. Without both, the system's CAs apply.
fn roots(
    file: Option<(PathBuf, &str)>,
    directory: Option<(PathBuf, &str)>,
    context: &Context,
) -> Result<RootCertStore> {
    let roots = match (file, directory) {
        (Some((file, source)), _) => trust::in_file(&file, source)?,
        (None, Some((directory, source))) => trust::in_directory(&directory, source)?,
        (None, None) => trust::of_the_system(&context.env)?,
    };
    if roots.is_empty() {
        let ways = context.either(&["--ca-file", "CONSUL_CACERT"]);
        return Err(Status::Configuration.error(format!(
            "there is no CA certificate to verify Consul's with; name one with {ways}, or install ca-certificates"
        )));
    }
    Ok(roots)
}

fn private_key(path: &Path, source: &str) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read::config_file(path, source)?)
        .map_err(|_| wrong(source, path, "has no private key in PEM, or the key is protected by a password"))
}

/// For CONSUL_HTTP_SSL_VERIFY=false: accepts any certificate. The signatures of the handshake are still verified.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
