//! Consul's HTTP API and the layout of keys in its KV store. Knows HTTP and keys, not checksums.

mod address;
mod blocking;
mod client;
mod credentials;
mod entry;
mod failure;
mod flags;
mod keys;
mod kv;
mod names;
mod server;
mod tls;
mod transaction;

pub use client::Client;
pub use entry::{Entry, Value};
pub use flags::Flags;
pub use keys::{Folder, Key, Part, Prefix, Subject, ValuePath};
pub use kv::{Consistency, Entries, Outcome};
pub use server::Server;
pub use transaction::Change;
