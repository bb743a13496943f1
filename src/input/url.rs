//! The URL of a document (`-u`), and the target of a redirect. Pure.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use ureq::http::uri::{Authority, PathAndQuery, Scheme};
use ureq::http::{HeaderValue, Uri};

use crate::net::{bare, is_reachable};

/// An http or https URL. Messages show neither its query nor its login, since both may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    /// Host and port, without a login.
    authority: Authority,
    path: PathAndQuery,
    /// The login as the value of the header Authorization.
    login: Option<HeaderValue>,
}

impl Url {
    /// Parses a URL. `user:password@` before the host becomes basic authentication, as in curl and Go.
    pub fn parse(text: &str) -> Result<Url, &'static str> {
        const WRONG: &str = "it is not a URL; write http://HOST/PATH or https://HOST/PATH";
        let uri: Uri = text.trim().parse().map_err(|_| WRONG)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else { return Err(WRONG) };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(WRONG);
        }
        let (login, authority) = match authority.as_str().rsplit_once('@') {
            Some((login, rest)) => (Some(basic(login)), rest.parse().map_err(|_| WRONG)?),
            None => (None, authority),
        };
        if !is_reachable(&authority) {
            return Err(WRONG);
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Url { scheme, authority, path, login })
    }

    /// The target of a redirect from this URL to `location`. The login is kept only for the same server.
    pub fn redirected(&self, location: &str) -> Result<Url, &'static str> {
        let location = location.split('#').next().unwrap_or_default().trim();
        let server = || format!("{}://{}", self.scheme, self.authority);
        let target = if has_scheme(location) {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{}:{location}", self.scheme)
        } else {
            let (path, query) = location.split_once('?').map_or((location, None), |(path, query)| (path, Some(query)));
            let query = match path {
                "" => query.or(self.path.query()),
                _ => query,
            };
            let path = match path {
                "" => self.path.path().to_owned(),
                absolute if absolute.starts_with('/') => normalize(absolute),
                relative => {
                    let folder = self.path.path().rsplit_once('/').map_or("", |(folder, _)| folder);
                    normalize(&format!("{folder}/{relative}"))
                }
            };
            format!("{}{path}{}", server(), query.map(|query| format!("?{query}")).unwrap_or_default())
        };
        let mut target = Url::parse(&target).map_err(|_| "to a URL that is not http or https")?;
        if self.is_https() && !target.is_https() {
            return Err("from https to http, where the document could be changed in transit");
        }
        if target.login.is_none() && target.server() == self.server() {
            target.login.clone_from(&self.login);
        }
        Ok(target)
    }

    /// Whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The host name or IP address, without brackets.
    pub fn host(&self) -> &str {
        bare(self.authority.host())
    }

    /// The URI without the login. Building it cannot fail, since all of its parts are valid.
    pub(crate) fn uri(&self) -> Result<Uri, ureq::http::Error> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(self.path.clone()).build()
    }

    /// The value of the header Authorization.
    pub(crate) fn login(&self) -> Option<&HeaderValue> {
        self.login.as_ref()
    }

    fn server(&self) -> (&Scheme, String, u16) {
        let port = self.authority.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 });
        (&self.scheme, self.host().to_ascii_lowercase(), port)
    }
}

fn basic(login: &str) -> HeaderValue {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let both = [decoded(user), decoded(password)].join(&b':');
    // Base64 is always valid in a header.
    let header = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(both)));
    let mut header = header.unwrap_or_else(|_| HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

fn has_scheme(location: &str) -> bool {
    let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Removes `.` and `..` from a path (RFC 3986, 5.2.4).
fn normalize(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let is_folder = matches!(path.rsplit('/').next(), Some("." | "..")) && !kept.is_empty();
    format!("/{}{}", kept.join("/"), if is_folder { "/" } else { "" })
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path.path())
    }
}

/// Like `Display`, without secrets.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
