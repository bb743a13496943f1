//! Who has done it, where and when: part of the reason that a stop or a lock shows.

use std::path::Path;
use std::time::SystemTime;

use nix::unistd::{User, getuid};

use crate::env::Env;
use crate::util::text;
use crate::util::time::rfc3339;

/// The reason, signed, with the file that it is about: a lock is found by the hash of its path alone. kvexpress shows it as
/// it is.
pub fn signed(reason: &str, file: Option<&Path>, env: &Env) -> String {
    let file = file.map(|file| format!("{}, ", text::line(&file.to_string_lossy()))).unwrap_or_default();
    format!("{reason} ({file}by {} on {}, {})", user(env), text::excerpt(&env.hostname()), now())
}

/// Who it is: the person behind sudo, if there is one. Sudo makes us root; anybody else may have written the variable.
pub fn user(env: &Env) -> String {
    let sudo = env.text("SUDO_USER").ok().flatten().filter(|_| getuid().is_root());
    let own = || User::from_uid(getuid()).ok().flatten().map(|user| user.name);
    text::excerpt(&sudo.or_else(own).unwrap_or_else(|| getuid().to_string()))
}

/// In UTC, to the second.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}
