//! Name resolution for Consul, URLs and metrics.

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

/// Resolves a host; `None` if the resolver does not answer within `limit`.
///
/// `localhost` is always 127.0.0.1, then ::1, without a lookup: agents listen on IPv4 by default, and with a resolver
/// that puts `::1` first another program could answer there.
///
/// # Errors
/// The resolver's error, or an [`Explained`] one if no thread can be started.
pub(crate) fn look_up(host: &str, port: u16, limit: Option<Duration>) -> io::Result<Option<Vec<SocketAddr>>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Some(vec![SocketAddr::new(address, port)]));
    }
    if host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost") {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(Some(loopback.map(|address| SocketAddr::new(address, port)).into()));
    }
    let name = host.to_owned();
    let resolve = move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    let Some(limit) = limit else { return resolve().map(Some) };
    let (sender, result) = sync_channel(1);
    // A lookup cannot be cancelled. After the limit, the thread is left running until the process ends.
    let thread = std::thread::Builder::new().spawn(move || sender.send(resolve()));
    thread.map_err(|cause| Explained {
        why: format!("{host} cannot be looked up, since no thread can be started ({cause})"),
        remedy: "let this user run more processes (ulimit -u, TasksMax=), or write an address instead of the name"
            .into(),
    })?;
    result.recv_timeout(limit).ok().transpose()
}

/// Resolves by [`look_up`]. It replaces ureq's resolver, which starts a thread even for `127.0.0.1`, panics if it
/// cannot, and asks the system for `localhost`.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// The chain of redirects that the connection is part of.
    trail: Option<Trail>,
}

impl Lookup {
    pub fn new(trail: Option<&Trail>) -> Lookup {
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
        found.into_iter().for_each(|address| drop(addresses.try_push(address))); // The list has a fixed capacity.
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// The resolver for unix sockets, which need no address.
#[derive(Debug)]
pub(super) struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut one = self.empty();
        one.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)); // ureq requires an address.
        Ok(one)
    }
}

#[cfg(test)]
mod tests {
    use super::look_up;

    #[test]
    fn localhost_is_resolved_to_ipv4_first() {
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
