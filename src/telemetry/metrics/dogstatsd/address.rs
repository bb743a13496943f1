//! The address of dogstatsd, and a socket to it that never blocks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use crate::env::Env;
use crate::net::look_up;

const PORT: u16 = 8125;
/// The time limit for resolving the host name.
const RESOLVE_LIMIT: Duration = Duration::from_millis(100);

/// The address that dogstatsd listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatsdAddress {
    /// A host name or IP address, and a port.
    Udp(String, u16),
    /// The path of a unix datagram socket.
    Unix(PathBuf),
}

/// The socket that datagrams are sent through. A datagram that would block is lost.
pub(super) enum Socket {
    Udp(UdpSocket, SocketAddr),
    Unix(UnixDatagram, PathBuf),
}

impl StatsdAddress {
    /// Parses `host`, `host:port`, `udp://host:port`, `unix:///path` or `/path`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<StatsdAddress, String> {
        let wrong = || "write host:port, udp://host:port, unix:///path or /path".to_owned();
        if let Some(path) = text.strip_prefix("unix://").or(text.starts_with('/').then_some(text)) {
            return if path.starts_with('/') { Ok(StatsdAddress::Unix(path.into())) } else { Err(wrong()) };
        }
        let host_and_port = text.strip_prefix("udp://").unwrap_or(text);
        if let Ok(ip) = host_and_port.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(StatsdAddress::Udp(ip.to_string(), PORT));
        }
        let (host, port) = match host_and_port.rsplit_once(':') {
            Some((host, port)) => (host.trim_matches(['[', ']']), port.parse().map_err(|_| wrong())?),
            None => (host_and_port, PORT),
        };
        let is_invalid = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '[' | ']');
        // A colon is part of an IPv6 address, or of a scheme that is not supported.
        let is_host =
            !host.is_empty() && !host.contains(is_invalid) && (!host.contains(':') || host.parse::<IpAddr>().is_ok());
        if is_host && port != 0 { Ok(StatsdAddress::Udp(host.to_owned(), port)) } else { Err(wrong()) }
    }

    /// The address that Datadog's own clients would use: `DD_DOGSTATSD_URL`, or `DD_AGENT_HOST` and
    /// `DD_DOGSTATSD_PORT`, or localhost.
    pub(super) fn from_env(env: &Env) -> Result<StatsdAddress, String> {
        let text = |name: &str| env.text(name).map_err(|error| error.to_string());
        if let Some(url) = text("DD_DOGSTATSD_URL")? {
            return StatsdAddress::parse(&url).map_err(|wrong| format!("DD_DOGSTATSD_URL: {wrong}"));
        }
        let port = match text("DD_DOGSTATSD_PORT")? {
            Some(port) => port.parse().map_err(|_| "DD_DOGSTATSD_PORT is not a port".to_owned())?,
            None => PORT,
        };
        let host = text("DD_AGENT_HOST")?.unwrap_or_else(|| "localhost".into());
        match StatsdAddress::parse(&host).map_err(|wrong| format!("DD_AGENT_HOST: {wrong}"))? {
            StatsdAddress::Udp(host, PORT) => Ok(StatsdAddress::Udp(host, port)),
            other => Ok(other),
        }
    }

    pub(super) fn open(&self) -> Result<Socket, String> {
        let opened = match self {
            StatsdAddress::Udp(host, port) => udp(address_of(host, *port)?),
            StatsdAddress::Unix(path) => UnixDatagram::unbound().and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket, path.clone()))
            }),
        };
        opened.map_err(|cause| cause.to_string())
    }
}

/// An unconnected socket, so that no ICMP error reports that dogstatsd does not listen.
fn udp(to: SocketAddr) -> io::Result<Socket> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    Ok(Socket::Udp(socket, to))
}

fn address_of(host: &str, port: u16) -> Result<SocketAddr, String> {
    match look_up(host, port, Some(RESOLVE_LIMIT)) {
        Ok(Some(addresses)) => addresses.first().copied().ok_or_else(|| format!("{host} has no address")),
        Ok(None) => Err(format!("the address of {host} was not found in {} ms", RESOLVE_LIMIT.as_millis())),
        Err(cause) => Err(format!("{host}: {cause}")),
    }
}

impl Socket {
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let sent = match self {
            Socket::Udp(socket, to) => socket.send_to(datagram, to),
            Socket::Unix(socket, path) => socket.send_to(datagram, path),
        };
        sent.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let udp = |host: &str, port| Ok(StatsdAddress::Udp(host.into(), port));
        let unix = |path: &str| Ok(StatsdAddress::Unix(path.into()));
        for (text, address) in [
            ("localhost", udp("localhost", 8125)),
            ("agent.example:9125", udp("agent.example", 9125)),
            ("udp://10.0.0.1:9125", udp("10.0.0.1", 9125)),
            ("udp://10.0.0.1", udp("10.0.0.1", 8125)),
            ("::1", udp("::1", 8125)),
            ("[::1]:9125", udp("::1", 9125)),
            ("/run/dsd.socket", unix("/run/dsd.socket")),
            ("unix:///run/dsd.socket", unix("/run/dsd.socket")),
        ] {
            assert_eq!(StatsdAddress::parse(text), address, "{text}");
        }
        for text in
            ["", ":8125", "host:", "host:0", "host:99999", "http://host", "unix://run", "a b", "unixstream:///x"]
        {
            assert!(StatsdAddress::parse(text).is_err(), "{text}");
        }
    }
}
