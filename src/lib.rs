//! kvx carries configuration files through Consul's KV store: verified, atomic, in milliseconds, to every node.
//!
//! Each folder is one concept. Imports go downwards only, and a test (`tests/docs/contributing.rs`) reads this list: a module
//! imports only from lines below its own.
//!
//! ```text
//! cli                         command lines: parse, run, log, exit; a binary calls one function of it
//! kvexpress                   the same for kvexpress's own command lines
//! upload download operator    kvx-in, kvx-out, and what a person does: the only modules that compose the others
//! layout                      what kvx keeps in Consul and next to a file, and in which form
//! input consul                where kvx-in's document comes from; Consul's HTTP API, which knows no checksum
//! state                       what a node records of one file, and the lock of a run
//! install process             replacing a file; running other programs
//! context                     who listens to a run: log, verbosity, randomness, counters
//! telemetry                   log lines, the outcome of a run, metrics
//! net                         connections: names, TCP, unix sockets, TLS
//! document                    bytes with their checksum, guards, encodings, diff: pure
//! env                         variables, arguments and the host name of this process
//! util                        time, text, paths, files that other users may have put there
//! error                       a failure: one line and an exit status
//! ```
//!
//! Data flows one way:
//!
//! ```text
//! kvx-in    cli::args -> input -> document (Verified) -> document::guard -> layout::stored -> consul
//! kvx-out   cli::args -> layout::payload -> consul -> layout::pair (Verified) -> guard, check -> install -> handler -> state
//! ```
//!
//! [`document`] is the only maker of [`document::Verified`], and [`install`] takes nothing else, so the compiler keeps unverified
//! bytes off the disk. Errors travel up to [`cli`], the only place that logs them and exits.

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
mod state;
pub mod telemetry;
pub mod upload;
pub mod util;
