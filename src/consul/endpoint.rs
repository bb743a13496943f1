//! Where Consul is and with which credentials it is asked: options, then the variables of Consul's own client, then
//! `127.0.0.1:8500`.
//!
//! The rules are those of Consul's Go client (`api/api.go`), with one difference: where that client warns about an
//! invalid value and continues, kvx fails.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::address::Address;
use super::credentials::Credentials;
use super::options::ConnectOptions;
use super::tls;
use crate::context::Context;
use crate::error::{Result, Status};
use crate::net::Route;
use crate::util::strconv;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";

/// The HTTP API of a Consul agent, with the credentials for it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(super) address: Address,
    pub(super) route: Route,
    pub(super) has_client_certificate: bool,
    /// `&dc=...&ns=...&partition=...`, to be appended to other parameters, or empty.
    query: String,
    namespace: Option<String>,
    partition: Option<String>,
    pub(super) credentials: Credentials,
}

impl Endpoint {
    /// Reads the options and the environment.
    ///
    /// # Errors
    /// 78 if an address, boolean, token or certificate is invalid, or a file cannot be read.
    pub fn from_options(flags: &ConnectOptions, context: &Context) -> Result<Endpoint> {
        let (source, address) = match (&flags.address, context.env.text("CONSUL_HTTP_ADDR")?) {
            (Some(address), _) => ("-s", address.clone()),
            (None, Some(address)) => ("CONSUL_HTTP_ADDR", address),
            (None, None) => ("the default address", DEFAULT_ADDRESS.to_owned()),
        };
        let ssl = boolean("CONSUL_HTTP_SSL", context)?.unwrap_or(false);
        let verify = boolean("CONSUL_HTTP_SSL_VERIFY", context)?.unwrap_or(true);
        let address = Address::parse(&address, source, ssl)?;
        let namespace = context.env.text("CONSUL_NAMESPACE")?;
        let partition = context.env.text("CONSUL_PARTITION")?;
        let parameters = [("dc", &flags.datacenter), ("ns", &namespace), ("partition", &partition)];
        let query = parameters
            .into_iter()
            .filter_map(|(name, value)| {
                Some(format!("&{name}={}", utf8_percent_encode(value.as_ref()?, NON_ALPHANUMERIC)))
            })
            .collect();
        let (route, has_client_certificate) = match &address.socket {
            Some(path) => (Route::Socket(path.clone()), false),
            None if address.is_https() => tls::from_options(flags, &address.host(), verify, context)?,
            None => (Route::Plain, false),
        };
        Ok(Endpoint {
            address,
            route,
            has_client_certificate,
            query,
            namespace,
            partition,
            credentials: Credentials::from_options(flags, &context.env)?,
        })
    }

    /// Namespace and partition (Consul Enterprise).
    pub(super) fn tenancy(&self) -> (Option<&str>, Option<&str>) {
        (self.namespace.as_deref(), self.partition.as_deref())
    }

    pub(super) fn has_tenancy(&self) -> bool {
        self.tenancy() != (None, None)
    }

    /// The URL of an API path such as `txn` or `kv/hosts`, with the given parameters and those of the endpoint.
    pub(super) fn url(&self, path: &str, parameter: &str) -> String {
        let query = format!("{parameter}{}", self.query);
        match query.trim_start_matches('&') {
            "" => self.address.url(&format!("/v1/{path}")),
            query => self.address.url(&format!("/v1/{path}?{query}")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

fn boolean(name: &str, context: &Context) -> Result<Option<bool>> {
    let Some(text) = context.env.text(name)? else { return Ok(None) };
    match strconv::boolean(&text) {
        None => Err(Status::Configuration.error(format!("{name} is \"{text}\"; set it to true or false, or unset it"))),
        known => Ok(known),
    }
}
