//! Whom we trust, and with which certificate we present ourselves: the files and variables of Consul's own client.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::flags::Flags;
use crate::error::{Error, Result, Status};
use crate::world::World;

/// How to speak TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must have, if not the address's.
    pub server_name: Option<ServerName<'static>>,
    pub has_client_certificate: bool,
}

impl Tls {
    /// Flags, then variables, then the system's own roots.
    ///
    /// # Errors
    /// 78: a file that cannot be read or holds something else, half of a pair.
    pub fn find(flags: &Flags, verify: bool, world: &World) -> Result<Tls> {
        let file = |flag: &Option<PathBuf>, option: &'static str, variable: &'static str| {
            Ok(match flag {
                Some(path) => Some((path.clone(), option)),
                None => world.text(variable)?.map(|path| (PathBuf::from(path), variable)),
            })
        };
        let ca_file = file(&flags.ca_file, "--ca-file", "CONSUL_CACERT")?;
        let ca_path = file(&None, "", "CONSUL_CAPATH")?;
        let certificate = file(&flags.client_cert, "--client-cert", "CONSUL_CLIENT_CERT")?;
        let key = file(&flags.client_key, "--client-key", "CONSUL_CLIENT_KEY")?;
        let server_name = match &flags.tls_server_name {
            Some(name) => Some(name.clone()),
            None => world.text("CONSUL_TLS_SERVER_NAME")?,
        };

        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|cause| Status::Configuration.error(format!("TLS: {cause}")))?;
        let builder = if verify {
            builder.with_root_certificates(roots(ca_file, ca_path, world)?)
        } else {
            world.warn(
                "warning: whoever answers as Consul is believed without a check of its certificate (CONSUL_HTTP_SSL_VERIFY)",
            );
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        };
        let has_client_certificate = certificate.is_some();
        let config = match (certificate, key) {
            (None, None) => builder.with_no_client_auth(),
            (Some((certificate, option)), Some((key, _))) => {
                let (chain, private) = (certificates(&certificate, option)?, private_key(&key)?);
                builder.with_client_auth_cert(chain, private).map_err(|cause| {
                    Status::Configuration.error(format!(
                        "the client certificate {} and the key {} do not fit: {cause}; are they of one pair?",
                        certificate.display(),
                        key.display()
                    ))
                })?
            }
            (Some(_), None) => return Err(half("certificate", "key", "--client-key or CONSUL_CLIENT_KEY")),
            (None, Some(_)) => return Err(half("key", "certificate", "--client-cert or CONSUL_CLIENT_CERT")),
        };
        let server_name = server_name.map(|name| {
            ServerName::try_from(name.clone()).map_err(|_| {
                Status::Configuration
                    .error(format!("--tls-server-name or CONSUL_TLS_SERVER_NAME: \"{name}\" is no server's name"))
            })
        });
        Ok(Tls { config: Arc::new(config), server_name: server_name.transpose()?, has_client_certificate })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn half(given: &str, missing: &str, how: &str) -> Error {
    Status::Configuration.error(format!("there is a client {given}, but no {missing}; give it by {how}"))
}

/// A CA file beats a directory of them; without either, the system's.
fn roots(file: Option<(PathBuf, &str)>, directory: Option<(PathBuf, &str)>, world: &World) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let mut trust = |path: &Path, source: &str| {
        certificates(path, source)?.into_iter().try_for_each(|certificate| {
            let added = roots.add(certificate);
            added.map_err(|cause| wrong(source, path, &format!("holds a certificate that is none: {cause}")))
        })
    };
    match (file, directory) {
        (Some((file, source)), _) => trust(&file, source)?,
        (None, Some((directory, source))) => {
            walk(&directory, source)?.iter().try_for_each(|file| trust(file, source))?;
        }
        (None, None) => {
            for file in of_the_system(world)? {
                // What cannot be read of them is left out, as by everybody who uses them.
                roots.add_parsable_certificates(certificates(&file, "the system's CAs").unwrap_or_default());
            }
        }
    }
    if roots.is_empty() {
        return Err(Status::Configuration.error(
            "there is no CA certificate to check Consul's with; name one with --ca-file or CONSUL_CACERT, or install ca-certificates",
        ));
    }
    Ok(roots)
}

/// Where Go, and so Consul's own client, looks for the system's CAs on Linux (`crypto/x509`): in SSL_CERT_FILE, or the
/// first of these that is there; and in the files of the directories of SSL_CERT_DIR.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn of_the_system(world: &World) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = match world.text("SSL_CERT_FILE")? {
        Some(file) => vec![file.into()],
        None => BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists()).into_iter().collect(),
    };
    for directory in world.text("SSL_CERT_DIR")?.iter().flat_map(|directories| directories.split(':')) {
        files.extend(walk(Path::new(directory), "SSL_CERT_DIR").unwrap_or_default());
    }
    Ok(files)
}

/// All files in a directory, and in those below it.
fn walk(directory: &Path, source: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = fs_err::read_dir(&directory).map_err(|cause| unreadable(source, &cause))?;
        for entry in entries {
            let entry = entry.map_err(|cause| unreadable(source, &cause))?;
            let kind = entry.file_type().map_err(|cause| unreadable(source, &cause))?;
            if kind.is_dir() { directories.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}

fn certificates(path: &Path, source: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = fs_err::read(path).map_err(|cause| unreadable(source, &cause))?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong(source, path, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")),
        Err(cause) => Err(wrong(source, path, &format!("is no PEM: {cause}"))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let source = "--client-key or CONSUL_CLIENT_KEY";
    let text = fs_err::read(path).map_err(|cause| unreadable(source, &cause))?;
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| wrong(source, path, "holds no private key in PEM, or one that a password protects"))
}

fn unreadable(source: &str, cause: &std::io::Error) -> Error {
    Status::Configuration.error(format!("{source}: {cause}; it must be there and readable for this user"))
}

fn wrong(source: &str, path: &Path, why: &str) -> Error {
    Status::Configuration.error(format!("{source}: {} {why}", path.display()))
}

/// CONSUL_HTTP_SSL_VERIFY=false. What the handshake itself proves is still checked.
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
