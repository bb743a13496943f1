//! What a run says of itself: lines for people and logs, and metrics. It changes nothing of what the run does.

pub mod level;
pub mod log;
pub mod metrics;
pub mod outcome;
pub mod stderr;
pub mod syslog;
