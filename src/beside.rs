//! `FILE.locked`, kvexpress's mark beside a file that stays as it is on this node.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;

use crate::path;
use crate::payload::NO_REASON;
use crate::text::{self, excerpt};

/// Of a mark's text, this much is read.
const LARGEST: u64 = 4096;
/// Before the reason.
const REASON: &str = "Reason Locked: ";

/// Where the mark of a file is.
pub fn mark(file: &Path) -> PathBuf {
    path::with(file, ".locked")
}

/// What stands in it: which program unlocks the file, how, and why it is locked.
pub fn text(file: &Path, program: &str, reason: &str) -> String {
    let file = file.to_string_lossy();
    let (word, file, reason) = (text::quoted(&file), text::line(&file), text::line(reason));
    format!(
        "To unlock '{file}' and allow {program} to write again:\n\nsudo {program} unlock -f {word}\n\n{REASON}{reason}\n\n"
    )
}

/// Why a file is locked, and where that stands. Only where there is surely no mark, there is none.
pub fn reason(file: &Path) -> Option<String> {
    let mark = mark(file);
    let mut options = fs_err::OpenOptions::new();
    // Of a link, which whoever may write the directory has put there, the target is not ours to tell.
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits());
    let mut text = Vec::new();
    let why = match options.open(&mark).and_then(|file| file.take(LARGEST).read_to_end(&mut text)) {
        Ok(_) => {
            let text = String::from_utf8_lossy(&text);
            let reason = text.lines().find_map(|line| line.strip_prefix(REASON));
            Some(excerpt(reason.unwrap_or(&text))).filter(|reason| !reason.is_empty()).unwrap_or(NO_REASON.into())
        }
        // With a name too long to be there, surely, too.
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => return None,
        Err(cause) => cause.to_string(),
    };
    Some(format!("{why} ({})", mark.display()))
}
