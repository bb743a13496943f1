//! Reading, deciding and changing, again and again while somebody else is faster: the last writer wins, and knows whom it
//! replaced.

use std::borrow::Cow;
use std::time::Duration;

use super::report::{Answer, Replaced, Report, Upload};
use super::write::put;
use super::{Mode, Stop, Terms};
use crate::consul::{Client, Outcome};
use crate::context::World;
use crate::document::Size;
use crate::document::diff;
use crate::error::{Result, Status};
use crate::layout::keys::Folder;
use crate::layout::marker;
use crate::layout::pair::{Found, Pair, Torn};
use crate::layout::stored::Stored;
use crate::util::text;
use crate::util::text::size;
use crate::util::time::Backoff;

/// So often somebody else may be faster, before we give up.
const RACES: usize = 10;

/// Of what a change was, so much is told: an event shows 4,000 characters.
const LARGEST_DIFFERENCE: usize = 16 * 1024;

/// Makes it so that Consul has the document. Unchanged is what verifies and has its checksum, in whatever form.
/// `terms.guards.max_size` is that of what is stored.
pub(crate) fn converge(terms: &Terms, ours: Stored, client: &Client, world: &World) -> Result<Report> {
    let folder = Folder::of(&terms.prefix, &terms.key);
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    let mut lost = String::new();
    // What a change replaces whose answer was lost: afterwards the document is there, or half of a large one is.
    let mut unanswered = None;
    for race in 0..RACES {
        if race > 0 && !backoff.sleep(client.deadline(), &world.random) {
            break;
        }
        let mut entries =
            client.read(terms.consistency, &[&folder.data, &folder.checksum], &[&folder.stop]).map_err(|error| {
                match error.status() {
                    Status::Refused => error.and("whatever it is, it is no document: look at it, or use another key"),
                    _ => error,
                }
            })?;
        let found = Pair::take(&mut entries, &folder).judge();
        let stopped = entries.take(&folder.stop).as_ref().and_then(marker::reason);
        if let Found::Whole(previous) = &found
            && previous.document.checksum() == ours.document().checksum()
        {
            return Ok(match unanswered {
                Some(replaced) => {
                    Report::Uploaded(Upload { stored: ours, replaced, answer: Answer::Lost, stopped, difference: None })
                }
                None => Report::Unchanged(ours.into_document()),
            });
        }
        if let (Mode::Upload, Stop::Heeded, Some(reason)) = (terms.mode, terms.stop, &stopped) {
            return Ok(Report::Stopped(reason.clone()));
        }
        fits(&ours, terms.guards.max_size)?;
        expected(terms, &found, &ours)?;
        terms.guards.check_shrinkage(ours.document(), size_of_previous(&found))?;
        if terms.mode == Mode::DryRun {
            let (from, to) = (format!("{} (in Consul)", folder.data), format!("{} (to upload)", folder.data));
            let (before, after) = (previous(&found), ours.document().bytes());
            let limits = diff::Limits { time: client.deadline().left(), text: usize::MAX };
            let difference = diff::unified((&before, &from), (after, &to), limits);
            return Ok(Report::WouldUpload(ours.into_document(), difference, stopped, terms.stop));
        }
        let outcome = put(&folder, &found, &ours, client).map_err(|error| match error.status() {
            Status::Unavailable => error.and("the document may be in Consul all the same: run it again to be sure"),
            _ => error,
        })?;
        let replaced = replaced(&found, &ours, unanswered);
        match outcome {
            Outcome::Done => {
                let (name, before, after) = (folder.data.as_str(), previous(&found), ours.document().bytes());
                let limits = |time| diff::Limits { time, text: LARGEST_DIFFERENCE };
                let differ = |time| text::lines_of(&diff::unified((&before, name), (after, name), limits(time)));
                let difference = terms.differ.map(differ);
                let answer = Answer::Heard;
                return Ok(Report::Uploaded(Upload { stored: ours, replaced, answer, stopped, difference }));
            }
            Outcome::Lost { why, repeated } => {
                world.detail(|| format!("{}: somebody else was faster ({why}); reading again", terms.key));
                lost = why;
                unanswered = repeated.then_some(replaced);
            }
            Outcome::TooLarge => return Err(Status::Refused.error("it is too large for Consul")),
        }
    }
    Err(Status::TryAgain.error(format!("other writers were faster every time ({lost}); run it again")))
}

/// A document as it is has passed the guards: what it is compressed to has not.
fn fits(ours: &Stored, most: usize) -> Result<()> {
    match ours.encoded() {
        Some(encoded) if encoded.len() > most => Err(Status::Refused.error(format!(
            "the document is {} even compressed, at most {most} bytes are allowed; make it smaller, or, where Consul stores more (kv_max_value_size), raise --max-size",
            size(encoded.len())
        ))),
        _ => Ok(()),
    }
}

/// `--expect`. A large document goes in two steps: what stands between them may be of a run that died.
fn expected(terms: &Terms, found: &Found, ours: &Stored) -> Result<()> {
    let Some(expect) = terms.expect else { return Ok(()) };
    let is = match found {
        Found::Whole(whole) if whole.document.checksum() == expect => return Ok(()),
        Found::Torn(torn) if torn.has_data(ours.value()) && torn.has_checksum(expect) => return Ok(()),
        Found::Whole(whole) => format!("holds {}", whole.document.checksum()),
        Found::Torn(torn) => format!("is torn ({})", torn.why),
        Found::Nothing => "does not exist".into(),
    };
    Err(Status::TryAgain
        .error(format!("the key {is}, not {expect} as --expect wants; look at what is there and decide anew")))
}

/// What stands there and is replaced; or, if that is our own first half whose answer was lost, what it replaced.
fn replaced(found: &Found, ours: &Stored, unanswered: Option<Replaced>) -> Replaced {
    match (found, unanswered) {
        (Found::Nothing, _) => Replaced::Nothing,
        (Found::Whole(whole), _) => Replaced::Document(whole.document.checksum()),
        (Found::Torn(torn), Some(before)) if torn.has_data(ours.value()) && checksum_is_of(torn, before) => before,
        (Found::Torn(_), _) => Replaced::Torn,
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
fn size_of_previous(found: &Found) -> Size {
    match found {
        Found::Whole(whole) => whole.document.size(),
        Found::Nothing | Found::Torn(_) => Size::of(&previous(found)),
    }
}

/// What is replaced.
fn previous(found: &Found) -> Cow<'_, [u8]> {
    match found {
        Found::Nothing => Cow::Borrowed(&[]),
        Found::Torn(torn) => torn.data(),
        Found::Whole(whole) => Cow::Borrowed(whole.document.bytes()),
    }
}
