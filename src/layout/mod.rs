//! The layout of what kvx stores, in Consul and next to a file. It is compatible with kvexpress.

pub mod keys;
pub mod lock_file;
pub mod lock_reason;
pub mod marker;
mod names;
pub mod pair;
pub mod payload;
pub mod site;
pub mod snapshot;
pub mod stored;
