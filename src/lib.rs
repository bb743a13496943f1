//! kvx carries configuration files through Consul's KV store: verified, atomic, in milliseconds, to every node.
//!
//! Data flows one way, and a room per word says how:
//!
//! ```text
//! kvx-in    args -> input -> sorted -> document (Verified) -> guard -> stored -> consul
//! kvx-out   args -> payload -> consul -> pair -> document (Verified) -> guard, check -> install -> handler -> state
//! ```
//!
//! [`upload`] and [`download`] are the two stories and the only composers. [`document`] does no I/O and is the only maker
//! of [`document::Verified`]; [`install`] takes nothing else, so the compiler keeps unverified bytes off the disk.
//! [`consul`] knows HTTP and keys, not checksums; [`install`] knows no network; [`handler`] and [`check`] run a
//! [`program`] and know no file of ours. Errors travel
//! up to [`commands`], the only place that tells them and exits: a binary is one of these.

pub mod cli;
pub mod consul;
pub mod context;
pub mod document;
pub mod download;
pub mod env;
pub mod error;
pub mod input;
pub mod install;
pub mod kvexpress;
pub mod layout;
mod net;
pub mod operator;
pub mod process;
pub mod state;
pub mod telemetry;
pub mod upload;
pub mod util;
