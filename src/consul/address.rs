//! The address of Consul's HTTP API: `host:port`, `http://`, `https://` or `unix://`, as Consul's own client accepts
//! it.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use ureq::http::Uri;
use ureq::http::uri::Authority;

use crate::error::{Error, Result, Status};
use crate::net::{bare, is_reachable};

/// The longest path of a unix socket, in bytes: `sun_path` has 108, the final NUL included.
const MAX_SOCKET_PATH: usize = 107;

/// A valid address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `http://host:port/path`, without a trailing slash. For a unix socket, `http://localhost`.
    base: String,
    /// The address for messages, always with a port.
    shown: String,
    /// The path of the unix socket; `None` for TCP.
    pub(super) socket: Option<PathBuf>,
}

impl Address {
    /// Parses an address. `source` is the option or variable that it comes from. `tls` is CONSUL_HTTP_SSL: it turns an
    /// address without a scheme or with `http://` into https, as Consul's client does.
    ///
    /// # Errors
    /// 78 if the address is invalid.
    pub(super) fn parse(address: &str, source: &str, tls: bool) -> Result<Address> {
        let wrong = |why: &str| wrong(address, source, why);
        if address.trim() != address || address.contains(char::is_control) {
            return Err(invisible(address, source));
        }
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let scheme = match scheme {
            "http" if tls => "https",
            "http" | "https" => scheme,
            "unix" if rest.len() > MAX_SOCKET_PATH => return Err(wrong("is too long for a socket's path")),
            "unix" if rest.starts_with('/') => {
                return Ok(Address {
                    base: "http://localhost".into(),
                    shown: address.into(),
                    socket: Some(rest.into()),
                });
            }
            "unix" => return Err(wrong("is not the path of a socket; write unix:///PATH, with three slashes")),
            _ if address.contains('@') => return Err(wrong_scheme(source)),
            _ => return Err(wrong(UNKNOWN_SCHEME)),
        };
        if rest.contains('@') {
            // The message does not show the address, since a password precedes the @.
            return Err(Status::Configuration
                .error(format!("{source} has credentials in the address; put them into CONSUL_HTTP_AUTH")));
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if let Some(zone) = authority.split_once('%').map(|(_, zone)| zone) {
            let zone = zone.split(']').next().unwrap_or_default();
            return Err(wrong(&format!("has a zone (%{zone}), which is not supported; write an address without one")));
        }
        let port = if scheme == "https" { 8501 } else { 8500 };
        if let Some(bracketed) = in_brackets(authority, port) {
            return Err(wrong(&format!("is an IPv6 address without brackets; write {bracketed}")));
        }
        let base = format!("{scheme}://{}", rest.trim_end_matches('/'));
        match base.parse::<Uri>() {
            Ok(uri) if uri.query().is_none() && !base.contains('#') && uri.authority().is_some_and(is_reachable) => {
                Ok(Address { shown: with_port(&uri), base, socket: None })
            }
            _ => Err(wrong("is not an address; write HOST:PORT, such as 127.0.0.1:8500")),
        }
    }

    /// The host name or IP address, without brackets.
    pub(super) fn host(&self) -> String {
        let uri = self.base.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        bare(host).to_owned()
    }

    pub(super) fn is_https(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// The URL of a path below the address.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

const UNKNOWN_SCHEME: &str = "has a scheme that is not http; write HOST:PORT, such as 127.0.0.1:8500";

/// The correct form of an IPv6 address without brackets, with its port or `default_port`; `None` for any other text.
fn in_brackets(authority: &str, default_port: u16) -> Option<String> {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let has_port = |port: &str| port.len() > 2 && port.bytes().all(|byte| byte.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if is_v6(host) && has_port(port) => Some(format!("[{host}]:{port}")),
        Some(_) if is_v6(authority) => Some(format!("[{authority}]:{default_port}")),
        _ => None,
    }
}

/// The address for messages. It includes the scheme's default port, since a forgotten `:8500` is a common mistake.
fn with_port(uri: &Uri) -> String {
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", Authority::as_str));
    let port = match (uri.port_u16(), scheme) {
        (Some(_), _) => "",
        (None, "https") => ":443",
        (None, _) => ":80",
    };
    format!("{scheme}://{authority}{port}{}", uri.path().trim_end_matches('/'))
}

/// The error for an address with characters that an editor or a shell does not show.
fn invisible(address: &str, source: &str) -> Error {
    let what = match address.contains('\r') {
        true => "a carriage return (of a script with CRLF lines?)",
        false => "a blank or control character",
    };
    // A password may precede an @.
    let shown = if address.contains('@') { "the address".into() } else { format!("\"{address}\"") };
    Status::Configuration.error(format!("{source}: {shown} has {what} in it; remove it"))
}

/// The same without the address, since a password may precede an @.
fn wrong_scheme(source: &str) -> Error {
    Status::Configuration.error(format!("{source} {UNKNOWN_SCHEME}"))
}

fn wrong(address: &str, source: &str, why: &str) -> Error {
    Status::Configuration.error(format!("{source}: \"{address}\" {why}"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> String {
        match Address::parse(address, "-s", false) {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_address_is_shown_with_its_port() {
        for (address, expected) in [
            ("127.0.0.1:8500", "http://127.0.0.1:8500"),
            ("localhost", "http://localhost:80"),
            ("https://consul/", "https://consul:443"),
            ("http://[::1]/behind/", "http://[::1]:80/behind"),
            ("[fc00::2]:8501", "http://[fc00::2]:8501"),
            ("unix:///run/my consul.sock", "unix:///run/my consul.sock"),
        ] {
            assert_eq!(shown(address), expected);
        }
    }

    #[test]
    fn the_error_for_an_invalid_address_suggests_a_correction() {
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
            let error = shown(address);
            assert!(error.contains(why) && error.starts_with("-s: "), "{address}: {error}");
        }
        assert!(!shown("http://bob:secret@host:1\r").contains("secret"));
    }
}
