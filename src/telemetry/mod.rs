//! Reporting a run: lines for people and logs, and metrics. It never changes what the run does.

pub mod level;
pub mod log;
pub mod metrics;
pub mod outcome;
pub mod stderr;
pub mod syslog;
