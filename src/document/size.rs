//! The size of a document in bytes and lines. Pure.

/// The size of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    bytes: u64,
    newlines: u64,
}

impl Size {
    /// The size of these bytes.
    pub fn of(bytes: &[u8]) -> Size {
        let mut size = Size::default();
        size.add(bytes);
        size
    }

    /// The size of a document whose lines are not counted.
    pub fn of_bytes(bytes: u64) -> Size {
        Size { bytes, newlines: 0 }
    }

    /// Adds the next piece of the document.
    pub fn add(&mut self, piece: &[u8]) {
        let newlines = bytecount::count(piece, b'\n');
        let more = |n: u64, by: usize| n.saturating_add(u64::try_from(by).unwrap_or(u64::MAX));
        (self.bytes, self.newlines) = (more(self.bytes, piece.len()), more(self.newlines, newlines));
    }

    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of lines as kvexpress counts them: the number of `\n`, or 1 if there is none. An empty document has 0
    /// lines.
    pub fn lines(&self) -> u64 {
        match self.newlines {
            0 if self.bytes > 0 => 1,
            newlines => newlines,
        }
    }
}
