//! How large a document is, in bytes and in lines as kvexpress counts them. Pure.

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
