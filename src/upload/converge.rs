//! Reading, deciding and changing, again and again while somebody else is faster: the last writer wins, and knows whom it
//! replaced.

use std::borrow::Cow;
use std::time::Duration;

use super::report::{Answer, Replaced, Upload, UploadEffect};
use super::write::put;
use super::{Mode, StopPolicy, Terms};
use crate::consul::{ChangeResult, Client, Failure};
use crate::context::Context;
use crate::document::Size;
use crate::document::diff;
use crate::error::{Result, Status};
use crate::layout::keys::KeyPaths;
use crate::layout::pair::{PairState, Torn};
use crate::layout::snapshot::{Location, Snapshot};
use crate::layout::stored::EncodedDocument;
use crate::util::text;
use crate::util::text::size;
use crate::util::time::Backoff;

/// So often somebody else may be faster, before we give up.
const RACES: usize = 10;

/// Of what a change was, so much is told: an event shows 4,000 characters.
const LARGEST_DIFFERENCE: usize = 16 * 1024;

/// Makes it so that Consul has the document. Unchanged is what verifies and has its checksum, in whatever form.
/// `terms.guards.max_size` is that of what is stored.
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
    // What a change replaces whose answer was lost: afterwards the document is there, or half of a large one is.
    let mut unanswered = None;
    for race in 0..RACES {
        if race > 0 && !backoff.sleep(client.deadline(), &context.random) {
            break;
        }
        let read = Snapshot::read(client, terms.consistency, &location, Some(&paths.stop), None);
        let Snapshot { state: found, stop: stopped, .. } = read.map_err(|failure| match failure {
            Failure::TooLarge(_) => failure.and("whatever it is, it is no document: look at it, or use another key"),
            _ => failure,
        })?;
        if let PairState::Verified(previous) = &found
            && previous.document.checksum() == ours.document().checksum()
        {
            return Ok(match unanswered {
                Some(replaced) => UploadEffect::Uploaded(Upload {
                    stored: ours,
                    replaced,
                    answer: Answer::Lost,
                    stopped,
                    difference: None,
                }),
                None => UploadEffect::Unchanged(ours.into_document()),
            });
        }
        if let (Mode::Upload, StopPolicy::Respected, Some(reason)) = (terms.mode, terms.stop, &stopped) {
            return Ok(UploadEffect::Stopped(reason.clone()));
        }
        fits(&ours, terms.guards.max_size)?;
        expected(terms, &found, &ours)?;
        terms.guards.check_shrinkage(ours.document(), size_of_previous(&found))?;
        if terms.mode == Mode::DryRun {
            let (from, to) = (format!("{} (in Consul)", paths.data), format!("{} (to upload)", paths.data));
            let (before, after) = (previous(&found), ours.document().bytes());
            let limits = diff::Limits { time: client.deadline().left(), text: usize::MAX };
            let difference = diff::unified((&before, &from), (after, &to), limits);
            return Ok(UploadEffect::WouldUpload(ours.into_document(), difference, stopped, terms.stop));
        }
        let result = put(&paths, &found, &ours, client).map_err(|failure| match failure {
            Failure::Unavailable(_) => {
                failure.and("the document may be in Consul all the same: run it again to be sure")
            }
            _ => failure,
        })?;
        let replaced = replaced(&found, &ours, unanswered);
        match result {
            ChangeResult::Done => {
                let (name, before, after) = (paths.data.as_str(), previous(&found), ours.document().bytes());
                let limits = |time| diff::Limits { time, text: LARGEST_DIFFERENCE };
                let differ = |time| text::lines_of(&diff::unified((&before, name), (after, name), limits(time)));
                let difference = terms.differ.map(differ);
                let answer = Answer::Received;
                return Ok(UploadEffect::Uploaded(Upload { stored: ours, replaced, answer, stopped, difference }));
            }
            ChangeResult::Lost { why, repeated } => {
                context.detail(|| format!("{}: somebody else was faster ({why}); reading again", terms.key));
                lost = why;
                unanswered = repeated.then_some(replaced);
            }
            ChangeResult::TooLarge => return Err(Status::Refused.error("it is too large for Consul")),
        }
    }
    Err(Status::TryAgain.error(format!("other writers were faster every time ({lost}); run it again")))
}

/// A document as it is has passed the guards: what it is compressed to has not.
fn fits(ours: &EncodedDocument, most: usize) -> Result<()> {
    match ours.encoded() {
        Some(encoded) if encoded.len() > most => Err(Status::Refused.error(format!(
            "the document is {} even compressed, at most {most} bytes are allowed; make it smaller, or, where Consul stores more (kv_max_value_size), raise --max-size",
            size(encoded.len())
        ))),
        _ => Ok(()),
    }
}

/// `--expect`. A large document goes in two steps: what stands between them may be of a run that died.
fn expected(terms: &Terms, found: &PairState, ours: &EncodedDocument) -> Result<()> {
    let Some(expect) = terms.expect else { return Ok(()) };
    let is = match found {
        PairState::Verified(pair) if pair.document.checksum() == expect => return Ok(()),
        PairState::Torn(torn) if torn.has_data(ours.value()) && torn.has_checksum(expect) => return Ok(()),
        PairState::Verified(pair) => format!("holds {}", pair.document.checksum()),
        PairState::Torn(torn) => format!("is torn ({})", torn.why),
        PairState::Absent => "does not exist".into(),
    };
    Err(Status::TryAgain
        .error(format!("the key {is}, not {expect} as --expect wants; look at what is there and decide anew")))
}

/// What stands there and is replaced; or, if that is our own first half whose answer was lost, what it replaced.
fn replaced(found: &PairState, ours: &EncodedDocument, unanswered: Option<Replaced>) -> Replaced {
    match (found, unanswered) {
        (PairState::Absent, _) => Replaced::Nothing,
        (PairState::Verified(pair), _) => Replaced::Document(pair.document.checksum()),
        (PairState::Torn(torn), Some(before)) if torn.has_data(ours.value()) && checksum_is_of(torn, before) => before,
        (PairState::Torn(_), _) => Replaced::Torn,
    }
}

fn checksum_is_of(torn: &Torn, before: Replaced) -> bool {
    match before {
        Replaced::Document(checksum) => torn.has_checksum(checksum),
        Replaced::Nothing => torn.pair.checksum.is_none(),
        Replaced::Torn => false,
    }
}

/// A document's is known already.
fn size_of_previous(found: &PairState) -> Size {
    match found {
        PairState::Verified(pair) => pair.document.size(),
        PairState::Absent | PairState::Torn(_) => Size::of(&previous(found)),
    }
}

/// What is replaced.
fn previous(found: &PairState) -> Cow<'_, [u8]> {
    match found {
        PairState::Absent => Cow::Borrowed(&[]),
        PairState::Torn(torn) => torn.data(),
        PairState::Verified(pair) => Cow::Borrowed(pair.document.bytes()),
    }
}
