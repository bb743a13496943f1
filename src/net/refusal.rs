//! Explains TLS refusals, by the server or by us, with a remedy.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// A TLS refusal, which a retry does not change: cause and remedy.
pub(crate) enum Refusal {
    /// The server's certificate is not acceptable, or there is no TLS version or cipher in common.
    Server(String),
    /// The server does not accept this client, or does not speak TLS: the configuration is wrong.
    Configuration(String),
}

/// The remedies that depend on the kind of server.
pub(crate) struct Remedies<'a> {
    /// For a server certificate from an untrusted CA.
    pub unknown_ca: &'a str,
    /// For a server certificate with another name: appended to the advice to connect by that name.
    pub other_name: &'a str,
    /// For a server that does not have the name that was sent.
    pub unknown_name: &'a str,
    /// For a server that does not speak TLS.
    pub plain: &'a str,
    /// For a server that requires a client certificate, or another one: both cause and remedy.
    pub client_certificate: &'a str,
}

/// The refusal if the error is one; `None` for transient errors.
pub(crate) fn refusal(cause: &io::Error, remedies: &Remedies) -> Option<Refusal> {
    Some(match cause.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(wrong) => Refusal::Server(certificate(wrong, remedies)),
        rustls::Error::AlertReceived(received) => Refusal::Configuration(alert(*received, remedies)?),
        rustls::Error::InvalidMessage(_) => {
            Refusal::Configuration(format!("the server does not speak TLS; {}", remedies.plain))
        }
        rustls::Error::DecryptError => return None, // The data was damaged in transit.
        rustls::Error::FailedToGetCurrentTime => Refusal::Configuration(
            "certificates cannot be verified, since this machine's clock is before 1970; set the clock".into(),
        ),
        other => Refusal::Server(format!("no TLS connection can be made: {other}; {MODERN}")),
    })
}

const MODERN: &str = "the server must support TLS 1.2 or newer, with ECDHE and AES-GCM or ChaCha20";

/// Explains the server's alert; `None` for transient ones.
fn alert(alert: AlertDescription, remedies: &Remedies) -> Option<String> {
    use AlertDescription as Alert;
    let client_certificate = remedies.client_certificate;
    let why = match alert {
        Alert::CertificateRequired
        | Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => client_certificate.into(),
        Alert::HandshakeFailure => {
            format!("the TLS handshake failed: either {MODERN}; or {client_certificate}")
        }
        Alert::ProtocolVersion | Alert::InsufficientSecurity => format!("the TLS handshake failed; {MODERN}"),
        Alert::UnrecognisedName => format!("the server does not have this name; {}", remedies.unknown_name),
        Alert::CloseNotify | Alert::InternalError | Alert::BadRecordMac | Alert::UserCanceled => return None,
        _ => "the server refuses the TLS connection".into(),
    };
    Some(format!("{why} (TLS alert {alert:?})"))
}

fn certificate(wrong: &CertificateError, remedies: &Remedies) -> String {
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{wrong}; renew the certificate, or set this machine's clock")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{wrong}; wait, or set this machine's clock")
        }
        CertificateError::UnknownIssuer => {
            format!("its certificate is from a CA that is not trusted here; {}", remedies.unknown_ca)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{wrong}; use a name that the certificate has{}", remedies.other_name)
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is a CA certificate; issue a server certificate from that CA".into()
        }
        other => format!("its certificate cannot be trusted: {other}"),
    }
}
