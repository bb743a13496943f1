//! The CA certificates that kvx trusts.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::env::Env;
use crate::error::{Error, Result, Status};
use crate::util::read;

/// The number of PEM blocks that are read from one file.
const MAX_BLOCKS: usize = 10_000;

/// The CAs in a file. `source` is the option or variable that names it.
///
/// # Errors
/// 78 if the file cannot be read or has no certificate.
pub(crate) fn in_file(path: &Path, source: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    add(&mut roots, path, source)?;
    Ok(roots)
}

/// The CAs in all files below a directory.
///
/// # Errors
/// 78 if one of the files cannot be read or has no certificate.
pub(crate) fn in_directory(directory: &Path, source: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    walk(directory, source)?.iter().try_for_each(|file| add(&mut roots, file, source))?;
    Ok(roots)
}

/// The system's CAs; the store may be empty.
///
/// # Errors
/// 78 if a variable is not UTF-8.
pub(crate) fn of_the_system(env: &Env) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for file in files_of_the_system(env)? {
        drop(add(&mut roots, &file, "the system's CAs")); // A system directory may have other files, too.
    }
    Ok(roots)
}

/// Adds the certificates of a file. Invalid ones are skipped, as Consul's own client does.
fn add(roots: &mut RootCertStore, path: &Path, source: &str) -> Result<()> {
    match roots.add_parsable_certificates(certificates(path, source)?) {
        (0, _) => Err(wrong(source, path, "has no valid certificate")),
        _ => Ok(()),
    }
}

/// The places where Go, and so Consul's own client, looks for the system's CAs on Linux (`crypto/x509`).
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const DIRECTORIES: &str = "/etc/ssl/certs:/etc/pki/tls/certs";

/// SSL_CERT_FILE, or the first existing bundle; then the files in SSL_CERT_DIR. If SSL_CERT_DIR is unset and there is
/// no bundle, the files in the default directories.
fn files_of_the_system(env: &Env) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = match env.text("SSL_CERT_FILE")? {
        Some(file) => vec![file.into()],
        None => BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists()).into_iter().collect(),
    };
    let default = || files.is_empty().then(|| DIRECTORIES.to_owned());
    for directory in env.text("SSL_CERT_DIR")?.or_else(default).iter().flat_map(|list| list.split(':')) {
        files.extend(walk(Path::new(directory), "SSL_CERT_DIR").unwrap_or_default());
    }
    Ok(files)
}

/// All files in a directory and its subdirectories.
fn walk(directory: &Path, source: &str) -> Result<Vec<PathBuf>> {
    let unreadable = |cause: io::Error| read::unreadable(source, &cause.to_string());
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

/// The certificates in a PEM file; other blocks are skipped.
pub(crate) fn certificates(path: &Path, source: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = read::config_file(path, source)?;
    // Reading stops at a block without an end.
    let blocks = CertificateDer::pem_slice_iter(&text);
    let complete = blocks.take_while(|block| !matches!(block, Err(pem::Error::MissingSectionEnd { .. })));
    let found: Vec<_> = complete.take(MAX_BLOCKS).flatten().collect();
    if found.is_empty() {
        return Err(wrong(source, path, "has no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(found)
}

/// The error for a file with the wrong content.
pub(crate) fn wrong(source: &str, path: &Path, why: &str) -> Error {
    Status::Configuration.error(format!("{source}: {} {why}", path.display()))
}
