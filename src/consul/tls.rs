//! Whom we trust, and with which certificate we present ourselves: the files and variables of Consul's own client.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::files;
use super::flags::Flags;
use crate::error::{Error, Result, Status};
use crate::world::World;

/// Of one file, so many blocks are looked at.
const MOST_BLOCKS: usize = 10_000;

/// How to speak TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must have.
    pub server_name: ServerName<'static>,
    pub has_client_certificate: bool,
}

impl Tls {
    /// Flags, then variables, then the system's own roots; for the server of this host.
    ///
    /// # Errors
    /// 78: a file that cannot be read or holds something else, half of a pair.
    pub fn find(flags: &Flags, host: &str, verify: bool, world: &World) -> Result<Tls> {
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
                    let what = match cause {
                        rustls::Error::InconsistentKeys(_) => "do not fit; are they of one pair?".into(),
                        other => format!(
                            "cannot be used: {other}; make them of RSA (2048 bits or more), P-256, P-384 or Ed25519"
                        ),
                    };
                    let (certificate, key) = (certificate.display(), key.display());
                    Status::Configuration
                        .error(format!("the client certificate {certificate} and the key {key} {what}"))
                })?
            }
            (Some(_), None) => return Err(half("certificate", "key", "--client-key or CONSUL_CLIENT_KEY")),
            (None, Some(_)) => return Err(half("key", "certificate", "--client-cert or CONSUL_CLIENT_CERT")),
        };
        let (name, source) = match (&flags.tls_server_name, world.text("CONSUL_TLS_SERVER_NAME")?) {
            (Some(name), _) => (name.clone(), "--tls-server-name"),
            (None, Some(name)) => (name, "CONSUL_TLS_SERVER_NAME"),
            (None, None) => (host.to_owned(), "the address"),
        };
        let server_name = ServerName::try_from(name.clone())
            .map_err(|_| Status::Configuration.error(format!("{source}: \"{name}\" is no server's name")))?;
        Ok(Tls { config: Arc::new(config), server_name, has_client_certificate })
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
    // What is none among them is passed over, as by Consul's own client.
    let mut trust = |path: &Path, source: &str| match roots.add_parsable_certificates(certificates(path, source)?) {
        (0, _) => Err(wrong(source, path, "holds no certificate that can be read")),
        _ => Ok(()),
    };
    match (file, directory) {
        (Some((file, source)), _) => trust(&file, source)?,
        (None, Some((directory, source))) => {
            walk(&directory, source)?.iter().try_for_each(|file| trust(file, source))?;
        }
        (None, None) => {
            for file in of_the_system(world)? {
                drop(trust(&file, "the system's CAs")); // Among many files, some are something else.
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

/// Where Go, and so Consul's own client, looks for the system's CAs on Linux (`crypto/x509`).
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const DIRECTORIES: &str = "/etc/ssl/certs:/etc/pki/tls/certs";

/// SSL_CERT_FILE, or the first bundle that is there; and the files of SSL_CERT_DIR, or, where there is no bundle, of the
/// usual directories.
fn of_the_system(world: &World) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = match world.text("SSL_CERT_FILE")? {
        Some(file) => vec![file.into()],
        None => BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists()).into_iter().collect(),
    };
    let usual = || files.is_empty().then(|| DIRECTORIES.to_owned());
    for directory in world.text("SSL_CERT_DIR")?.or_else(usual).iter().flat_map(|list| list.split(':')) {
        files.extend(walk(Path::new(directory), "SSL_CERT_DIR").unwrap_or_default());
    }
    Ok(files)
}

/// All files in a directory, and in those below it.
fn walk(directory: &Path, source: &str) -> Result<Vec<PathBuf>> {
    let unreadable = |cause: io::Error| files::unreadable(source, &cause.to_string());
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs_err::read_dir(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let is_directory = entry.file_type().map_err(unreadable)?.is_dir();
            if is_directory { directories.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}

/// Those of its blocks that are certificates.
fn certificates(path: &Path, source: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = files::read(path, source)?;
    // A block that does not end is the last that is looked at.
    let blocks = CertificateDer::pem_slice_iter(&text);
    let whole = blocks.take_while(|block| !matches!(block, Err(pem::Error::MissingSectionEnd { .. })));
    let found: Vec<_> = whole.take(MOST_BLOCKS).flatten().collect();
    if found.is_empty() {
        return Err(wrong(source, path, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let source = "--client-key or CONSUL_CLIENT_KEY";
    PrivateKeyDer::from_pem_slice(&files::read(path, source)?)
        .map_err(|_| wrong(source, path, "holds no private key in PEM, or one that a password protects"))
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
