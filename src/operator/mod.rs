//! The commands of an operator at the terminal: stop and resume a key, lock and unlock a file, compare, list, show the status.
//! `kvx` runs them, and `kvexpress` some of them.

pub(crate) mod clean;
pub(crate) mod collect;
pub(crate) mod diff;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod identity;
pub(crate) mod list;
pub mod lock;
pub(crate) mod show;
pub(crate) mod status;
pub mod stop;
mod table;
