//! The bytes of a file with its checksum. Pure: no I/O. The only maker of [`Verified`].

pub mod diff;
pub mod encoding;
pub mod guard;
pub mod sorted;

use std::fmt;

use sha2::{Digest, Sha256};

/// No document is decoded into more bytes than this, whoever stored it: a small value may decode into a very large one.
/// (What the guards let through is less: `--max-size`.)
pub const LARGEST: usize = 64 * 1024 * 1024;

/// The SHA-256 of a document before compression: what `PREFIX/KEY/checksum` holds, in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum(Sha256::digest(bytes).into())
    }

    /// A digest that was computed bit by bit elsewhere.
    pub fn from_digest(digest: [u8; 32]) -> Checksum {
        Checksum(digest)
    }

    /// Reads 64 hex digits of either case; blanks and a newline around them are forgiven, since people put them there by
    /// hand. Anything else is none.
    pub fn parse(text: &[u8]) -> Option<Checksum> {
        let text = text.trim_ascii();
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let &[high, low] = pair else { return None };
            *byte = (hex_digit(high)? << 4) | hex_digit(low)?;
        }
        Some(Checksum(bytes))
    }

    /// The first digits, for people.
    pub fn short(&self) -> impl fmt::Display + use<> {
        let mut hex = self.to_string();
        hex.truncate(8);
        hex.push('…');
        hex
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(nibble.into(), 16).unwrap_or('?'));
            }
        }
        f.pad(&hex)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How large a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    bytes: u64,
    newlines: u64,
}

impl Size {
    /// Of all of it.
    pub fn of(bytes: &[u8]) -> Size {
        let mut size = Size::default();
        size.add(bytes);
        size
    }

    /// Of so many bytes, whose lines nobody has counted.
    pub fn of_bytes(bytes: u64) -> Size {
        Size { bytes, newlines: 0 }
    }

    /// With the next piece of it.
    pub fn add(&mut self, piece: &[u8]) {
        let newlines = bytecount::count(piece, b'\n');
        let more = |n: u64, by: usize| n.saturating_add(u64::try_from(by).unwrap_or(u64::MAX));
        (self.bytes, self.newlines) = (more(self.bytes, piece.len()), more(self.newlines, newlines));
    }

    /// In bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// In lines as kvexpress counts them: the number of `\n`, or 1 where there is none. Nothing at all has no line.
    pub fn lines(&self) -> u64 {
        match self.newlines {
            0 if self.bytes > 0 => 1,
            newlines => newlines,
        }
    }
}

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

    /// The document in `raw`, as somebody stored it under `flags`, if it has `checksum`; otherwise `raw` again.
    ///
    /// If the raw bytes have the checksum, they are the document; otherwise they are decoded by their Flags (kvexpress
    /// from 1.16 on: 1 is brotli); otherwise as gzip in base64, which older kvexpress wrote under Flags 0; otherwise
    /// the pair is torn, or not of our making.
    pub fn decode(raw: Vec<u8>, flags: u64, checksum: Checksum) -> Result<Verified, Vec<u8>> {
        let raw = Verified::ours(raw);
        if raw.checksum == checksum {
            return Ok(raw);
        }
        let brotli: Option<encoding::Decoder> = (flags == encoding::BROTLI).then_some(encoding::brotli);
        brotli
            .into_iter()
            .chain([encoding::gzip_base64 as encoding::Decoder])
            .filter_map(|decode| decode(&raw.bytes, LARGEST))
            .map(Verified::ours)
            .find(|document| document.checksum == checksum)
            .ok_or(raw.bytes)
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

/// A size for people: `512 B`, `30.6 KB`, `1.2 MB` (of 1000, as kvexpress's users know it from their tools).
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} KB", bytes / 1_000, bytes / 100 % 10),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}
