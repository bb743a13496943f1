//! Certificates of a test CA, valid and invalid.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// The files of a certificate and its key.
#[derive(Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A CA, and the file of its certificate.
pub struct Ca {
    pub file: PathBuf,
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A new CA, in an existing directory.
    pub fn new(dir: &Path, name: &str) -> Ca {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = dir.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Ca { file, dir: dir.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Issues a certificate for these names and addresses.
    pub fn issue(&self, name: &str, of: &[&str]) -> Pair {
        self.issue_until(name, of, 2100)
    }

    /// Issues a certificate that expires at the end of this year.
    pub fn issue_until(&self, name: &str, of: &[&str], year: i32) -> Pair {
        let mut params = CertificateParams::new(of.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        let pair =
            Pair { certificate: self.dir.join(format!("{name}.pem")), key: self.dir.join(format!("{name}-key.pem")) };
        std::fs::write(&pair.certificate, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}
