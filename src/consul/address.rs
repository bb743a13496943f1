//! Where Consul's HTTP API is: `host:port`, `http://`, `https://` or `unix://`, as Consul's own client takes it.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use ureq::http::Uri;
use ureq::http::uri::Authority;

use crate::error::{Error, Result, Status};
use crate::net::{bare, is_reachable};

/// A socket's path may be this long (`sun_path`, with its end).
const LONGEST: usize = 107;

/// An address that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `http://host:port/path`, without a trailing slash. Of a socket, `http://localhost`.
    base: String,
    /// The same with its port, which may be the scheme's.
    shown: String,
    /// By TCP, or by this socket.
    pub(super) socket: Option<PathBuf>,
}

impl Address {
    /// Reads an address that comes from `source`. `tls` is CONSUL_HTTP_SSL: it makes a bare or http address https, while
    /// `https://` stands for itself (as for Consul's client).
    ///
    /// # Errors
    /// 78 where it is none.
    pub(super) fn parse(address: &str, source: &str, tls: bool) -> Result<Address> {
        let wrong = |why: &str| wrong(address, source, why);
        if address.trim() != address || address.contains(char::is_control) {
            return Err(hidden(address, source));
        }
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let scheme = match scheme {
            "http" if tls => "https",
            "http" | "https" => scheme,
            "unix" if rest.len() > LONGEST => return Err(wrong("is too long for a socket's path")),
            "unix" if rest.starts_with('/') => {
                return Ok(Address {
                    base: "http://localhost".into(),
                    shown: address.into(),
                    socket: Some(rest.into()),
                });
            }
            "unix" => return Err(wrong("is no socket; write unix:///PATH, with three slashes")),
            _ if address.contains('@') => return Err(wrong_scheme(source)),
            _ => return Err(wrong("has a scheme that is no http; write HOST:PORT, such as 127.0.0.1:8500")),
        };
        if rest.contains('@') {
            // Not shown: what stands before the @ is a password.
            return Err(Status::Configuration
                .error(format!("{source} has credentials in the address; put them into CONSUL_HTTP_AUTH")));
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if let Some(zone) = authority.split_once('%').map(|(_, zone)| zone) {
            let zone = zone.split(']').next().unwrap_or_default();
            return Err(wrong(&format!("has a zone (%{zone}), which is not supported; write an address without one")));
        }
        let port = if scheme == "https" { 8501 } else { 8500 };
        if let Some(meant) = in_brackets(authority, port) {
            return Err(wrong(&format!("is an IPv6 address without brackets; write {meant}")));
        }
        let base = format!("{scheme}://{}", rest.trim_end_matches('/'));
        match base.parse::<Uri>() {
            Ok(uri) if uri.query().is_none() && !base.contains('#') && uri.authority().is_some_and(is_reachable) => {
                Ok(Address { shown: with_port(&uri), base, socket: None })
            }
            _ => Err(wrong("is no address; write HOST:PORT, such as 127.0.0.1:8500")),
        }
    }

    /// The name or number of the host, without brackets.
    pub(super) fn host(&self) -> String {
        let uri = self.base.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        bare(host).to_owned()
    }

    /// Whether it is to be reached by TLS.
    pub(super) fn is_https(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// With a path behind it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// What an IPv6 address that lacks its brackets is to be written as, with its port, or the usual one.
fn in_brackets(authority: &str, usual: u16) -> Option<String> {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let has_port = |port: &str| port.len() > 2 && port.bytes().all(|byte| byte.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if is_v6(host) && has_port(port) => Some(format!("[{host}]:{port}")),
        Some(_) if is_v6(authority) => Some(format!("[{authority}]:{usual}")),
        _ => None,
    }
}

/// As people are told of it: with the port that is asked, which nobody may have thought of.
fn with_port(uri: &Uri) -> String {
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", Authority::as_str));
    let port = match (uri.port_u16(), scheme) {
        (Some(_), _) => "",
        (None, "https") => ":443",
        (None, _) => ":80",
    };
    format!("{scheme}://{authority}{port}{}", uri.path().trim_end_matches('/'))
}

/// What nobody sees in a file or in a variable.
fn hidden(address: &str, source: &str) -> Error {
    let what = match address.contains('\r') {
        true => "a carriage return (of a script with CRLF lines?)",
        false => "a blank or control character",
    };
    // What stands before an @ is a password.
    let shown = if address.contains('@') { "the address".into() } else { format!("\"{address}\"") };
    Status::Configuration.error(format!("{source}: {shown} has {what} in it; remove it"))
}

/// Not shown: what stands before an @ is a password.
fn wrong_scheme(source: &str) -> Error {
    Status::Configuration
        .error(format!("{source} has a scheme that is no http; write HOST:PORT, such as 127.0.0.1:8500"))
}

fn wrong(address: &str, source: &str, why: &str) -> Error {
    Status::Configuration.error(format!("{source}: \"{address}\" {why}"))
}

/// For people.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(address: &str) -> String {
        match Address::parse(address, "-s", false) {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_port_that_is_asked_is_shown() {
        for (address, shown) in [
            ("127.0.0.1:8500", "http://127.0.0.1:8500"),
            ("localhost", "http://localhost:80"),
            ("https://consul/", "https://consul:443"),
            ("http://[::1]/behind/", "http://[::1]:80/behind"),
            ("[fc00::2]:8501", "http://[fc00::2]:8501"),
            ("unix:///run/my consul.sock", "unix:///run/my consul.sock"),
        ] {
            assert_eq!(said(address), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_said_with_what_it_may_have_been_meant_to_be() {
        for (address, why) in [
            ("::1:8500", "write [::1]:8500"),
            ("fc00::2:8501", "write [fc00::2]:8501"),
            ("https://::1", "write [::1]:8501"),
            ("2001:db8::5", "write [2001:db8::5]:8500"),
            ("[fe80::1%eth0]:8500", "has a zone (%eth0)"),
            ("fe80::1%25eth0", "has a zone (%25eth0)"),
            ("127.0.0.1:8500\r", "has a carriage return"),
            ("127.0.0.1:8500 ", "has a blank or control character"),
            ("unix:///run/consul.sock\n", "has a blank or control character"),
        ] {
            assert!(said(address).contains(why) && said(address).starts_with("-s: "), "{address}: {}", said(address));
        }
        assert!(!said("http://bob:secret@host:1\r").contains("secret"));
    }
}
