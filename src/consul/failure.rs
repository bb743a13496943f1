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

/// Why a try failed, and whether another may not.
pub(super) enum Failure {
    Passing(String),
    /// Passing too, but it is not the agent that is to be looked at.
    OfOurs(Explained),
    /// No answer in time: passing too, but it may be for our own deadline.
    TooSlow,
    Final(Error),
}

/// The errors of talking with one server, each with what helps there.
#[derive(Clone, Copy)]
pub(super) struct Errors<'a> {
    pub server: &'a Endpoint,
    pub context: &'a Context,
}

impl Errors<'_> {
    /// An answer that is none of Consul's.
    pub(super) fn unexpected(self, status: u16) -> Error {
        self.not_consul(&format!("HTTP {}, but not an answer of Consul's", status))
    }

    /// The same, in other words.
    pub fn not_consul(self, said: &str) -> Error {
        self.unavailable(&format!("{said}; is it Consul's HTTP port, and the path in its address right?"))
    }

    /// A denial, with Consul's words.
    pub fn denied(self, said: &str, what: &str) -> Error {
        let who = self.server.credentials.who();
        let remedy = match self.server.credentials.token {
            Some(_) if said.contains("ACL not found") => "Consul does not know it, so another one is to be used",
            _ => "the token needs more rights, or another one is to be used",
        };
        let ways = self.context.known(&["CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "--token-file"]).join(", ");
        Status::Denied.error(format!("Consul denies {what} ({said}), asked {who}; {remedy} ({ways})"))
    }

    /// Consul is not there, or not as it should be.
    pub fn unavailable(self, why: &str) -> Error {
        Status::Unavailable.error(format!("Consul at {}: {why}", self.server))
    }

    pub fn refusal(self, status: u16, answer: &str, path: &str) -> Failure {
        // Who wants a login may show the one that was given.
        let words = if matches!(status, 401 | 407) { String::new() } else { self.words(answer) };
        let said = if words.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, \"{words}\"") };
        let at = self.server;
        Failure::Final(match status {
            500 if answer.contains("No path to datacenter") => self.unavailable(&format!("{said}; is --dc right?")),
            500 if answer.contains("No cluster leader") => {
                return Failure::Passing(format!("{said}: too few of its servers are up, or reach each other"));
            }
            429 | 500 | 502 | 503 | 504 => return Failure::Passing(said),
            400 if answer.contains("HTTPS server") => Status::Configuration
                .error(format!("Consul at {at} speaks TLS there; write https://HOST:PORT, or set CONSUL_HTTP_SSL=true")),
            400 => {
                let where_to = self.context.all(&["CONSUL_HTTP_ADDR", "CONSUL_NAMESPACE", "CONSUL_PARTITION", "--dc"]);
                Status::Configuration.error(format!("Consul at {at} does not accept the request: {said}; check {where_to}"))
            }
            401 => Status::Denied.error(format!("Consul at {at} wants a login: {said}; set CONSUL_HTTP_AUTH")),
            403 => self.denied(&said, &format!("/v1/{}", path)),
            413 => Status::Refused.error(format!("it is too large for Consul: {said}; make the document smaller, compress it with -z, or raise Consul's limits kv_max_value_size and txn_max_req_len")),
            _ => self.not_consul(&format!("{said} for /v1/{}", path)),
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
    pub fn fault(self, fault: ureq::Error) -> Failure {
        Failure::Passing(match fault {
            ureq::Error::Timeout(_) => return Failure::TooSlow,
            ureq::Error::Io(cause) => match explain(&cause, self.server, self.context) {
                Some(refused) => return Failure::Final(refused),
                None if cause.kind() == ErrorKind::TimedOut => return Failure::TooSlow,
                None => match Explained::in_error(&cause) {
                    Some(explained) => return Failure::OfOurs(explained.clone()),
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

    pub fn too_large(limit: u64) -> Error {
        Status::Refused.error(format!("Consul's answer is larger than {} bytes", limit))
    }
}

/// What of a failure is TLS's refusal, and so does not pass by itself: cause and remedy.
fn explain(cause: &io::Error, server: &Endpoint, context: &Context) -> Option<Error> {
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
    let (status, why) = match refusal(cause, &remedies)? {
        Refusal::OfTheirs(why) => (Status::Unavailable, why),
        Refusal::OfOurs(why) => (Status::Configuration, why),
    };
    Some(status.error(format!("Consul at {server}: {why}")))
}
