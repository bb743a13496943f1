//! The layout of what kvx stores, in Consul and next to a file. It is compatible with kvexpress.

pub mod history;
pub(crate) mod hold;
pub mod keys;
mod lock_directory;
pub(crate) mod lock_file;
pub(crate) mod lock_reason;
pub(crate) mod marker;
mod names;
pub mod pair;
pub mod part;
pub mod payload;
pub mod record;
pub(crate) mod signature;
pub(crate) mod site;
pub(crate) mod snapshot;
pub mod stored;
pub mod version;
