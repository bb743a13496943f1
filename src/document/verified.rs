//! The bytes of a document with their checksum. Pure.

use std::fmt;

use super::checksum::Checksum;
use super::encoding;
use super::size::Size;
use crate::util::text::size;

/// The maximum size of a decoded document, in bytes. A small value can decode into a very large one. The guards have a
/// lower limit by default (`--max-size`).
pub const LARGEST: usize = 64 * 1024 * 1024;

/// A document whose bytes match its checksum. Its constructors verify or compute the checksum, so a function that takes
/// a `Verified` cannot get unverified bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    bytes: Vec<u8>,
    checksum: Checksum,
    /// Counted once, since guards, log lines and metrics need it.
    size: Size,
}

impl Verified {
    /// A document from these bytes; the checksum is computed.
    pub fn ours(bytes: Vec<u8>) -> Verified {
        let (checksum, size) = (Checksum::of(&bytes), Size::of(&bytes));
        Verified { bytes, checksum, size }
    }

    /// Decodes a stored value and verifies the document. Returns the document, with the raw value if that is an
    /// encoding of it.
    ///
    /// The forms are tried in this order: the raw value itself, brotli if the Flags are 1 (kvexpress from 1.16 on),
    /// gzip in base64 (older versions of kvexpress, with Flags 0). The first document with the right checksum is taken.
    ///
    /// # Errors
    /// The raw value again, if no form matches the checksum.
    pub fn decode(raw: Vec<u8>, flags: u64, checksum: Checksum) -> Result<(Verified, Option<Vec<u8>>), Vec<u8>> {
        let raw = Verified::ours(raw);
        if raw.checksum == checksum {
            return Ok((raw, None));
        }
        let brotli: Option<encoding::Decoder> = (flags == encoding::BROTLI).then_some(encoding::brotli);
        let decoded = brotli
            .into_iter()
            .chain([encoding::gzip_base64 as encoding::Decoder])
            .filter_map(|decode| decode(&raw.bytes, LARGEST))
            .map(Verified::ours)
            .find(|document| document.checksum == checksum);
        match decoded {
            Some(document) => Ok((document, Some(raw.bytes))),
            None => Err(raw.bytes),
        }
    }

    /// The document's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The checksum of the document.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The size of the document.
    pub fn size(&self) -> Size {
        self.size
    }
}

/// Without the content, which must not appear in logs.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({self})")
    }
}

/// `612 lines, 30.6 KB, 3f9a41c2…`
impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.size().lines();
        write!(
            f,
            "{lines} line{}, {}, {}",
            if lines == 1 { "" } else { "s" },
            size(self.bytes.len()),
            self.checksum.short()
        )
    }
}
