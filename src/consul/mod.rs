//! Consul's HTTP API and the layout of keys in its KV store. Knows HTTP and keys, not checksums.

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
pub use endpoint::Server;
pub use entry::{Entry, Value};
pub use kv::{Consistency, Entries, Outcome};
pub use options::Flags;
pub use transaction::Change;
