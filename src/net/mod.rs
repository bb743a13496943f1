//! Connections to Consul and to the servers of URLs: name resolution, TCP or unix socket, and TLS. This module does not
//! know what the requests mean.

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
use self::resolver::{Lookup, NoLookup};
use self::tls::{Tls, TlsConnector};
use self::unix::UnixConnector;

/// The transport to a server.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// TCP.
    Plain,
    /// TCP with TLS.
    Tls(Tls),
    /// The unix socket at this path. The host of the URI is ignored.
    Socket(PathBuf),
}

/// The configuration of all agents. There is no proxy, since ureq would use it even for 127.0.0.1. Redirects and error
/// statuses are returned as answers.
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

/// An agent that connects by this route. `trail` restricts the addresses if the request is part of a chain of
/// redirects.
pub(crate) fn agent(route: &Route, config: Config, trail: Option<&Trail>) -> Agent {
    match route {
        Route::Plain => Agent::with_parts(config, TcpConnector::default(), Lookup::new(trail)),
        Route::Tls(tls) => {
            let connector = TcpConnector::default().chain(TlsConnector::new(tls.clone()));
            Agent::with_parts(config, connector, Lookup::new(trail))
        }
        Route::Socket(path) => Agent::with_parts(config, UnixConnector::new(path.clone()), NoLookup),
    }
}

/// Whether the authority has a host, and its port, if it has one, is valid. The parser accepts ports above 65535.
pub(crate) fn is_reachable(authority: &Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty() && (after_host == Some("") || authority.port_u16().is_some_and(|port| port > 0))
}

/// A host without the brackets that an IPv6 address has in a URL.
pub(crate) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Why a connection failed, with its own remedy, for a cause that is not the server's.
#[derive(Clone, Debug)]
pub(crate) struct Explained {
    pub why: String,
    pub remedy: String,
}

impl Explained {
    /// The explanation that an error carries.
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
