//! The checksum of a document. Pure.

use std::fmt;

use sha2::{Digest, Sha256};

/// The SHA-256 of a document before compression: what `PREFIX/KEY/checksum` holds, in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum(Sha256::digest(bytes).into())
    }

    /// A SHA-256 digest that the caller has computed.
    pub fn from_digest(digest: [u8; 32]) -> Checksum {
        Checksum(digest)
    }

    /// Parses 64 hex digits in either case. White space around them is ignored, since checksums are sometimes edited by
    /// hand.
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

    /// The first 8 digits, for messages.
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
