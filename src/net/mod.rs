//! How a connection is made, to Consul and to whom a URL names: a name resolved, a TCP or unix socket connected, TLS on
//! top where it is wanted. Knows nobody's requests.

pub(crate) mod files;
mod resolver;
pub(crate) mod tls;
pub(crate) mod trust;
mod unix;

use std::path::PathBuf;

use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::uri::Authority;
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{Connector, TcpConnector};

use self::resolver::{AddressFirst, Nowhere};
use self::tls::{Tls, TlsConnector};
use self::unix::UnixConnector;

/// How somebody is reached.
#[derive(Clone, Debug)]
pub(crate) enum Way {
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

/// Connects this way, each time it is asked to.
pub(crate) fn agent(way: &Way, config: Config) -> Agent {
    match way {
        Way::Plain => Agent::with_parts(config, TcpConnector::default(), AddressFirst::default()),
        Way::Tls(tls) => {
            let connector = TcpConnector::default().chain(TlsConnector::with(tls.clone()));
            Agent::with_parts(config, connector, AddressFirst::default())
        }
        Way::Socket(path) => Agent::with_parts(config, UnixConnector::to(path.clone()), Nowhere),
    }
}

/// It has a host, and a port that is one if it has any (a number above 65535 parses, and is none).
pub(crate) fn is_reachable(authority: &Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty() && (after_host == Some("") || authority.port_u16().is_some_and(|port| port > 0))
}
