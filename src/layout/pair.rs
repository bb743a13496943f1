//! What Consul holds for one key, data and checksum together, and whether they belong together.

use std::borrow::Cow;

use crate::consul::{Entries, Entry, Value};
use crate::document::encoding;
use crate::document::{self, Checksum, Verified};
use crate::layout::keys::KeyPaths;

/// Data and checksum as they were read, at one moment.
#[derive(Debug, Default)]
pub struct Pair {
    /// `PREFIX/KEY/data`.
    pub data: Option<Entry>,
    /// `PREFIX/KEY/checksum`.
    pub checksum: Option<Entry>,
}

/// Whether data and checksum are there, and match.
#[derive(Debug)]
pub enum PairState {
    /// Neither is there.
    Absent,
    /// They do not match: half of an upload by kvexpress (two PUTs), an upload that died, an edit by hand.
    Torn(Torn),
    /// The document.
    Verified(VerifiedPair),
}

/// A pair that verifies.
#[derive(Debug)]
pub struct VerifiedPair {
    /// The document.
    pub document: Verified,
    /// The stored value, if it is an encoding of the document.
    pub encoded: Option<Vec<u8>>,
    /// The Flags of the stored value.
    pub flags: u64,
    /// The index of the checksum, which changes whenever the document does.
    pub index: u64,
    /// The index of the data alone.
    pub data_index: u64,
}

/// A pair that does not verify.
#[derive(Debug)]
pub struct Torn {
    /// Why, for people.
    pub why: &'static str,
    /// What is there of it.
    pub pair: Pair,
}

impl Pair {
    /// Out of what was read.
    pub fn take(entries: &mut Entries, folder: &KeyPaths) -> Pair {
        Pair { data: entries.take(&folder.data), checksum: entries.take(&folder.checksum) }
    }

    /// Whether data and checksum are there, and match.
    pub fn verify(self) -> PairState {
        let torn = |why, data, checksum| PairState::Torn(Torn { why, pair: Pair { data, checksum } });
        let (data, entry) = match (self.data, self.checksum) {
            (None, None) => return PairState::Absent,
            (Some(data), Some(checksum)) => (data, checksum),
            (None, checksum) => return torn("there is a checksum without data", None, checksum),
            (data, None) => return torn("there is data without a checksum", data, None),
        };
        let Some(checksum) = Checksum::parse(&entry.value) else {
            return torn("its checksum is not a SHA-256", Some(data), Some(entry));
        };
        let (flags, data_index, index) = (data.flags, data.modify_index, entry.modify_index);
        match Verified::decode(data.value, flags, checksum) {
            Ok((document, encoded)) => {
                PairState::Verified(VerifiedPair { document, encoded, flags, index, data_index })
            }
            Err(value) => torn("its data does not have its checksum", Some(Entry { value, ..data }), Some(entry)),
        }
    }
}

impl PairState {
    /// A value that is a document by itself, without a checksum next to it.
    pub fn of_value(value: Option<Entry>) -> PairState {
        match value {
            Some(Entry { value, flags, modify_index: index, .. }) => {
                let document = Verified::ours(value);
                PairState::Verified(VerifiedPair { document, encoded: None, flags, index, data_index: index })
            }
            None => PairState::Absent,
        }
    }
}

impl Torn {
    /// Whether its data is this, to the letter.
    pub fn has_data(&self, value: Value) -> bool {
        self.pair.data.as_ref().is_some_and(|data| data.holds(value))
    }

    /// What would be the document if its checksum were.
    pub fn data(&self) -> Cow<'_, [u8]> {
        let Some(data) = &self.pair.data else { return Cow::Borrowed(&[]) };
        let brotli = Some(&data.value).filter(|_| data.flags == encoding::BROTLI);
        let decoded = brotli.and_then(|value| encoding::brotli(value, document::LARGEST));
        decoded.map_or(Cow::Borrowed(&data.value), Cow::Owned)
    }

    /// Whether its checksum is this one, to the letter.
    pub fn has_checksum(&self, checksum: Checksum) -> bool {
        self.pair.checksum.as_ref().is_some_and(|entry| entry.value == checksum.to_string().as_bytes())
    }
}
