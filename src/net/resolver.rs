//! From a name to addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// An address is an address: with a time limit, ureq's own resolver starts a thread even for `127.0.0.1`.
#[derive(Debug, Default)]
pub(super) struct AddressFirst(DefaultResolver);

impl Resolver for AddressFirst {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let mut one = self.empty();
                one.push(SocketAddr::new(address, uri.port_u16().unwrap_or(port)));
                Ok(one)
            }
            Err(_) => self.0.resolve(uri, config, timeout),
        }
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
