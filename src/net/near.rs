//! The addresses of this machine and of its network link. A remote server must not redirect there, because agents and
//! metadata services answer every request from this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Explained;

/// A chain of redirects. It is judged by the addresses of the connections, not by the URLs, since any name can have any
/// address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    /// Whether the chain has included a remote server.
    was_remote: Arc<AtomicBool>,
}

impl Trail {
    /// Adds a server with these addresses, or fails if a remote server has redirected to a near one.
    pub(super) fn admit(&self, addresses: &[SocketAddr]) -> Result<(), Explained> {
        let near = addresses.iter().map(SocketAddr::ip).find(|address| is_near(*address));
        if let Some(address) = near.filter(|_| self.was_remote.load(Ordering::Relaxed)) {
            return Err(Explained {
                why: format!("a remote server redirects to {address}, an address of this machine or its network link"),
                remedy: "give the final URL".into(),
            });
        }
        if addresses.iter().any(|address| !is_near(address.ip())) {
            self.was_remote.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Whether the address is loopback, link-local, unspecified (Linux connects to loopback then) or multicast. This
/// includes IPv4 addresses within IPv6 ones.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_near_v4(address),
        IpAddr::V6(address) => {
            let is_itself = address.is_loopback() || address.is_unicast_link_local() || address.is_multicast();
            is_itself || embedded_v4(address).is_some_and(is_near_v4)
        }
    }
}

fn is_near_v4(address: Ipv4Addr) -> bool {
    let is_this_network = address.octets().starts_with(&[0]);
    let is_to_many = address.is_multicast() || address.is_broadcast();
    address.is_loopback() || address.is_link_local() || is_this_network || is_to_many
}

/// The IPv4 address in a mapped (`::ffff:a.b.c.d`), compatible (`::a.b.c.d`, which includes `::`) or translated
/// (`64:ff9b::a.b.c.d`) IPv6 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            let [.., a, b, c, d] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(trail: &Trail, addresses: &[&str]) -> bool {
        let addresses = addresses.iter().filter_map(|address| Some(SocketAddr::new(address.parse().ok()?, 80)));
        trail.admit(&addresses.collect::<Vec<_>>()).is_ok()
    }

    const NEAR: [&str; 20] = [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",
        "0.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "::ffff:224.0.0.1",
        "::0.0.0.1",
    ];

    #[test]
    fn a_remote_server_cannot_redirect_to_this_machine() {
        for near in NEAR {
            for far in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fc00::1", "::ffff:192.0.2.1", "64:ff9b::c000:201"] {
                let trail = Trail::default();
                assert!(admits(&trail, &[near]) && admits(&trail, &[near]), "{near}");
                assert!(admits(&trail, &[far]) && admits(&trail, &[far]), "{far}");
                assert!(!admits(&trail, &[near]) && !admits(&trail, &[far, near]), "{far} to {near}");
                assert!(admits(&trail, &[far]));
            }
        }
    }

    /// The connection may go to any address of a name.
    #[test]
    fn a_name_with_a_remote_address_counts_as_remote() {
        let trail = Trail::default();
        assert!(admits(&trail, &["127.0.0.1", "192.0.2.1"]) && !admits(&trail, &["127.0.0.1"]));
    }
}
