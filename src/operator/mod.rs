//! What a person does at the terminal: stop and resume a key, lock and unlock a file, copy, compare, look. Each is a story of
//! its own; `kvx` and, in its own words, `kvexpress` tell them.

pub mod clean;
pub mod diff;
pub mod list;
pub mod lock;
pub mod signature;
pub mod status;
pub mod stop;

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
    pub(crate) fn client<'w>(&self, world: &'w World) -> Result<Client<'w>> {
        let server = Server::find(&self.consul, world)?;
        Ok(Client::new(server, Deadline::within(self.timeout), document::LARGEST, world))
    }
}
