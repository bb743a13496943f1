//! The Consul and the prefix that a command works on.

use std::time::Duration;

use crate::consul::{Client, ConnectOptions, Endpoint};
use crate::context::Context;
use crate::document;
use crate::error::Result;
use crate::layout::keys::Prefix;
use crate::util::time::Deadline;

/// The default of `--timeout`.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The Consul and the prefix that a command works on.
#[derive(Clone)]
pub struct Site {
    /// `-p`.
    pub prefix: Prefix,
    /// Address, token and TLS.
    pub consul: ConnectOptions,
    /// `--timeout`: the limit for all requests to Consul together.
    pub timeout: Duration,
}

impl Site {
    /// A client for this Consul. The timeout begins now.
    ///
    /// # Errors
    /// 78 if the address, a token or the TLS configuration is invalid.
    pub fn client<'w>(&self, context: &'w Context) -> Result<Client<'w>> {
        let endpoint = Endpoint::from_options(&self.consul, context)?;
        Ok(Client::new(endpoint, Deadline::within(self.timeout), document::LARGEST, context))
    }
}
