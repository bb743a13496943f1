//! Signs the reason of a stop or lock: who set it, on which host, when.

use std::path::Path;
use std::time::SystemTime;

use crate::env::Env;
use crate::util::text;
use crate::util::time::rfc3339;

/// The reason with its signature. The reason of a lock includes the file's path, since the lock's key in Consul has only the
/// path's hash. kvexpress shows this text unchanged.
pub fn signed(reason: &str, file: Option<&Path>, env: &Env) -> String {
    let file = file.map(|file| format!("{}, ", text::line(&file.to_string_lossy()))).unwrap_or_default();
    format!("{reason} ({file}by {} on {}, {})", env.user(), text::excerpt(&env.hostname()), now())
}

/// The time in UTC, to the second.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}
