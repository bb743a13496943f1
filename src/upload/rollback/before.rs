//! What a key has before a rollback.

use std::time::Duration;

use crate::consul::{Client, Consistency, Entry};
use crate::context::Context;
use crate::document::{Checksum, Verified, encoding, guard};
use crate::error::Result;
use crate::layout::hold::Hold;
use crate::layout::keys::KeyPaths;
use crate::layout::pair::PairState;
use crate::layout::record::{self, Record};
use crate::layout::snapshot::{Location, Others, Snapshot};
use crate::layout::stored::Encoding;
use crate::util::text;
use crate::util::time::{Backoff, Deadline};

/// For how long a torn pair is read again.
const SETTLES: Duration = Duration::from_secs(2);
/// The longest delay before it is read again for the first time.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// What the key has before the rollback.
pub(super) struct Before {
    pub found: Snapshot,
    pub stop: Option<Entry>,
}

impl Before {
    /// Reads the key. If its pair is torn, another upload may be between two steps, so it is read again for a moment.
    ///
    /// The stop is read with its index, and first: whatever is read later is as new.
    pub fn read(client: &Client, paths: &KeyPaths, context: &Context) -> Result<Before> {
        let (patience, mut backoff) = (Deadline::within(SETTLES), Backoff::new(FIRST_DELAY, SETTLES));
        loop {
            let stop = client.read(Consistency::Default, &[], &[&paths.stop])?.take(&paths.stop);
            let location = Location::Pair(paths.clone());
            let others = Others { record: Some(&paths.record), hold: Some(&paths.hold), ..Others::default() };
            let found = Snapshot::read(client, Consistency::Default, &location, others)?;
            if !matches!(found.state, PairState::Torn(_)) || !backoff.sleep(patience, &context.random) {
                return Ok(Before { found, stop });
            }
        }
    }

    pub fn has(&self, checksum: Checksum) -> bool {
        self.found.state.verified() == Some(checksum)
    }

    /// The hold; one that is malformed does not count.
    pub fn hold(&self) -> Option<Hold> {
        Hold::of(self.found.hold.as_ref()).ok().flatten()
    }

    pub fn is_held_at(&self, checksum: Checksum) -> bool {
        self.hold().is_some_and(|hold| !hold.forbids(checksum))
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.found.state {
            PairState::Verified(pair) => pair.document.bytes(),
            PairState::Absent | PairState::Torn(_) => &[],
        }
    }

    /// The form in which the key's document is stored, since old readers do not know brotli; but compressed if it is too large
    /// otherwise.
    pub fn encoding(&self, document: &Verified) -> Encoding {
        match &self.found.state {
            _ if document.bytes().len() > guard::LARGEST_VALUE => Encoding::Compressed,
            PairState::Verified(pair) if pair.encoded.is_some() && pair.flags == encoding::BROTLI => {
                Encoding::Compressed
            }
            _ => Encoding::Plain,
        }
    }

    /// The record of the document, if it counts.
    pub fn record(&self) -> Option<Record> {
        record::of_document(self.found.record.as_ref(), self.found.state.verified()?)
    }

    /// The document of a rollback that has died between its two steps: the data is what the document replaced that the checksum
    /// and the record still name.
    pub fn half_restored(&self) -> Option<Checksum> {
        let PairState::Torn(torn) = &self.found.state else { return None };
        let claimed = self.found.state.claimed()?;
        let undo = record::of_document(self.found.record.as_ref(), claimed)?.undo?;
        (Checksum::of(&torn.data()) == undo).then_some(undo)
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
