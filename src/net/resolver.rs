//! From a name to addresses: the only place where a name is looked up, for Consul, for URLs and for metrics.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{NextTimeout, time};

use super::near::Trail;
use super::{Explained, bare};

/// The addresses of a host, looked up within `limit`; `None` after that.
///
/// An address is itself. `localhost` is this machine, IPv4 first: that is where agents listen by default, and a resolver that
/// puts `::1` first would lead to whoever listens there.
///
/// # Errors
/// The resolver's, with a remedy where it is not that the name is unknown.
pub(crate) fn look_up(host: &str, port: u16, limit: Option<Duration>) -> io::Result<Option<Vec<SocketAddr>>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Some(vec![SocketAddr::new(address, port)]));
    }
    if host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost") {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(Some(loopback.map(|address| SocketAddr::new(address, port)).into()));
    }
    let name = host.to_owned();
    let look = move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    let Some(limit) = limit else { return look().map(Some) };
    let (found, result) = sync_channel(1);
    // Left alone when it takes too long: it ends with the process.
    let looking = std::thread::Builder::new().spawn(move || found.send(look()));
    looking.map_err(|cause| Explained {
        why: format!("{host} cannot be looked up, since no thread can be started ({cause})"),
        remedy: "let this user run more processes (ulimit -u, TasksMax=), or write an address instead of the name"
            .into(),
    })?;
    result.recv_timeout(limit).ok().transpose()
}

/// ureq's own resolver starts a thread even for `127.0.0.1`, panics where it cannot, and takes `localhost` for what the system's
/// says.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// Where the redirects have led so far that this connection is part of.
    trail: Option<Trail>,
}

impl Lookup {
    /// As part of a chain of redirects.
    pub fn along(trail: Option<&Trail>) -> Lookup {
        Lookup { trail: trail.cloned() }
    }
}

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = bare(uri.host().unwrap_or_default());
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let limit = match timeout.after {
            time::Duration::Exact(limit) => Some(limit),
            time::Duration::NotHappening => None,
        };
        let found = look_up(host, port, limit)?.ok_or(ureq::Error::Timeout(timeout.reason))?;
        if let Some(trail) = &self.trail {
            trail.admit(&found).map_err(io::Error::from)?;
        }
        let mut addresses = self.empty();
        found.into_iter().for_each(|address| drop(addresses.try_push(address))); // It takes so many, and more are of no use.
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Nobody needs to be found behind a socket: it is asked by its path.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut one = self.empty();
        one.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)); // ureq wants one.
        Ok(one)
    }
}

#[cfg(test)]
mod tests {
    use super::look_up;

    #[test]
    fn localhost_is_this_machine_by_ipv4_first() {
        for host in ["localhost", "LocalHost", "localhost."] {
            let found = look_up(host, 8500, None).ok().flatten().unwrap_or_default();
            assert_eq!(
                found.iter().map(ToString::to_string).collect::<Vec<_>>(),
                ["127.0.0.1:8500", "[::1]:8500"],
                "{host}"
            );
        }
        let found = look_up("::1", 1, None).ok().flatten().unwrap_or_default();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[::1]:1"]);
    }
}
