//! The hold of a key: the document that its nodes keep, whatever is uploaded. Pure.
//!
//! `PREFIX/KEY/hold` contains its checksum, a blank and the reason.

use std::fmt;
use std::time::SystemTime;

use crate::consul::Entry;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::layout::marker;
use crate::util::text;

/// The longest reason, in characters: a note, with who set it where and when.
const LONGEST_REASON: usize = 1000;

/// The hold of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The checksum of the document that is held.
    pub checksum: Checksum,
    /// Why, mostly with user, host and time.
    pub reason: String,
}

impl Hold {
    /// The hold in this entry. As with a stop, an entry with an empty value does not count.
    ///
    /// # Errors
    /// 65 if the value is not a hold.
    pub fn of(entry: Option<&Entry>) -> Result<Option<Hold>> {
        let Some(entry) = entry.filter(|entry| !entry.value.is_empty()) else { return Ok(None) };
        Hold::parse(&entry.value).map(Some).ok_or_else(|| {
            Status::Refused.error(format!(
                "{} is not a hold (a checksum, a blank and a reason); remove it with `kvx release --force`, or set another one with `kvx hold --replace`",
                entry.key
            ))
        })
    }

    /// The hold in this entry for messages: `3f9a41c2…, REASON`. An entry that is not a hold is shown as it is.
    pub fn text_of(entry: &Entry) -> Option<String> {
        match Hold::parse(&entry.value) {
            Some(hold) => Some(format!("{}, {}", hold.checksum.short(), hold.reason)),
            None => marker::text_of(entry),
        }
    }

    fn parse(value: &[u8]) -> Option<Hold> {
        let text = String::from_utf8_lossy(value);
        let (checksum, reason) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let checksum = Checksum::parse(checksum.as_bytes())?;
        let reason: String = text::line(reason.trim()).chars().take(LONGEST_REASON).collect();
        Some(Hold { checksum, reason: if reason.is_empty() { marker::NO_REASON.into() } else { reason } })
    }

    /// Whether the hold prevents that nodes install this document.
    pub fn forbids(&self, checksum: Checksum) -> bool {
        self.checksum != checksum
    }

    /// When it was set, if its reason ends with the time, as [`crate::operator`] signs it: `why (by anna on web-1, TIME)`.
    pub fn since(&self) -> Option<SystemTime> {
        let (_, time) = self.reason.strip_suffix(')')?.rsplit_once(", ")?;
        humantime::parse_rfc3339(time).ok()
    }
}

/// The value of the entry.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.checksum, self.reason)
    }
}
