//! Where keys are: in which Consul, under which prefix.

use std::time::Duration;

use crate::consul::{Client, ConnectOptions, Endpoint};
use crate::context::Context;
use crate::document;
use crate::error::Result;
use crate::layout::keys::Prefix;
use crate::util::time::Deadline;

/// Without `--timeout`.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Which keys, in which Consul.
#[derive(Clone)]
pub struct Site {
    /// `-p`.
    pub prefix: Prefix,
    /// Which Consul, and as whom.
    pub consul: ConnectOptions,
    /// `--timeout`: for all talk with Consul.
    pub timeout: Duration,
}

impl Site {
    /// A client for it.
    ///
    /// # Errors
    /// 78.
    pub fn client<'w>(&self, context: &'w Context) -> Result<Client<'w>> {
        let server = Endpoint::from_options(&self.consul, context)?;
        Ok(Client::new(server, Deadline::within(self.timeout), document::LARGEST, context))
    }
}
