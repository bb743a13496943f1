//! A client of Consul's HTTP API. It knows HTTP and keys, not documents and checksums.

mod address;
mod blocking;
mod client;
mod credentials;
mod endpoint;
mod entry;
mod failure;
mod kv;
mod options;
mod tls;
mod transaction;

pub use client::Client;
pub use endpoint::Endpoint;
pub use entry::{Entry, Value};
pub use failure::{Failure, Result};
pub use kv::{ChangeResult, Consistency, Entries};
pub use options::ConnectOptions;
pub use transaction::Change;
