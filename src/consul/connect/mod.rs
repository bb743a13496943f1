//! How a connection to Consul is made: a name resolved, a TCP or unix socket connected, TLS on top where it is wanted.

mod resolver;
mod tls;
mod unix;

use ureq::Agent;
use ureq::config::Config;
use ureq::unversioned::transport::{Connector, TcpConnector};

use self::resolver::{AddressFirst, Nowhere};
use self::tls::TlsConnector;
pub(super) use self::tls::explain;
use self::unix::UnixConnector;
use super::server::Server;

/// Connects to this server, each time it is asked to.
pub(super) fn agent(server: &Server, config: Config) -> Agent {
    match (&server.address.socket, &server.tls) {
        (Some(path), _) => Agent::with_parts(config, UnixConnector::to(path.clone()), Nowhere),
        (None, Some(tls)) => {
            let connector = TcpConnector::default().chain(TlsConnector::with(tls.clone()));
            Agent::with_parts(config, connector, AddressFirst::default())
        }
        (None, None) => Agent::with_parts(config, TcpConnector::default(), AddressFirst::default()),
    }
}
