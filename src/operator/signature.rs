//! Signs the reason of a stop or lock: who set it, on which host, when.

use std::path::Path;
use std::time::SystemTime;

use nix::unistd::{User, getuid};

use crate::env::Env;
use crate::util::text;
use crate::util::time::rfc3339;

/// The reason with its signature. The reason of a lock includes the file's path, since the lock's key in Consul has only the
/// path's hash. kvexpress shows this text unchanged.
pub fn signed(reason: &str, file: Option<&Path>, env: &Env) -> String {
    let file = file.map(|file| format!("{}, ", text::line(&file.to_string_lossy()))).unwrap_or_default();
    format!("{reason} ({file}by {} on {}, {})", user(env), text::excerpt(&env.hostname()), now())
}

/// The user's name: if this is root, the user who ran sudo. Only root's SUDO_USER counts: sudo sets it, while other users can set
/// it to anything.
pub fn user(env: &Env) -> String {
    let sudo = env.text("SUDO_USER").ok().flatten().filter(|_| getuid().is_root());
    let own = || User::from_uid(getuid()).ok().flatten().map(|user| user.name);
    text::excerpt(&sudo.or_else(own).unwrap_or_else(|| getuid().to_string()))
}

/// The time in UTC, to the second.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}
