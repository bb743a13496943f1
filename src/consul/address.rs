//! Where Consul's HTTP API is: `host:port`, `http://`, `https://` or `unix://`, as Consul's own client takes it.

use std::fmt;
use std::path::PathBuf;

use ureq::http::Uri;

use crate::error::{Error, Result, Status};
use crate::net::is_reachable;

/// A socket's path may be this long (`sun_path`, with its end).
const LONGEST: usize = 107;

/// An address that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `http://host:port/path`, without a trailing slash. Of a socket, `http://localhost`.
    base: String,
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
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let scheme = match scheme {
            "http" if tls => "https",
            "http" | "https" => scheme,
            "unix" if rest.len() > LONGEST => return Err(wrong("is too long for a socket's path")),
            "unix" if rest.starts_with('/') => {
                return Ok(Address { base: "http://localhost".into(), socket: Some(rest.into()) });
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
        let base = format!("{scheme}://{}", rest.trim_end_matches('/'));
        match base.parse::<Uri>() {
            Ok(uri) if uri.query().is_none() && !base.contains('#') && uri.authority().is_some_and(is_reachable) => {
                Ok(Address { base, socket: None })
            }
            _ => Err(wrong("is no address; write HOST:PORT, such as 127.0.0.1:8500")),
        }
    }

    /// The name or number of the host, without brackets.
    pub(super) fn host(&self) -> String {
        let uri = self.base.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
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
        match &self.socket {
            Some(path) => write!(f, "unix://{}", path.display()),
            None => f.write_str(&self.base),
        }
    }
}
