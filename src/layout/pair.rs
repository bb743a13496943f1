//! The pair of data and checksum that Consul stores for a key, and whether they match.

use std::borrow::Cow;

use crate::consul::{Entries, Entry, Value};
use crate::document::encoding;
use crate::document::{self, Checksum, Verified};
use crate::layout::keys::KeyPaths;

/// Data and checksum, read at the same moment.
#[derive(Debug, Default)]
pub struct Pair {
    /// `PREFIX/KEY/data`.
    pub data: Option<Entry>,
    /// `PREFIX/KEY/checksum`.
    pub checksum: Option<Entry>,
}

/// The state of a pair.
#[derive(Debug)]
pub enum PairState {
    /// Neither data nor checksum exists.
    Absent,
    /// Data and checksum do not match. Possible causes are an unfinished upload by kvexpress (two PUTs) and an edit by
    /// hand.
    Torn(Torn),
    /// Data and checksum match.
    Verified(VerifiedPair),
}

/// A pair whose data and checksum match.
#[derive(Debug)]
pub struct VerifiedPair {
    /// The document.
    pub document: Verified,
    /// The stored value, if it is an encoding of the document.
    pub encoded: Option<Vec<u8>>,
    /// The Flags of the stored value.
    pub flags: u64,
    /// The index of the checksum, which changes with each change of the document.
    pub index: u64,
    /// The index of the data.
    pub data_index: u64,
}

/// A pair whose data and checksum do not match.
#[derive(Debug)]
pub struct Torn {
    /// The cause, for messages.
    pub why: &'static str,
    /// The entries that exist.
    pub pair: Pair,
}

impl Pair {
    /// Takes the pair out of the entries that were read.
    pub fn take(entries: &mut Entries, folder: &KeyPaths) -> Pair {
        Pair { data: entries.take(&folder.data), checksum: entries.take(&folder.checksum) }
    }

    /// Checks whether data and checksum exist and match.
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
            Err(value) => torn("its data does not match its checksum", Some(Entry { value, ..data }), Some(entry)),
        }
    }
}

impl PairState {
    /// The checksum of the document, if the pair verifies.
    pub fn verified(&self) -> Option<Checksum> {
        match self {
            PairState::Verified(pair) => Some(pair.document.checksum()),
            PairState::Absent | PairState::Torn(_) => None,
        }
    }

    /// The checksum of the document; of a torn pair, what its checksum entry says: the document that nodes installed last.
    pub fn claimed(&self) -> Option<Checksum> {
        match self {
            PairState::Torn(torn) => torn.pair.checksum.as_ref().and_then(|entry| Checksum::parse(&entry.value)),
            PairState::Absent | PairState::Verified(_) => self.verified(),
        }
    }

    /// The state of a value without a checksum (`--raw`): it is a document by itself.
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
    /// Whether the stored data is equal to this, byte by byte.
    pub fn has_data(&self, value: Value) -> bool {
        self.pair.data.as_ref().is_some_and(|data| data.holds(value))
    }

    /// The document that the data would be if its checksum matched.
    pub fn data(&self) -> Cow<'_, [u8]> {
        let Some(data) = &self.pair.data else { return Cow::Borrowed(&[]) };
        let brotli = Some(&data.value).filter(|_| data.flags == encoding::BROTLI);
        let decoded = brotli.and_then(|value| encoding::brotli(value, document::LARGEST));
        decoded.map_or(Cow::Borrowed(&data.value), Cow::Owned)
    }

    /// Whether the stored checksum is equal to this, byte by byte.
    pub fn has_checksum(&self, checksum: Checksum) -> bool {
        self.pair.checksum.as_ref().is_some_and(|entry| entry.value == checksum.to_string().as_bytes())
    }
}
