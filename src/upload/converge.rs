//! Reads the key, decides, and writes; starts again if another writer was faster. So the last writer wins, and its report names
//! the document that it replaced.

use std::borrow::Cow;
use std::time::Duration;

use super::report::{Answer, Obstacle, Preview, Replaced, Upload, UploadEffect};
use super::write::put;
use super::{Description, MarkerPolicy, Mode, Terms, describe, history};
use crate::consul::{ChangeResult, Client, Failure};
use crate::context::Context;
use crate::document::Size;
use crate::document::diff;
use crate::error::{Result, Status};
use crate::layout::hold::Hold;
use crate::layout::keys::KeyPaths;
use crate::layout::pair::{PairState, Torn};
use crate::layout::snapshot::{Location, Others, Snapshot};
use crate::layout::stored::EncodedDocument;
use crate::util::text;
use crate::util::text::size;
use crate::util::time::Backoff;

/// Maximum number of attempts while other writers are faster.
const ATTEMPTS: usize = 10;

/// Maximum size of the diff in the report. An event shows 4,000 characters of it.
const MAX_DIFFERENCE: usize = 16 * 1024;

/// Uploads the document, unless the key has it: a pair that verifies and has the same checksum is left unchanged, however it is
/// encoded. `terms.guards.max_size` limits the stored (encoded) bytes.
pub(crate) fn converge(
    terms: &Terms,
    ours: EncodedDocument,
    client: &Client,
    context: &Context,
) -> Result<UploadEffect> {
    let paths = KeyPaths::of(&terms.prefix, &terms.key);
    let location = Location::Pair(paths.clone());
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    let mut lost = String::new();
    // What a write replaces if Consul's answer to it was lost. The next read shows whether the document, or the first half of a
    // large one, was stored.
    let mut unanswered = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 && !backoff.sleep(client.deadline(), &context.random) {
            break;
        }
        let is_described = terms.description != Description::Nothing;
        let others = Others {
            stop: Some(&paths.stop),
            hold: Some(&paths.hold),
            hold_may_be_denied: !is_described,
            record: Some(&*paths.record).filter(|_| is_described),
            lock: None,
        };
        let read = Snapshot::read(client, terms.consistency, &location, others).map_err(|failure| match failure {
            Failure::TooLarge(_) => {
                failure.and("it is not a document: inspect it with `consul kv get`, or use another key")
            }
            _ => failure,
        })?;
        let found = &read.state;
        let (prevented_by, ignored) = obstacles(terms, &read, &ours)?;
        if let PairState::Verified(previous) = found
            && previous.document.checksum() == ours.document().checksum()
        {
            return Ok(match unanswered {
                Some(replaced) => UploadEffect::Uploaded(Upload {
                    stored: ours,
                    replaced,
                    answer: Answer::Lost,
                    ignored,
                    difference: None,
                }),
                None => UploadEffect::Unchanged(ours.into_document()),
            });
        }
        match prevented_by {
            Some(obstacle) if terms.expect.is_some() => return Err(obstacle.as_error("uploaded")),
            Some(obstacle) if terms.mode == Mode::Upload => return Ok(UploadEffect::Prevented(obstacle)),
            _ => {}
        }
        check_encoded_size(&ours, terms.guards.max_size)?;
        check_expected(terms, found, &ours)?;
        terms.guards.check_shrinkage(ours.document(), size_of_previous(found))?;
        if terms.mode == Mode::DryRun {
            let (from, to) = (format!("{} (in Consul)", paths.data), format!("{} (to upload)", paths.data));
            let (before, after) = (previous(found), ours.document().bytes());
            let limits = diff::Limits { time: client.deadline().left(), text: usize::MAX };
            let difference = diff::unified((&before, &from), (after, &to), limits);
            let document = ours.into_document();
            return Ok(UploadEffect::WouldUpload(Preview { document, difference, prevented_by, ignored }));
        }
        // After a lost write the history's documents are written again, since one of them may be missing.
        let described = describe::describe(&terms.description, &paths, &read, &ours, attempt == 0, client, context);
        let mut described = described.map_err(|error| history::hint(error, &paths.history))?;
        // A hold of another document was ignored, or this would not be reached.
        described.hold = describe::moved_hold(&paths, &read, ours.document().checksum())?;
        let result = put(&paths, found, &ours, described, client).map_err(|failure| match failure {
            Failure::Unavailable(_) => {
                failure.and("the document may have been uploaded nevertheless: run it again to be sure").into()
            }
            _ => history::hint(failure.into(), &paths.history),
        })?;
        let replaced = replaced(found, &ours, unanswered);
        match result {
            ChangeResult::Done => {
                let (name, before, after) = (paths.data.as_str(), previous(found), ours.document().bytes());
                let limits = |time| diff::Limits { time, text: MAX_DIFFERENCE };
                let differ = |time| text::lines_of(&diff::unified((&before, name), (after, name), limits(time)));
                let difference = terms.differ.map(differ);
                let answer = Answer::Received;
                return Ok(UploadEffect::Uploaded(Upload { stored: ours, replaced, answer, ignored, difference }));
            }
            ChangeResult::Lost { why, repeated } => {
                context.detail(|| format!("{}: another writer was faster ({why}); reading again", terms.key));
                lost = why;
                unanswered = repeated.then_some(replaced);
            }
            ChangeResult::TooLarge => return Err(Status::Refused.error("the document is too large for Consul")),
        }
    }
    Err(Status::TryAgain.error(format!("other writers were faster every time ({lost}); run it again")))
}

/// What prevents the upload, and what would if it were not ignored.
fn obstacles(terms: &Terms, found: &Snapshot, ours: &EncodedDocument) -> Result<(Option<Obstacle>, Vec<Obstacle>)> {
    let stop = found.stop.clone().map(|reason| (terms.stop, Obstacle::Stop(reason)));
    let hold = Hold::of(found.hold.as_ref())?.filter(|hold| hold.forbids(ours.document().checksum()));
    let hold = hold.map(|hold| (terms.hold, Obstacle::Hold(hold)));
    let (respected, ignored): (Vec<_>, Vec<_>) =
        stop.into_iter().chain(hold).partition(|(policy, _)| *policy == MarkerPolicy::Respected);
    let ignored = ignored.into_iter().map(|(_, obstacle)| obstacle).collect();
    Ok((respected.into_iter().next().map(|(_, obstacle)| obstacle), ignored))
}

/// The size guard of a compressed document. The guards have checked the document itself, not its compressed size.
fn check_encoded_size(ours: &EncodedDocument, max_size: usize) -> Result<()> {
    match ours.encoded() {
        Some(encoded) if encoded.len() > max_size => Err(Status::Refused.error(format!(
            "the document is {} even compressed, maximum {max_size} bytes; make it smaller, or, if Consul stores more (kv_max_value_size), raise --max-size",
            size(encoded.len())
        ))),
        _ => Ok(()),
    }
}

/// `--expect`. Our data next to the expected checksum also counts: a large document is written in two steps, and a run may have
/// died between them.
fn check_expected(terms: &Terms, found: &PairState, ours: &EncodedDocument) -> Result<()> {
    let Some(expect) = terms.expect else { return Ok(()) };
    let actual = match found {
        PairState::Verified(pair) if pair.document.checksum() == expect => return Ok(()),
        PairState::Torn(torn) if torn.has_data(ours.value()) && torn.has_checksum(expect) => return Ok(()),
        PairState::Verified(pair) => format!("holds {}", pair.document.checksum()),
        PairState::Torn(torn) => format!("is torn ({})", torn.why),
        PairState::Absent => "does not exist".into(),
    };
    Err(Status::TryAgain
        .error(format!("the key {actual}, not {expect} as --expect requires; review it with `kvx diff`, then retry")))
}

/// What the upload replaces. If the key holds the first half of our own upload, whose answer was lost, it is what that replaced.
fn replaced(found: &PairState, ours: &EncodedDocument, unanswered: Option<Replaced>) -> Replaced {
    match (found, unanswered) {
        (PairState::Absent, _) => Replaced::Nothing,
        (PairState::Verified(pair), _) => Replaced::Document(pair.document.checksum()),
        (PairState::Torn(torn), Some(before)) if torn.has_data(ours.value()) && has_checksum_of(torn, before) => before,
        (PairState::Torn(_), _) => Replaced::Torn,
    }
}

fn has_checksum_of(torn: &Torn, before: Replaced) -> bool {
    match before {
        Replaced::Document(checksum) => torn.has_checksum(checksum),
        Replaced::Nothing => torn.pair.checksum.is_none(),
        Replaced::Torn => false,
    }
}

fn size_of_previous(found: &PairState) -> Size {
    match found {
        PairState::Verified(pair) => pair.document.size(),
        PairState::Absent | PairState::Torn(_) => Size::of(&previous(found)),
    }
}

/// The bytes that the upload replaces.
fn previous(found: &PairState) -> Cow<'_, [u8]> {
    match found {
        PairState::Absent => Cow::Borrowed(&[]),
        PairState::Torn(torn) => torn.data(),
        PairState::Verified(pair) => Cow::Borrowed(pair.document.bytes()),
    }
}
