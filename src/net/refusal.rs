//! Why TLS was refused, by the server or by us, and what helps.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// What TLS refuses, and so does not pass by itself: cause and remedy.
pub(crate) enum Refusal {
    /// Who answers is not who it should be, or no TLS can be spoken with it.
    OfTheirs(String),
    /// It does not want us as we are, or is no server for TLS.
    OfOurs(String),
}

/// What helps, where that depends on whom we ask.
pub(crate) struct Remedies<'a> {
    /// Its certificate is of a CA that is not trusted.
    pub unknown_ca: &'a str,
    /// Its certificate has another name: what helps besides to ask it by that one.
    pub other_name: &'a str,
    /// It says that it does not have the name that we ask for.
    pub unknown_name: &'a str,
    /// It does not speak TLS.
    pub plain: &'a str,
    /// It wants a certificate of ours, or another: all of it, cause and remedy.
    pub client_certificate: &'a str,
}

/// What of a failure is TLS's refusal.
pub(crate) fn refusal(cause: &io::Error, remedies: &Remedies) -> Option<Refusal> {
    Some(match cause.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(wrong) => Refusal::OfTheirs(certificate(wrong, remedies)),
        rustls::Error::AlertReceived(received) => Refusal::OfOurs(alert(*received, remedies)?),
        rustls::Error::InvalidMessage(_) => {
            Refusal::OfOurs(format!("what answers does not speak TLS; {}", remedies.plain))
        }
        rustls::Error::DecryptError => return None, // Broken on the way.
        rustls::Error::FailedToGetCurrentTime => Refusal::OfOurs(
            "certificates cannot be checked, since it is before 1970 here; set this machine's clock".into(),
        ),
        other => Refusal::OfTheirs(format!("no TLS connection can be made: {other}; {MODERN}")),
    })
}

const MODERN: &str = "it must know TLS 1.2 or newer, with ECDHE and AES-GCM or ChaCha20";

/// What a server means by an alert; none for those that pass.
fn alert(alert: AlertDescription, remedies: &Remedies) -> Option<String> {
    use AlertDescription as Alert;
    let ours = remedies.client_certificate;
    let why = match alert {
        Alert::CertificateRequired
        | Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => ours.into(),
        Alert::HandshakeFailure => format!("we do not agree: either {MODERN}; or {ours}"),
        Alert::ProtocolVersion | Alert::InsufficientSecurity => format!("we do not agree; {MODERN}"),
        Alert::UnrecognisedName => format!("it does not have that name; {}", remedies.unknown_name),
        Alert::CloseNotify | Alert::InternalError | Alert::BadRecordMac | Alert::UserCanceled => return None,
        _ => "it refuses to speak TLS with us".into(),
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
            format!("its certificate is of a CA that is not trusted here; {}", remedies.unknown_ca)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{wrong}; ask it by a name that it has{}", remedies.other_name)
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of a CA itself; issue one from it for the server".into()
        }
        other => format!("its certificate cannot be trusted: {other}"),
    }
}
