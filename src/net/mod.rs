//! How a connection is made, to Consul and to whom a URL names: a name resolved, a TCP or unix socket connected, TLS on
//! top where it is wanted. Knows nobody's requests.

mod near;
pub(crate) mod refusal;
mod resolver;
pub(crate) mod tls;
pub(crate) mod trust;
mod unix;

use std::fmt;
use std::io;
use std::path::PathBuf;

use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::uri::Authority;
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{Connector, TcpConnector};

pub(crate) use self::near::Trail;
pub(crate) use self::resolver::look_up;
use self::resolver::{Lookup, Nowhere};
use self::tls::{Tls, TlsConnector};
use self::unix::UnixConnector;

/// How somebody is reached.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// By TCP.
    Plain,
    /// By TCP and TLS.
    Tls(Tls),
    /// By the unix socket at this path, whatever the URI says.
    Socket(PathBuf),
}

/// As we ask everybody: no proxy (by default even 127.0.0.1 would go through it), redirects and error statuses as they
/// come.
pub(crate) fn config() -> ConfigBuilder<AgentScope> {
    Config::builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("kvx/", env!("CARGO_PKG_VERSION")))
        .input_buffer_size(16 * 1024)
        .output_buffer_size(4 * 1024)
}

/// Connects this way, each time it is asked to; if this is part of a chain of redirects, only where that may lead.
pub(crate) fn agent(way: &Route, config: Config, trail: Option<&Trail>) -> Agent {
    match way {
        Route::Plain => Agent::with_parts(config, TcpConnector::default(), Lookup::along(trail)),
        Route::Tls(tls) => {
            let connector = TcpConnector::default().chain(TlsConnector::with(tls.clone()));
            Agent::with_parts(config, connector, Lookup::along(trail))
        }
        Route::Socket(path) => Agent::with_parts(config, UnixConnector::to(path.clone()), Nowhere),
    }
}

/// It has a host, and a port that is one if it has any (a number above 65535 parses, and is none).
pub(crate) fn is_reachable(authority: &Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty() && (after_host == Some("") || authority.port_u16().is_some_and(|port| port > 0))
}

/// A host without the brackets that an IPv6 address has in a URL.
pub(crate) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Why there is no connection, where another remedy fits than to look at the server.
#[derive(Clone, Debug)]
pub(crate) struct Explained {
    pub why: String,
    pub remedy: String,
}

impl Explained {
    /// What it is of.
    pub fn in_error(cause: &io::Error) -> Option<&Explained> {
        cause.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.remedy)
    }
}

impl std::error::Error for Explained {}

impl From<Explained> for io::Error {
    fn from(explained: Explained) -> io::Error {
        io::Error::other(explained)
    }
}
