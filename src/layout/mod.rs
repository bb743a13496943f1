//! What kvx keeps, in Consul and next to a file, and in which form: kvexpress's layout.

pub mod keys;
pub mod lock_file;
pub mod marker;
mod names;
pub mod pair;
pub mod payload;
pub mod site;
pub mod snapshot;
pub mod stored;
