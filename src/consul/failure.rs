//! The errors of requests to Consul, with cause and remedy, and whether a retry can help.

use std::io::{self, ErrorKind};

use super::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Status};
use crate::net::Explained;
use crate::net::refusal::{Refusal, Remedies, refusal};
use crate::util::text;

/// The longest error message that is read, in bytes. A longer answer is not Consul's but, for example, the HTML page of
/// a proxy.
pub(super) const LONGEST_MESSAGE: usize = 4096;

/// Why a request to Consul failed.
#[derive(Debug)]
pub enum Failure {
    /// Consul cannot be reached, has no leader, or the answer is not one of Consul's.
    Unavailable(Error),
    /// Consul's ACLs deny it.
    Denied(Error),
    /// The request or the answer exceeds a limit of Consul or of this run.
    TooLarge(Error),
    /// The request is invalid, or the address or TLS configuration is wrong.
    Misconfigured(Error),
}

/// The result of a request to Consul.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Appends a consequence or a remedy to the message.
    pub fn and(self, consequence: &str) -> Failure {
        match self {
            Failure::Unavailable(error) => Failure::Unavailable(error.and(consequence)),
            Failure::Denied(error) => Failure::Denied(error.and(consequence)),
            Failure::TooLarge(error) => Failure::TooLarge(error.and(consequence)),
            Failure::Misconfigured(error) => Failure::Misconfigured(error.and(consequence)),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Unavailable(error)
            | Failure::Denied(error)
            | Failure::TooLarge(error)
            | Failure::Misconfigured(error) => error,
        }
    }
}

/// Why one attempt failed.
pub(super) enum AttemptError {
    /// Another attempt may succeed.
    Transient(String),
    /// Another attempt may succeed. The cause is on this machine, and has a remedy of its own.
    Local(Explained),
    /// There was no answer in time: a transient error, or the deadline of the run has passed.
    TooSlow,
    /// Another attempt would fail as well.
    Final(Failure),
}

/// Makes the errors for one endpoint.
#[derive(Clone, Copy)]
pub(super) struct Errors<'a> {
    pub endpoint: &'a Endpoint,
    pub context: &'a Context,
}

impl Errors<'_> {
    /// An answer that Consul would not give.
    pub fn unexpected(self, status: u16) -> Failure {
        self.not_consul(&format!("HTTP {status}, but not an answer from Consul"))
    }

    pub fn not_consul(self, why: &str) -> Failure {
        self.unavailable(&format!("{why}; is it Consul's HTTP port, and is the path in its address right?"))
    }

    /// A denial of `what`, a key or a path, with Consul's message.
    pub fn denied(self, message: &str, what: &str) -> Failure {
        let with_token = self.endpoint.credentials.description();
        let remedy = match self.endpoint.credentials.token {
            Some(_) if message.contains("ACL not found") => "Consul does not know this token, use another one",
            Some(_) => "grant the token more permissions, or use another one",
            None => "use a token with more permissions",
        };
        let ways = self.context.known(&["CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "--token-file"]).join(", ");
        Failure::Denied(
            Status::Denied.error(format!("Consul denies {what} ({message}) {with_token}; {remedy} ({ways})")),
        )
    }

    pub fn unavailable(self, why: &str) -> Failure {
        Failure::Unavailable(Status::Unavailable.error(format!("Consul at {}: {why}", self.endpoint)))
    }

    /// An answer whose HTTP status is an error.
    pub fn error_status(self, status: u16, answer: &str, path: &str) -> AttemptError {
        // A server that requires a login may repeat the login that it was sent.
        let message = if matches!(status, 401 | 407) { String::new() } else { self.message(answer) };
        let why = if message.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, \"{message}\"") };
        let at = self.endpoint;
        AttemptError::Final(match status {
            500 if answer.contains("No path to datacenter") => self.unavailable(&format!("{why}; is --dc right?")),
            500 if answer.contains("No cluster leader") => {
                let quorum = "too few of its servers are up, or they cannot reach each other";
                return AttemptError::Transient(format!("{why}: {quorum}"));
            }
            429 | 500 | 502 | 503 | 504 => return AttemptError::Transient(why),
            400 if answer.contains("HTTPS server") => Failure::Misconfigured(Status::Configuration.error(format!(
                "Consul at {at} speaks TLS there; write https://HOST:PORT, or set CONSUL_HTTP_SSL=true"
            ))),
            400 => {
                let settings = self.context.all(&["CONSUL_HTTP_ADDR", "CONSUL_NAMESPACE", "CONSUL_PARTITION", "--dc"]);
                Failure::Misconfigured(
                    Status::Configuration
                        .error(format!("Consul at {at} does not accept the request: {why}; check {settings}")),
                )
            }
            401 => Failure::Denied(
                Status::Denied.error(format!("Consul at {at} requires a login: {why}; set CONSUL_HTTP_AUTH")),
            ),
            403 => self.denied(&why, &format!("/v1/{path}")),
            413 => Failure::TooLarge(Status::Refused.error(format!("it is too large for Consul: {why}; make the document smaller, compress it with -z, or raise Consul's limits kv_max_value_size and txn_max_req_len"))),
            _ => self.not_consul(&format!("{why} for /v1/{path}")),
        })
    }

    /// The message in an answer as one short line; empty if it repeats a secret.
    pub fn message(self, answer: &str) -> String {
        let answer: String = answer.chars().take(LONGEST_MESSAGE).collect();
        match self.endpoint.credentials.appear_in(&answer) {
            true => String::new(),
            false => text::excerpt(&answer.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }

    /// An error below HTTP. All are transient except TLS refusals.
    pub fn transport(self, error: ureq::Error) -> AttemptError {
        AttemptError::Transient(match error {
            ureq::Error::Timeout(_) => return AttemptError::TooSlow,
            ureq::Error::Io(cause) => match tls_refusal(&cause, self.endpoint, self.context) {
                Some(refused) => return AttemptError::Final(refused),
                None if cause.kind() == ErrorKind::TimedOut => return AttemptError::TooSlow,
                None => match Explained::in_error(&cause) {
                    Some(explained) => return AttemptError::Local(explained.clone()),
                    None => cause.to_string(),
                },
            },
            ureq::Error::HostNotFound => "the host name is unknown".into(),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
                "the server does not speak HTTP".into()
            }
            other => other.to_string(),
        })
    }

    pub fn too_large(limit: u64) -> Failure {
        Failure::TooLarge(Status::Refused.error(format!("Consul's answer is larger than {limit} bytes")))
    }
}

/// The failure if the cause is a TLS refusal, which a retry does not change; otherwise `None`.
fn tls_refusal(cause: &io::Error, endpoint: &Endpoint, context: &Context) -> Option<Failure> {
    let by_name = context.known(&["--tls-server-name", "CONSUL_TLS_SERVER_NAME"]).first().copied().unwrap_or_default();
    let pair = match context.known(&["--client-cert and --client-key"]).is_empty() {
        true => "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
        false => "--client-cert and --client-key, or CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
    };
    let remedies = Remedies {
        unknown_ca: &format!("name the CA's certificate with {}", context.either(&["--ca-file", "CONSUL_CACERT"])),
        other_name: &format!(", or set the expected name with {by_name}"),
        unknown_name: &format!("set its name with {by_name}"),
        plain: "if this is Consul's plain port, write http://HOST:PORT and unset CONSUL_HTTP_SSL",
        client_certificate: &match endpoint.has_client_certificate {
            true => {
                "it does not accept our client certificate; is it from its CA, for clients, and not expired?".into()
            }
            false => format!("it requires a client certificate; give {pair}"),
        },
    };
    Some(match refusal(cause, &remedies)? {
        Refusal::Server(why) => Failure::Unavailable(Status::Unavailable.error(format!("Consul at {endpoint}: {why}"))),
        Refusal::Configuration(why) => {
            Failure::Misconfigured(Status::Configuration.error(format!("Consul at {endpoint}: {why}")))
        }
    })
}
