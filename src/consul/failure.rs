//! What did not work between us and Consul, with its cause and the remedy that fits; and whether another try may.

use std::io::{self, ErrorKind};

use super::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Status};
use crate::net::Explained;
use crate::net::refusal::{Refusal, Remedies, refusal};
use crate::util::text;

/// An answer that is an error and longer than this is no message: a page, of whatever stands between.
pub(super) const LONGEST_MESSAGE: usize = 4096;

/// Why Consul did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// It cannot be reached, has no leader, or does not answer as Consul does.
    Unavailable(Error),
    /// Its ACLs deny it.
    Denied(Error),
    /// The request or the answer is larger than Consul, or this run, allows.
    TooLarge(Error),
    /// The request, or how Consul is to be reached, is wrong.
    Misconfigured(Error),
}

/// What every request to Consul returns.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The same failure, with a consequence or a remedy added to its line.
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
    /// The same, but the cause is on this machine, and has a remedy of its own.
    Local(Explained),
    /// No answer in time: transient, or the run's own deadline has passed.
    TooSlow,
    /// Another attempt would fail as well.
    Final(Failure),
}

/// The errors of talking with one server, each with what helps there.
#[derive(Clone, Copy)]
pub(super) struct Errors<'a> {
    pub server: &'a Endpoint,
    pub context: &'a Context,
}

impl Errors<'_> {
    /// An answer that is not one of Consul's.
    pub fn unexpected(self, status: u16) -> Failure {
        self.not_consul(&format!("HTTP {status}, but not an answer of Consul's"))
    }

    /// The same, in other words.
    pub fn not_consul(self, said: &str) -> Failure {
        self.unavailable(&format!("{said}; is it Consul's HTTP port, and the path in its address right?"))
    }

    /// A denial, with Consul's words.
    pub fn denied(self, said: &str, what: &str) -> Failure {
        let who = self.server.credentials.who();
        let remedy = match self.server.credentials.token {
            Some(_) if said.contains("ACL not found") => "Consul does not know it, so another one is to be used",
            _ => "the token needs more rights, or another one is to be used",
        };
        let ways = self.context.known(&["CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "--token-file"]).join(", ");
        Failure::Denied(Status::Denied.error(format!("Consul denies {what} ({said}), asked {who}; {remedy} ({ways})")))
    }

    /// Consul is not there, or not as it should be.
    pub fn unavailable(self, why: &str) -> Failure {
        Failure::Unavailable(Status::Unavailable.error(format!("Consul at {}: {why}", self.server)))
    }

    /// An answer whose status is an error.
    pub fn refusal(self, status: u16, answer: &str, path: &str) -> AttemptError {
        // A server that wants a login may repeat the one that it was given.
        let words = if matches!(status, 401 | 407) { String::new() } else { self.words(answer) };
        let said = if words.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, \"{words}\"") };
        let at = self.server;
        AttemptError::Final(match status {
            500 if answer.contains("No path to datacenter") => self.unavailable(&format!("{said}; is --dc right?")),
            500 if answer.contains("No cluster leader") => {
                return AttemptError::Transient(format!("{said}: too few of its servers are up, or reach each other"));
            }
            429 | 500 | 502 | 503 | 504 => return AttemptError::Transient(said),
            400 if answer.contains("HTTPS server") => Failure::Misconfigured(Status::Configuration.error(format!(
                "Consul at {at} speaks TLS there; write https://HOST:PORT, or set CONSUL_HTTP_SSL=true"
            ))),
            400 => {
                let where_to = self.context.all(&["CONSUL_HTTP_ADDR", "CONSUL_NAMESPACE", "CONSUL_PARTITION", "--dc"]);
                Failure::Misconfigured(
                    Status::Configuration
                        .error(format!("Consul at {at} does not accept the request: {said}; check {where_to}")),
                )
            }
            401 => Failure::Denied(
                Status::Denied.error(format!("Consul at {at} wants a login: {said}; set CONSUL_HTTP_AUTH")),
            ),
            403 => self.denied(&said, &format!("/v1/{path}")),
            413 => Failure::TooLarge(Status::Refused.error(format!("it is too large for Consul: {said}; make the document smaller, compress it with -z, or raise Consul's limits kv_max_value_size and txn_max_req_len"))),
            _ => self.not_consul(&format!("{said} for /v1/{path}")),
        })
    }

    /// What Consul says, as one short line; nothing where it repeats our secrets.
    pub fn words(self, answer: &str) -> String {
        let answer: String = answer.chars().take(LONGEST_MESSAGE).collect();
        match self.server.credentials.are_in(&answer) {
            true => String::new(),
            false => text::excerpt(&answer.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }

    /// What went wrong below HTTP: all of it may pass, but what TLS refuses.
    pub fn fault(self, fault: ureq::Error) -> AttemptError {
        AttemptError::Transient(match fault {
            ureq::Error::Timeout(_) => return AttemptError::TooSlow,
            ureq::Error::Io(cause) => match explain(&cause, self.server, self.context) {
                Some(refused) => return AttemptError::Final(refused),
                None if cause.kind() == ErrorKind::TimedOut => return AttemptError::TooSlow,
                None => match Explained::in_error(&cause) {
                    Some(explained) => return AttemptError::Local(explained.clone()),
                    None => cause.to_string(),
                },
            },
            ureq::Error::HostNotFound => "its name is unknown".into(),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
                "what answers does not speak HTTP".into()
            }
            other => other.to_string(),
        })
    }

    /// An answer of more bytes than the limit.
    pub fn too_large(limit: u64) -> Failure {
        Failure::TooLarge(Status::Refused.error(format!("Consul's answer is larger than {limit} bytes")))
    }
}

/// What of a failure is TLS's refusal, and so does not pass by itself: cause and remedy.
fn explain(cause: &io::Error, server: &Endpoint, context: &Context) -> Option<Failure> {
    let by_name = context.known(&["--tls-server-name", "CONSUL_TLS_SERVER_NAME"]).first().copied().unwrap_or_default();
    let pair = match context.known(&["--client-cert and --client-key"]).is_empty() {
        true => "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
        false => "--client-cert and --client-key, or CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
    };
    let remedies = Remedies {
        unknown_ca: &format!("name the CA's certificate with {}", context.either(&["--ca-file", "CONSUL_CACERT"])),
        other_name: &format!(", or say which with {by_name}"),
        unknown_name: &format!("say which it has with {by_name}"),
        plain: "if this is Consul's plain port, write http://HOST:PORT and unset CONSUL_HTTP_SSL",
        client_certificate: &match server.has_client_certificate {
            true => {
                "it does not accept our client certificate; is it of its CA, for clients, and not expired?".to_owned()
            }
            false => format!("it wants a client certificate; give {pair}"),
        },
    };
    Some(match refusal(cause, &remedies)? {
        Refusal::OfTheirs(why) => Failure::Unavailable(Status::Unavailable.error(format!("Consul at {server}: {why}"))),
        Refusal::OfOurs(why) => {
            Failure::Misconfigured(Status::Configuration.error(format!("Consul at {server}: {why}")))
        }
    })
}
