//! The bytes of a document with their checksum. The only maker of [`Verified`]. Pure.

use std::fmt;

use super::checksum::Checksum;
use super::encoding;
use super::size::Size;
use crate::util::text::size;

/// No document is decoded into more bytes than this, whoever stored it: a small value may decode into a very large one.
/// (What the guards let through is less: `--max-size`.)
pub const LARGEST: usize = 64 * 1024 * 1024;

/// A document whose bytes have its checksum. It can only be made by verifying (or by computing the checksum), so what
/// takes one cannot be given anything else.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    bytes: Vec<u8>,
    checksum: Checksum,
    /// Counted once: guards, lines and metrics all want it.
    size: Size,
}

impl Verified {
    /// Our own bytes: the checksum is computed here.
    pub fn ours(bytes: Vec<u8>) -> Verified {
        let (checksum, size) = (Checksum::of(&bytes), Size::of(&bytes));
        Verified { bytes, checksum, size }
    }

    /// The document in `raw`, as it is stored under `flags`, if it has `checksum`, and the raw bytes if they are an encoding of
    /// it; otherwise `raw` again.
    ///
    /// If the raw bytes have the checksum, they are the document; otherwise they are decoded by their Flags (kvexpress
    /// from 1.16 on: 1 is brotli); otherwise as gzip in base64, which older kvexpress wrote under Flags 0; otherwise
    /// data and checksum do not match.
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

    /// Its checksum.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// How large it is.
    pub fn size(&self) -> Size {
        self.size
    }
}

/// Without the content, which belongs in no log.
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
