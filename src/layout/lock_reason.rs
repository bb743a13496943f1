//! The text of a marker next to a file: how to unlock the file, and the reason.

use std::io::{self, Read};
use std::path::Path;

use crate::layout::marker::NO_REASON;
use crate::util::text;

/// Maximum number of bytes to read.
const MAX_READ: u64 = 4096;
/// How the text begins.
const BEGIN: &str = "To unlock '";
/// Prefix of the line with the reason.
const REASON: &str = "Reason Locked: ";

/// The text of a new marker.
pub fn to_text(file: &Path, program: &str, reason: &str) -> String {
    let file = file.to_string_lossy();
    let (shown, word, reason) = (text::line(&file), text::quoted(&file), text::line(reason));
    format!(
        "{BEGIN}{shown}' and allow {program} to write again:\n\nsudo {program} unlock -f {word}\n\n{REASON}{reason}\n\n"
    )
}

/// Whether a text is that of a marker.
pub(super) fn is_marker(text: impl Read) -> io::Result<bool> {
    let mut begin = Vec::new();
    text.take(BEGIN.len() as u64).read_to_end(&mut begin)?;
    Ok(begin == BEGIN.as_bytes())
}

/// Reads the reason from a marker. If it has no line with the reason, all of its text is the reason.
pub(super) fn read(marker: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    marker.take(MAX_READ).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let reason = text::excerpt(text.lines().find_map(|line| line.strip_prefix(REASON)).unwrap_or(&text));
    Ok(if reason.is_empty() { NO_REASON.into() } else { reason })
}
