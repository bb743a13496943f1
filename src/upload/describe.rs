//! Describes an upload: the record, which is written with the document.

use super::{Description, Terms};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::layout::keys::KeyPaths;
use crate::layout::pair::PairState;
use crate::layout::record::{self, NotARecord, Record};
use crate::layout::snapshot::Snapshot;
use crate::layout::stored::EncodedDocument;
use crate::util::time::Timestamp;

/// The record of this upload, which replaces what `found` contains. `None` for kvexpress.
///
/// # Errors
/// 65 if the key's record is one of a newer kvx.
pub(super) fn record(
    terms: &Terms,
    paths: &KeyPaths,
    found: &Snapshot,
    ours: &EncodedDocument,
    context: &Context,
) -> Result<Option<Record>> {
    let Description::Record { note } = &terms.description else { return Ok(None) };
    let before = match found.record.as_ref().map(|entry| Record::parse(&entry.value)) {
        None => None,
        Some(Ok(record)) => Some(record),
        Some(Err(NotARecord::Newer)) => {
            return Err(Status::Refused.error(format!("{} needs a newer kvx; update kvx", paths.record)));
        }
        Some(Err(NotARecord::Malformed(why))) => {
            context.warn(&format!("{} is ignored and replaced: {why}", paths.record));
            None
        }
    };
    let (time, ignored) = record::time_after(Timestamp::now(), before.iter().map(|record| record.time));
    if let Some(ahead) = ignored {
        context.warn(&format!(
            "{}: its time, {ahead}, is more than a day ahead of this machine's clock, and is ignored; check both clocks",
            paths.record
        ));
    }
    let document = ours.document();
    Ok(Some(Record {
        key: paths.folder().to_owned(),
        checksum: document.checksum(),
        size: document.size().bytes(),
        time,
        by: context.env.user_at_host(),
        over: None,
        brake: None,
        undo: replaced(&found.state).filter(|replaced| *replaced != document.checksum()),
        note: note.clone(),
    }))
}

/// The checksum of the document that is replaced. Of a torn pair, it is the checksum that nodes installed last.
fn replaced(found: &PairState) -> Option<Checksum> {
    match found {
        PairState::Absent => None,
        PairState::Verified(pair) => Some(pair.document.checksum()),
        PairState::Torn(torn) => torn.pair.checksum.as_ref().and_then(|entry| Checksum::parse(&entry.value)),
    }
}
