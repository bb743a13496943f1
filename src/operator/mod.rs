//! What a person does at the terminal: stop and resume a key, lock and unlock a file, copy, compare, look. Each is a story of
//! its own; `kvx` and, in its own words, `kvexpress` tell them.

pub mod clean;
pub mod diff;
pub mod list;
pub mod lock;
pub mod signature;
pub mod status;
pub mod stop;
