//! Reporting a run: lines for people and logs, and metrics. It never changes what the run does.

pub(crate) mod level;
pub mod log;
pub mod metrics;
pub(crate) mod outcome;
pub(crate) mod stderr;
pub(crate) mod syslog;
