//! Where keys are: in which Consul, under which prefix.

use std::time::Duration;

use crate::consul::{Client, Flags, Server};
use crate::context::World;
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
    pub consul: Flags,
    /// `--timeout`: for all talk with Consul.
    pub timeout: Duration,
}

impl Site {
    /// A client for it.
    ///
    /// # Errors
    /// 78.
    pub fn client<'w>(&self, world: &'w World) -> Result<Client<'w>> {
        let server = Server::find(&self.consul, world)?;
        Ok(Client::new(server, Deadline::within(self.timeout), document::LARGEST, world))
    }
}
