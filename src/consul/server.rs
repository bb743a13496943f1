//! Which Consul, and as whom: flags, then the environment of Consul's own client, then `127.0.0.1:8500`.
//!
//! The rules are those of Consul's Go client (`api/api.go`), but that what cannot be understood is an error here, where
//! the client warns and goes on.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::uri::Authority;
use ureq::http::{HeaderValue, Uri};

use crate::error::{Result, Status};
use crate::world::World;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";

/// What the command line says about Consul; what it does not say, the environment may.
#[derive(Clone, Default)]
pub struct Flags {
    /// `-s`: as CONSUL_HTTP_ADDR.
    pub address: Option<String>,
    /// `-t`.
    pub token: Option<String>,
    /// `--token-file`: as CONSUL_HTTP_TOKEN_FILE.
    pub token_file: Option<PathBuf>,
    /// `--dc`.
    pub datacenter: Option<String>,
}

/// A value for a header that nobody may see.
#[derive(Clone)]
pub struct Secret(HeaderValue);

/// A Consul agent's HTTP API, and who asks.
#[derive(Clone, Debug)]
pub struct Server {
    /// `http://host:port/path`, without a trailing slash.
    base: String,
    /// `&dc=...&ns=...&partition=...`, to follow another parameter, or empty.
    query: String,
    namespace: Option<String>,
    partition: Option<String>,
    /// X-Consul-Token.
    pub token: Option<Secret>,
    /// Authorization.
    pub authorization: Option<Secret>,
}

impl Server {
    /// Finds out.
    ///
    /// # Errors
    /// 78: an address, a boolean or a token that makes no sense, a token file that cannot be read, TLS or a socket.
    pub fn find(flags: &Flags, world: &World) -> Result<Server> {
        let (source, address) = match (&flags.address, world.text("CONSUL_HTTP_ADDR")?) {
            (Some(address), _) => ("-s", address.clone()),
            (None, Some(address)) => ("CONSUL_HTTP_ADDR", address),
            (None, None) => ("the default address", DEFAULT_ADDRESS.to_owned()),
        };
        let tls = boolean("CONSUL_HTTP_SSL", world)?.unwrap_or(false);
        boolean("CONSUL_HTTP_SSL_VERIFY", world)?;
        let namespace = world.text("CONSUL_NAMESPACE")?;
        let partition = world.text("CONSUL_PARTITION")?;
        let parameters = [("dc", &flags.datacenter), ("ns", &namespace), ("partition", &partition)];
        let query = parameters
            .into_iter()
            .filter_map(|(name, value)| {
                Some(format!("&{name}={}", utf8_percent_encode(value.as_ref()?, NON_ALPHANUMERIC)))
            })
            .collect();
        Ok(Server {
            base: base(&address, source, tls)?,
            query,
            namespace,
            partition,
            token: token(flags, world)?,
            authorization: authorization(world)?,
        })
    }

    /// Namespace and partition, of Consul Enterprise.
    pub(super) fn tenancy(&self) -> (Option<&str>, Option<&str>) {
        (self.namespace.as_deref(), self.partition.as_deref())
    }

    /// Whether either is set.
    pub(super) fn has_tenancy(&self) -> bool {
        self.tenancy() != (None, None)
    }

    /// What somebody says, without our secrets, which an answer may echo.
    pub(super) fn redact(&self, words: &str) -> String {
        let secrets = [&self.token, &self.authorization];
        let texts = secrets.into_iter().flatten().filter_map(|secret| secret.0.to_str().ok());
        texts.fold(words.to_owned(), |words, text| words.replace(text.trim_start_matches("Basic "), "(secret)"))
    }

    /// The URL of an API path such as `txn` or `kv/hosts`, with this server's parameters and the given one.
    pub(super) fn url(&self, path: &str, parameter: &str) -> String {
        let query = format!("{parameter}{}", self.query);
        match query.trim_start_matches('&') {
            "" => format!("{}/v1/{path}", self.base),
            query => format!("{}/v1/{path}?{query}", self.base),
        }
    }
}

/// The address, for people.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

fn base(address: &str, source: &str, tls: bool) -> Result<String> {
    let wrong = |why: &str| Status::Configuration.error(format!("{source}: \"{address}\" {why}"));
    if address.contains('@') {
        // Not shown: what stands before the @ is a password.
        return Err(Status::Configuration
            .error(format!("{source} has credentials in the address; put them into CONSUL_HTTP_AUTH")));
    }
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    match scheme {
        "http" if tls => {
            return Err(wrong(
                "is to be reached by TLS (CONSUL_HTTP_SSL), which kvx cannot do yet; use the agent's http port",
            ));
        }
        "http" => {}
        "https" => return Err(wrong("needs TLS, which kvx cannot do yet; use the agent's http port")),
        "unix" => return Err(wrong("is a unix socket, which kvx cannot use yet; use the agent's http port")),
        _ => return Err(wrong("has a scheme that is no http; write HOST:PORT, such as 127.0.0.1:8500")),
    }
    let base = format!("http://{}", rest.trim_end_matches('/'));
    match base.parse::<Uri>() {
        Ok(uri) if uri.query().is_none() && uri.authority().is_some_and(is_reachable) => Ok(base),
        _ => Err(wrong("is no address; write HOST:PORT, such as 127.0.0.1:8500")),
    }
}

/// It has a host, and a port that is one if it has any (a number above 65535 parses, and is none).
fn is_reachable(authority: &Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty() && (after_host == Some("") || authority.port_u16().is_some_and(|port| port > 0))
}

fn boolean(name: &str, world: &World) -> Result<Option<bool>> {
    match world.text(name)?.as_deref() {
        None => Ok(None),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
        Some(other) => {
            Err(Status::Configuration.error(format!("{name} is \"{other}\"; set it to true or false, or unset it")))
        }
    }
}

/// The flag; a token file beats the token beside it, and an empty file falls back to it.
fn token(flags: &Flags, world: &World) -> Result<Option<Secret>> {
    if let Some(token) = &flags.token {
        return secret(token, "-t").map(Some);
    }
    let file = match &flags.token_file {
        Some(path) => Some((path.clone(), "--token-file")),
        None => world.text("CONSUL_HTTP_TOKEN_FILE")?.map(|path| (PathBuf::from(path), "CONSUL_HTTP_TOKEN_FILE")),
    };
    if let Some((path, source)) = file
        && let Some(token) = token_in(&path, source)?
    {
        return Ok(Some(token));
    }
    world.text("CONSUL_HTTP_TOKEN")?.map(|token| secret(&token, "CONSUL_HTTP_TOKEN")).transpose()
}

fn token_in(path: &Path, source: &str) -> Result<Option<Secret>> {
    let text = fs_err::read_to_string(path).map_err(|cause| {
        Status::Configuration
            .error(format!("{source}: {cause}; the token file must be there and readable for this user"))
    })?;
    match text.trim() {
        "" => Ok(None),
        token => secret(token, source).map(Some),
    }
}

fn authorization(world: &World) -> Result<Option<Secret>> {
    let Some(auth) = world.text("CONSUL_HTTP_AUTH")? else { return Ok(None) };
    let (user, password) = auth.split_once(':').unwrap_or((&auth, ""));
    secret(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))), "CONSUL_HTTP_AUTH").map(Some)
}

fn secret(text: &str, source: &str) -> Result<Secret> {
    match HeaderValue::from_str(text) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(Secret(value))
        }
        Err(_) => Err(Status::Configuration
            .error(format!("{source} holds characters that no token has; is it the right file or variable?"))),
    }
}

impl Secret {
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
