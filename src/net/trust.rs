//! The CAs that are trusted.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::env::Env;
use crate::error::{Error, Result, Status};
use crate::util::read;

/// Of one file, so many blocks are looked at.
const MOST_BLOCKS: usize = 10_000;

/// Those in a file that `source` names.
///
/// # Errors
/// 78.
pub(crate) fn in_file(path: &Path, source: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    add(&mut roots, path, source)?;
    Ok(roots)
}

/// Those in all files of a directory.
///
/// # Errors
/// 78.
pub(crate) fn in_directory(directory: &Path, source: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    walk(directory, source)?.iter().try_for_each(|file| add(&mut roots, file, source))?;
    Ok(roots)
}

/// The system's, if there are any.
///
/// # Errors
/// 78.
pub(crate) fn of_the_system(env: &Env) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for file in files_of_the_system(env)? {
        drop(add(&mut roots, &file, "the system's CAs")); // Among many files, some are something else.
    }
    Ok(roots)
}

/// What is none among them is passed over, as by Consul's own client.
fn add(roots: &mut RootCertStore, path: &Path, source: &str) -> Result<()> {
    match roots.add_parsable_certificates(certificates(path, source)?) {
        (0, _) => Err(wrong(source, path, "holds no certificate that can be read")),
        _ => Ok(()),
    }
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
fn files_of_the_system(env: &Env) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = match env.text("SSL_CERT_FILE")? {
        Some(file) => vec![file.into()],
        None => BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists()).into_iter().collect(),
    };
    let usual = || files.is_empty().then(|| DIRECTORIES.to_owned());
    for directory in env.text("SSL_CERT_DIR")?.or_else(usual).iter().flat_map(|list| list.split(':')) {
        files.extend(walk(Path::new(directory), "SSL_CERT_DIR").unwrap_or_default());
    }
    Ok(files)
}

/// All files in a directory, and in those below it.
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

/// Those of its blocks that are certificates.
pub(crate) fn certificates(path: &Path, source: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = read::named(path, source)?;
    // A block that does not end is the last that is looked at.
    let blocks = CertificateDer::pem_slice_iter(&text);
    let whole = blocks.take_while(|block| !matches!(block, Err(pem::Error::MissingSectionEnd { .. })));
    let found: Vec<_> = whole.take(MOST_BLOCKS).flatten().collect();
    if found.is_empty() {
        return Err(wrong(source, path, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(found)
}

/// It is not what it should be.
pub(crate) fn wrong(source: &str, path: &Path, why: &str) -> Error {
    Status::Configuration.error(format!("{source}: {} {why}", path.display()))
}
