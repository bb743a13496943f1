//! What a key has before a rollback.

use crate::consul::{Client, Consistency, Entry};
use crate::document::{Checksum, encoding};
use crate::error::Result;
use crate::layout::hold::Hold;
use crate::layout::keys::KeyPaths;
use crate::layout::pair::PairState;
use crate::layout::record::{self, Record};
use crate::layout::snapshot::{Location, Others, Snapshot};
use crate::layout::stored::Encoding;
use crate::util::text;

/// What the key has before the rollback.
pub(super) struct Before {
    pub found: Snapshot,
    pub stop: Option<Entry>,
}

impl Before {
    /// The stop is read with its index, and first: whatever is read later is as new.
    pub fn read(client: &Client, paths: &KeyPaths) -> Result<Before> {
        let stop = client.read(Consistency::Default, &[], &[&paths.stop])?.take(&paths.stop);
        let location = Location::Pair(paths.clone());
        let others = Others { record: Some(&paths.record), hold: Some(&paths.hold), ..Others::default() };
        let found = Snapshot::read(client, Consistency::Default, &location, others)?;
        Ok(Before { found, stop })
    }

    pub fn checksum(&self) -> Option<Checksum> {
        match &self.found.state {
            PairState::Verified(pair) => Some(pair.document.checksum()),
            PairState::Absent | PairState::Torn(_) => None,
        }
    }

    pub fn has(&self, checksum: Checksum) -> bool {
        self.checksum() == Some(checksum)
    }

    pub fn is_held_at(&self, checksum: Checksum) -> bool {
        matches!(Hold::of(self.found.hold.as_ref()), Ok(Some(hold)) if !hold.forbids(checksum))
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.found.state {
            PairState::Verified(pair) => pair.document.bytes(),
            PairState::Absent | PairState::Torn(_) => &[],
        }
    }

    /// The form in which the key's document is stored: old readers do not know brotli.
    pub fn encoding(&self) -> Encoding {
        match &self.found.state {
            PairState::Verified(pair) if pair.encoded.is_some() && pair.flags == encoding::BROTLI => {
                Encoding::Compressed
            }
            _ => Encoding::Plain,
        }
    }

    /// The record of the document, if it counts.
    pub fn record(&self) -> Option<Record> {
        record::of_document(self.found.record.as_ref(), self.checksum()?).ok().flatten()
    }

    /// `3f9a41c2… by anna@web-1`.
    pub fn description(&self) -> Option<String> {
        match (&self.found.state, self.record()) {
            (PairState::Absent, _) => None,
            (PairState::Torn(torn), _) => Some(format!("a torn pair ({})", torn.why)),
            (PairState::Verified(pair), None) => Some(pair.document.checksum().short().to_string()),
            (PairState::Verified(pair), Some(record)) => {
                Some(format!("{} by {} of {}", pair.document.checksum().short(), text::line(&record.by), record.time))
            }
        }
    }
}
